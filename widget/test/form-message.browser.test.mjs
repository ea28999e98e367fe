import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until, useWidgetPage } from './widget-page.mjs';

const FORM = {
  id: 'f',
  form: { title: 'Arrange a pickup', components: [{ type: 'textfield', key: 'name', label: 'Contact' }] },
};
const BUSY = { status: 503, headers: { 'Retry-After': '60' } };
const ANSWER = { form: 'f', submission: { data: { name: 'Ada' } } };

describe('a form in the chat', () => {
  const widget = useWidgetPage();
  const { edge } = widget;
  const contact = () => widget.page.getByLabel('Contact');
  const sent = () => widget.page.getByText('Your answers were sent.');

  test('without a text is read out by its title', async () => {
    await widget.openSignedIn();
    edge.publish('form', FORM);
    await widget.page
      .locator('chat-widget [role=status]', { hasText: 'Desk: Arrange a pickup' })
      .waitFor({ state: 'attached' });
  });

  test('that was answered is not asked again after a reload', async () => {
    edge.publish('form', FORM);
    await widget.openSignedIn();
    await contact().fill('Ada');
    await contact().press('Enter');
    await sent().waitFor();
    edge.publish('form', ANSWER, 'in-answer', true);
    edge.publish('message', { text: 'Thank you' });
    await widget.waitForMessage({ text: 'Thank you' });
    assert.equal(await sent().evaluate((node) => node.matches(':focus')), true, 'the form stays, with its focus');

    await widget.page.reload();
    await sent().waitFor();
    assert.equal(await contact().inputValue(), 'Ada');
    assert.equal(await contact().isDisabled(), true);
  });

  test('is locked while its answer waits, so that it shows what is sent, and open again if that fails', async () => {
    edge.publish('form', FORM);
    edge.postFailures = [{ status: 422, title: 'No.' }];
    await widget.openSignedIn();
    const held = Promise.withResolvers();
    await widget.context.route('**/events/*', (route) => held.promise.then(() => route.continue()));
    await contact().fill('Ada');
    await contact().press('Enter');
    await sending().waitFor();
    assert.equal(await contact().isDisabled(), true);
    held.resolve(undefined);
    await widget.page.getByText('Your answers were not sent. Please try again.').waitFor();
    assert.equal(await contact().isEnabled(), true);
    assert.equal(await contact().evaluate((node) => node.matches(':focus')), true);
  });

  test('keeps what is filled in when the language changes', async () => {
    edge.publish('form', FORM);
    await widget.openSignedIn();
    await contact().fill('Ad');
    await widget.page.evaluate(() => document.querySelector('chat-widget')?.setAttribute('lang', 'de'));
    await widget.page.locator('chat-widget [part=form-submit]', { hasText: 'Senden' }).waitFor();
    assert.equal(await contact().inputValue(), 'Ad');
    await contact().fill('Ada');
    await contact().press('Enter');
    await until(() => edge.posts.length === 1, 'the answer');
    assert.deepEqual(JSON.parse(edge.posts[0]?.text ?? ''), ANSWER);
  });

  test('that was answered in another tab shows those answers', async () => {
    edge.publish('form', FORM);
    await widget.openSignedIn();
    await contact().fill('Ad');
    edge.publish('form', ANSWER, 'in-answer', true);
    await sent().waitFor();
    assert.equal(await contact().inputValue(), 'Ada');
    assert.equal(await contact().isDisabled(), true);
    assert.equal(await sent().evaluate((node) => node.matches(':focus')), true, 'the focus has a place');
  });

  const sending = () => widget.page.getByText('Sending…');

  /** Answers a form while the edge can't take it, and reloads the page. */
  async function reloadUnsent() {
    await contact().fill('Ada');
    await contact().press('Enter');
    await until(() => edge.posts.length === 1, 'the first attempt, for which the answer was stored');
    await widget.page.reload();
  }

  test('whose answer waits is shown with it after a reload, and sent once', async () => {
    edge.publish('form', FORM);
    edge.postFailures = [BUSY, BUSY];
    await widget.openSignedIn();
    await reloadUnsent();
    await sending().waitFor();
    assert.equal(await contact().inputValue(), 'Ada');
    assert.equal(await contact().isDisabled(), true);
    assert.equal(await widget.page.getByRole('button', { name: 'Send', exact: true }).count(), 1, "the composer's own");
    await widget.page.reload();
    await sent().waitFor();
    assert.equal(await contact().inputValue(), 'Ada');
    assert.equal(new Set(edge.posts.map(({ key }) => key)).size, 1, 'the attempts have one key');
  });

  test('that arrives after its waiting answer is shown with it', async () => {
    edge.publish('form', FORM);
    edge.postFailures = [BUSY, BUSY];
    await widget.openSignedIn();
    await contact().waitFor();
    edge.history = [];
    await reloadUnsent();
    await until(() => edge.posts.length === 2, 'the answer is being sent again');
    edge.publish('form', FORM);
    await sending().waitFor();
    assert.equal(await contact().inputValue(), 'Ada');
  });

  test('whose waiting answer is refused says so, and lets the user send it again', async () => {
    edge.publish('form', FORM);
    edge.postFailures = [BUSY, { status: 422, title: 'No.' }];
    await widget.openSignedIn();
    await reloadUnsent();
    await widget.page.getByText('Your answers were not sent. Please try again.').waitFor();
    assert.equal(await contact().inputValue(), 'Ada');
    await contact().press('Enter');
    await sent().waitFor();
    assert.equal(new Set(edge.posts.map(({ key }) => key)).size, 2, 'it is another event');
  });

  test('whose waiting answer another tab has sent shows that', async () => {
    edge.publish('form', FORM);
    edge.postFailures = [BUSY, BUSY];
    await widget.openSignedIn();
    await reloadUnsent();
    await sending().waitFor();
    edge.publish('form', ANSWER, 'in-answer', true);
    await sent().waitFor();
  });
});
