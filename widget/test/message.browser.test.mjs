import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { useWidgetPage } from './widget-page.mjs';

const HOSTILE = [
  '<img src=x onerror="globalThis.hacked=1">',
  '<script>globalThis.hacked=1</script>',
  '[link](javascript:globalThis.hacked=1) {{constructor.constructor("globalThis.hacked=1")()}}',
  '\u202Egnp.exe\u0000\u2028',
];

describe('messages', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  test('a sent message is shown at once, then its answer as it is streamed', async () => {
    await widget.openSignedIn();
    await widget.send('How late is LF-20771?');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'How late is LF-20771?' });
    edge.publish('delta', { id: 'a', seq: 0, text: 'Three ' });
    await widget.waitForMessage({ role: 'assistant', state: 'streaming', text: 'Three' });
    edge.publish('delta', { id: 'a', seq: 1, text: 'hours.' });
    await widget.waitForMessage({ role: 'assistant', state: 'streaming', text: 'Three hours.' });
    edge.publish('message', { id: 'a', role: 'assistant', text: 'Three hours.' });
    await widget.waitForMessage({ role: 'assistant', state: 'done', text: 'Three hours.' });
    assert.deepEqual(await widget.messageTexts(), ['How late is LF-20771?', 'Three hours.']);
    await widget.page
      .locator('chat-widget [role=status]', { hasText: 'Desk: Three hours.' })
      .waitFor({ state: 'attached' });
  });

  test('Shift+Enter breaks the line, Enter sends, empty text is not sent', async () => {
    await widget.openSignedIn();
    await widget.page.getByPlaceholder('Write a message').click();
    await widget.page.keyboard.press('Enter');
    await widget.page.keyboard.type('one');
    await widget.page.keyboard.press('Shift+Enter');
    await widget.page.keyboard.type('two');
    await widget.page.keyboard.press('Enter');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'one' });
    assert.deepEqual(
      edge.posts.map(({ text }) => text),
      ['one\ntwo'],
    );
  });

  test('a busy edge or a broken connection causes retries, in order and under the same key', async () => {
    await widget.openSignedIn();
    edge.postFailures = [{ status: 503, headers: { 'Retry-After': '1' } }, { status: 0 }];
    await widget.send('first');
    await widget.send('second');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'second' });
    assert.deepEqual(
      edge.posts.map(({ text }) => text),
      ['first', 'first', 'first', 'second'],
    );
    assert.equal(new Set(edge.posts.map(({ key }) => key)).size, 2);
    assert.deepEqual(await widget.messageTexts(), ['first', 'second']);
  });

  test('a rejected message is shown with the reason and can be sent again', async () => {
    await widget.openSignedIn();
    edge.postFailures = [{ status: 403, title: 'This channel is closed' }];
    await widget.send('hello');
    await widget.waitForMessage({ role: 'user', state: 'failed', text: 'This channel is closed' });
    await widget.page.getByRole('button', { name: 'Try again' }).click();
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'hello' });
    assert.deepEqual(await widget.messageTexts(), ['hello']);
  });

  test("a message whose key is another event's is sent again under a new one", async () => {
    await widget.openSignedIn();
    const title = 'This Idempotency-Key was used for another event.';
    edge.postFailures = [{ status: 422, code: 'idempotency-key-reused', title }];
    await widget.send('hello');
    await widget.waitForMessage({ role: 'user', state: 'failed', text: 'Not sent' });
    await widget.page.getByRole('button', { name: 'Try again' }).click();
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'hello' });
    assert.equal(new Set(edge.posts.map(({ key }) => key)).size, 2);
    assert.deepEqual(await widget.messageTexts(), ['hello']);
  });

  test('an ended session shows the sign-in links and keeps what is unsent', async () => {
    await widget.openSignedIn();
    edge.user = null;
    const release = edge.holdSession();
    await widget.send('please send me');
    await widget.page.getByPlaceholder('Write a message').fill('please keep me');
    release();
    await widget.page.getByText('Your session has ended').waitFor();
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.waitForStatus('Online');
    assert.equal(await widget.page.getByPlaceholder('Write a message').inputValue(), 'please keep me');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'please send me' });
  });

  test('S142: hostile text is shown as text', async () => {
    for (const text of HOSTILE) edge.publish('message', { text });
    edge.publish('delta', { id: 'd', seq: 0, text: HOSTILE[0] });
    edge.publish('message', { id: 'x', role: '<b>', text: HOSTILE[0] });
    edge.write('id: v1.1.0.900\ndata: not json\n\n');
    await widget.openSignedIn();
    await widget.waitForMessage({ state: 'streaming' });
    assert.equal((await widget.messageTexts()).length, HOSTILE.length + 2);
    const found = await widget.page.evaluate(() => [
      document.querySelector('chat-widget')?.shadowRoot?.querySelectorAll('.bubble *').length,
      'hacked' in globalThis,
    ]);
    assert.deepEqual(found, [0, false]);
  });

  test('with a form, of which the code failed to load, can be tried again', async () => {
    const failing = `${widget.edgeOrigin}/assets/form.js*`;
    await widget.context.route(failing, (route) => route.abort());
    edge.publish('form', {
      id: 'f',
      form: { components: [{ type: 'textfield', key: 'name', label: 'Contact', input: true }] },
    });
    await widget.openSignedIn();
    const again = widget.page.getByRole('button', { name: 'Try again' });
    await widget.page.getByText('This could not be loaded.').waitFor();
    await again.click();
    await again.waitFor();
    await widget.context.unroute(failing);
    await widget.page.evaluate(() => dispatchEvent(new Event('online')));
    await widget.page.getByLabel('Contact').waitFor();
    assert.equal(await again.count(), 0);
  });
});
