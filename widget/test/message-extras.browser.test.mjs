import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { GRACE } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

describe('what a message has besides plain text', () => {
  const widget = useWidgetPage();
  const { edge } = widget;
  const shadow = (/** @type {string} */ selector) => widget.page.locator(`chat-widget ${selector}`);

  test('Markdown of an answer is shown while it arrives, and what the user writes stays as it is', async () => {
    await widget.openSignedIn();
    await widget.send('**mine**');
    await widget.waitForMessage({ role: 'user', state: 'done', text: '**mine**' });
    edge.publish('delta', { id: 'a', seq: 0, text: 'First\n\n- **bo' });
    await shadow('.rich strong').filter({ hasText: 'bo' }).waitFor();
    await shadow('.rich p')
      .first()
      .evaluate((node) => Object.assign(node, { isSame: true }));
    edge.publish('delta', { id: 'a', seq: 1, text: 'ld**\n- [map](https://e.example/)' });
    await shadow('.rich a').waitFor();
    edge.publish('message', { id: 'a', text: 'First\n\n- **bold**\n- [map](https://e.example/)' });
    await widget.waitForMessage({ role: 'assistant', state: 'done' });
    assert.deepEqual(await shadow('.rich li').allTextContents(), ['bold', 'map']);
    assert.ok(
      await shadow('.rich p')
        .first()
        .evaluate((node) => Reflect.get(node, 'isSame')),
      'finished blocks stay',
    );
    const link = shadow('.rich a');
    assert.equal(await link.getAttribute('href'), 'https://e.example/');
    assert.equal(await link.getAttribute('rel'), 'noopener noreferrer');
    assert.equal(await shadow('.user strong').count(), 0);
  });

  test('code and messages can be copied, by mouse and by keyboard', async () => {
    await widget.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    edge.publish('message', { text: 'one' });
    edge.publish('message', { text: 'Run **this**:\n```sh\nls -l\n```' });
    await widget.openSignedIn();
    const copied = () => widget.page.evaluate(() => navigator.clipboard.readText());
    await widget.page.getByRole('button', { name: 'Copy', exact: true }).click();
    await widget.page.getByRole('button', { name: 'Copied' }).waitFor();
    assert.equal(await copied(), 'ls -l');
    await shadow('.copy-message[tabindex="0"]').focus();
    await widget.page.keyboard.press('Enter');
    await shadow('.copy-message.copied').waitFor();
    assert.equal(await copied(), 'Run **this**:\n```sh\nls -l\n```');
    await widget.page.keyboard.press('ArrowUp');
    await widget.page.keyboard.press('Enter');
    await eventually(async () => (await copied()) === 'one');
    assert.equal(await shadow('.copy-message[tabindex="0"]').count(), 1, 'one stop of the tab key');
  });

  test('files are links, if their addresses are safe', async () => {
    edge.publish('message', {
      text: 'Here:',
      attachments: [
        { name: 'Bill.pdf', url: 'https://files.example/1', size: 482_133 },
        { url: 'https://files.example/a/plan.txt' },
        { name: 'bad', url: 'javascript:globalThis.hacked=1' },
        { name: 'mail', url: 'mailto:a@e.example' },
        null,
        7,
      ],
    });
    edge.publish('message', { attachments: 'none' });
    await widget.openSignedIn();
    await shadow('.attachment').first().waitFor();
    assert.deepEqual(await shadow('.attachment').allTextContents(), ['Bill.pdf 482 kB', 'plan.txt']);
  });

  test('a message that was refused can be taken back', async () => {
    await widget.openSignedIn();
    edge.postFailures = [{ status: 403, title: 'No' }];
    await widget.send('again');
    await widget.waitForMessage({ role: 'user', state: 'failed' });
    await widget.page.getByRole('button', { name: 'Cancel' }).click();
    assert.equal(await widget.page.getByPlaceholder('Write a message').inputValue(), 'again');
    assert.equal(await shadow('.message').count(), 0);
  });

  test('what the user wrote can be deleted, if the page allows it and the backend does it', async () => {
    await widget.openSignedIn();
    await widget.send('no');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'no' });
    assert.equal(await shadow('.delete-message').count(), 0);
    await widget.page.evaluate(() => document.querySelector('chat-widget')?.toggleAttribute('deletable', true));
    await widget.send('oops');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'oops' });
    await widget.page.getByRole('button', { name: 'Delete message' }).last().click();
    assert.equal(edge.posts.length, 2, 'the first click asks');
    await widget.page.getByRole('button', { name: 'Delete this message?' }).click();
    await until(() => edge.posts.length === 3, 'the deletion');
    const { id } = JSON.parse(edge.posts[2]?.text ?? '{}');
    edge.publish('delete', { id });
    await shadow('.message').filter({ hasText: 'oops' }).waitFor({ state: 'detached' });
    assert.deepEqual(await widget.messageTexts(), ['no']);
  });

  test('the page may allow deletion at any time, and take it back', async () => {
    await widget.openSignedIn();
    await widget.send('mine');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'mine' });
    const set = (/** @type {string} */ value) =>
      widget.page.evaluate((text) => document.querySelector('chat-widget')?.setAttribute('deletable', text), value);
    await set('');
    await shadow('.delete-message').waitFor({ state: 'attached' });
    await set('false');
    await shadow('.delete-message').waitFor({ state: 'detached' });
    await set('true');
    await shadow('.delete-message').waitFor({ state: 'attached' });
  });

  test('an asked deletion is still asked after the list was drawn anew', async () => {
    await widget.openSignedIn();
    await widget.send('mine');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'mine' });
    await widget.page.evaluate(() => document.querySelector('chat-widget')?.toggleAttribute('deletable', true));
    await widget.page.getByRole('button', { name: 'Delete message' }).click();
    await widget.page.evaluate(() => document.querySelector('chat-widget')?.setAttribute('heading', 'Other'));
    await widget.page.getByRole('heading', { name: 'Other' }).waitFor();
    await widget.page.getByRole('button', { name: 'Delete this message?' }).waitFor();
  });

  test('what a message has speaks the language that is set later', async () => {
    edge.publish('message', { text: '```\ncode\n```', attachments: [{ name: 'a', url: 'https://files.example/1' }] });
    await widget.openSignedIn();
    await shadow('[aria-label="Code"]').waitFor();
    await widget.page.evaluate(() => {
      const chat = /** @type {any} */ (document.querySelector('chat-widget'));
      chat.strings = { code: 'Quelltext', copy: 'Kopie', files: 'Dateien' };
    });
    await shadow('[aria-label="Quelltext"]').waitFor();
    await shadow('[aria-label="Dateien"]').waitFor();
  });

  test('is read out without its signs, and not again after a reload', async () => {
    await widget.openSignedIn();
    await widget.waitForStatus('Online');
    edge.publish('message', { text: 'See **the** [map](https://e.example/)' });
    const read = shadow('[role=status]').filter({ hasText: 'See the map' });
    await read.waitFor({ state: 'attached' });
    edge.history.length = 0;
    edge.publish('message', { text: 'of yesterday' }, undefined, undefined, '2020-01-01T00:00:00Z');
    await widget.page.reload();
    await widget.waitForMessage({ text: 'of yesterday' });
    await shadow('[role=status]').filter({ hasText: 'Online' }).first().waitFor({ state: 'attached' });
    assert.equal(await shadow('[role=status]').filter({ hasText: 'of yesterday' }).count(), 0);
  });

  test('without its code, messages are plain text, and it can be tried again', async () => {
    const failing = `${widget.edgeOrigin}/assets/message.js*`;
    await widget.context.route(failing, (route) => route.abort());
    edge.publish('message', { text: 'some **bold** text' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'some **bold** text' });
    await widget.page.getByText('This could not be loaded.').waitFor();
    await widget.context.unroute(failing);
    await widget.page.getByRole('button', { name: 'Try again' }).focus();
    await widget.page.keyboard.press('Enter');
    await shadow('.rich strong').waitFor();
    assert.equal(await shadow('.log').evaluate((node) => node.matches(':focus')), true, 'the focus has a place');
  });

  test('while an input method composes, Enter does not send', async () => {
    await widget.openSignedIn();
    await widget.page.getByPlaceholder('Write a message').click();
    const session = await widget.context.newCDPSession(widget.page);
    await session.send('Input.imeSetComposition', { text: 'にほ', selectionStart: 2, selectionEnd: 2 });
    // While it composes, browsers report each key as 229.
    await session.send('Input.dispatchKeyEvent', { type: 'keyDown', key: 'Enter', windowsVirtualKeyCode: 229 });
    await session.send('Input.insertText', { text: '日本' });
    assert.equal(await widget.page.getByPlaceholder('Write a message').inputValue(), '日本');
    assert.deepEqual(edge.posts, []);
    await widget.page.keyboard.press('Enter');
    await widget.waitForMessage({ role: 'user', state: 'done', text: '日本' });
    assert.deepEqual(
      edge.posts.map(({ text }) => text),
      ['日本'],
    );
  });
});

