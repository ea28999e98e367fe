import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { useWidgetPage } from './widget-page.mjs';

const FORM = {
  id: 'f',
  form: { title: 'Arrange a pickup', components: [{ type: 'textfield', key: 'name', label: 'Contact' }] },
};
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
});