describe('a long conversation', () => {
  const widget = useWidgetPage();
  const { edge } = widget;
  const log = () => widget.page.locator('chat-widget .log');
  const at = (/** @type {number} */ minute) => new Date(Date.UTC(2026, 0, 2, 3, minute)).toISOString();

  test('a line marks what is new since the last visit', async () => {
    edge.publish('message', { text: 'old' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'old' });
    await eventually(() =>
      widget.page.evaluate(() => Object.keys(localStorage).some((key) => key.startsWith('chat-widget-read '))),
    );
    await widget.page.goto('about:blank');
    edge.publish('message', { text: 'first new' });
    edge.publish('message', { text: 'second new' });
    await widget.openSignedIn();
    const marked = widget.page.locator('chat-widget .message:has(.unread)');
    await marked.waitFor();
    assert.match((await marked.textContent()) ?? '', /New.*first new/s);
    await widget.page.goto('about:blank');
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'second new' });
    await widget.page.locator('chat-widget .copy-message').last().waitFor({ state: 'attached' });
    assert.equal(await marked.count(), 0);
  });

  test('what another user has read does not count, nor do the times that backends write', async () => {
    const future = new Date(Date.now() + 3_600_000).toISOString();
    edge.publish('message', { text: 'from a fast clock' }, undefined, undefined, future);
    await widget.openSignedIn();
    const reads = () => widget.page.evaluate(() => Object.keys(localStorage).filter((key) => key.includes('-read ')));
    await eventually(async () => (await reads()).length === 1);
    await widget.page.goto('about:blank');
    edge.publish('message', { text: 'from a right clock' });
    await widget.openSignedIn();
    const marked = widget.page.locator('chat-widget .message:has(.unread)');
    assert.match((await marked.textContent()) ?? '', /New.*from a right clock/s);
    edge.history = [];
    edge.publish('message', { text: 'for Grace' });
    edge.user = GRACE;
    await widget.page.reload();
    await widget.waitForMessage({ text: 'for Grace' });
    await eventually(async () => (await reads()).length === 2);
    assert.equal(await marked.count(), 0);
  });

  test('earlier messages come when the user scrolls up, and what is in view stays in place', async () => {
    for (let minute = 100; minute < 140; minute += 1)
      edge.publish('message', { text: `m${minute}` }, `m${minute}`, undefined, at(minute));
    const events = Array.from({ length: 100 }, (_, minute) => ({
      id: `m${minute}`,
      type: 'message',
      channel: 'chat',
      time: at(minute),
      data: { text: `m${minute}` },
    }));
    edge.answers.set('/events/chat/history', { events, before: null, complete: true });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'm139' });
    await widget.page.locator('chat-widget .copy-message').last().waitFor({ state: 'attached' });
    assert.equal(edge.calls.length, 0, 'nothing is asked for before it is needed');
    const top = () =>
      widget.page.getByText('m100', { exact: true }).evaluate((node) => node.getBoundingClientRect().top);
    await log().evaluate((node) => node.scrollTo(0, 0));
    const before = await top();
    await widget.page.getByText('m99', { exact: true }).waitFor({ state: 'attached' });
    await widget.page.evaluate(
      () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
    );
    await eventually(async () => Math.abs((await top()) - before) < 3);
    const first = widget.page.locator('chat-widget .bubble').first();
    await eventually(async () => {
      await log().evaluate((node) => node.scrollTo(0, 0));
      return (await first.textContent()) === 'm0';
    });
    assert.equal(edge.calls.length, 1);
  });

  test('of 10 000 messages shows only as many as the user scrolls to', async () => {
    for (let i = 0; i < 10_000; i += 1)
      edge.publish('message', { text: `Message ${i} with **some** text` }, `m${i}`, undefined, at(i));
    await widget.openSignedIn();
    const shown = () =>
      widget.page.evaluate(() => document.querySelector('chat-widget')?.shadowRoot?.querySelectorAll('.rich').length);
    const newest = () => widget.page.locator('chat-widget .message').last().locator('.bubble').textContent();
    await eventually(async () => (await newest()) === 'Message 9999 with some text' && (await shown()) === 300);
    await log().evaluate((node) => node.scrollTo(0, 0));
    await eventually(async () => ((await shown()) ?? 0) > 300);
    assert.equal(edge.calls.length, 0, 'the edge is not asked for what is here');
    await widget.page.getByRole('button', { name: 'Jump to latest' }).click();
    edge.publish('message', { text: 'the newest' });
    await eventually(async () => (await newest()) === 'the newest');
    edge.publish('message', { text: 'another' });
    await eventually(async () => (await newest()) === 'another' && (await shown()) === 298);
  });
});

/**
 * Waits for a condition in the page.
 * @param {() => Promise<boolean>} condition
 */
async function eventually(condition) {
  const deadline = Date.now() + 10_000;
  while (!(await condition())) {
    assert.ok(Date.now() < deadline, 'timed out');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
