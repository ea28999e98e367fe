import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ADA } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

/** @typedef {HTMLElement & { strings: object, heading: string | null, channel: string | null }} Widget */

describe('on hostile and ordinary pages', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  const composer = () => widget.page.getByPlaceholder('Write a message');

  /** The computed style of a part. @param {string} selector @param {string[]} properties */
  const styleOf = (selector, properties) =>
    widget.page
      .locator(`chat-widget ${selector}`)
      .first()
      .evaluate((node, names) => names.map((name) => getComputedStyle(node).getPropertyValue(name)), properties);

  /** The part that has the focus. */
  const focused = () =>
    widget.page.evaluate(
      () => document.querySelector('chat-widget')?.shadowRoot?.activeElement?.getAttribute('part') ?? '',
    );

  test('a malformed language falls back', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    for (const lang of ['en_US', 'x', '*', 'C.UTF-8', 'de_DE_formal_and_more', '']) {
      await widget.page.evaluate((value) => document.querySelector('chat-widget')?.setAttribute('lang', value), lang);
      edge.publish('message', { text: `in ${lang}` });
      await widget.waitForMessage({ text: `in ${lang}` });
    }
  });

  test('a browser that demands dashes in custom states shows the chat', async () => {
    await widget.page.addInitScript(() => {
      const { add } = CustomStateSet.prototype;
      CustomStateSet.prototype.add = function (state) {
        if (!state.startsWith('--')) throw new SyntaxError('states need dashes');
        return add.call(this, state);
      };
    });
    await widget.openSignedIn();
    assert.equal(await widget.page.locator('chat-widget:state(--online)').count(), 1);
  });

  test('properties that were set before the element was defined count', async () => {
    edge.user = ADA;
    edge.pages.set('/early', {
      policy: "script-src 'self'; require-trusted-types-for 'script'",
      html: '<!doctype html><body></body>',
    });
    await widget.open(`${widget.edgeOrigin}/early`);
    await widget.page.evaluate(async () => {
      const early = /** @type {Widget} */ (document.createElement('chat-widget'));
      Object.assign(early, { heading: 'Early', strings: { placeholder: 'Schreib etwas' } });
      document.body.append(early);
      await import(String('/assets/chat-widget.js'));
    });
    await widget.page.getByRole('heading', { name: 'Early' }).waitFor();
    await widget.page.getByPlaceholder('Schreib etwas').waitFor();
    await widget.page.evaluate(() => {
      const early = /** @type {Widget} */ (document.querySelector('chat-widget'));
      early.heading = 'Late';
    });
    await widget.page.getByRole('heading', { name: 'Late' }).waitFor();
  });

  test('switches are properties, also early ones, and off as frameworks write it', async () => {
    edge.user = ADA;
    edge.publish('message', { id: 'own', text: 'Mine' }, undefined, true);
    edge.pages.set('/early', {
      policy: "script-src 'self'; require-trusted-types-for 'script'",
      html: '<!doctype html><body></body>',
    });
    await widget.open(`${widget.edgeOrigin}/early`);
    await widget.page.evaluate(async () => {
      const early = Object.assign(document.createElement('chat-widget'), { compact: true, open: true });
      // As React 18 does.
      early.setAttribute('popup', 'false');
      document.body.append(early);
      await import(String('/assets/chat-widget.js'));
    });
    await widget.page.getByRole('dialog').getByText('Mine').waitFor();
    /** @param {object} values @returns {Promise<unknown[]>} attributes, and properties */
    const after = (values) =>
      widget.page.evaluate((given) => {
        const chat = Object.assign(/** @type {any} */ (document.querySelector('chat-widget')), given);
        return [chat.getAttributeNames().sort().join(), chat.popup, chat.compact, chat.open, chat.deletable];
      }, values);
    assert.deepEqual(await after({}), ['compact,open', false, true, true, false]);
    assert.deepEqual(await after({ deletable: true }), ['compact,deletable,open', false, true, true, true]);
    await widget.page.locator('chat-widget .delete-message').waitFor({ state: 'attached' });
    assert.deepEqual(await after({ deletable: false, open: null }), ['compact', false, true, false, false]);
    await widget.page.locator('chat-widget .delete-message').waitFor({ state: 'detached' });
    await widget.page.evaluate(() => document.querySelector('chat-widget')?.setAttribute('compact', 'false'));
    assert.deepEqual(await after({ popup: true }), ['popup', true, false, false, false]);
    await widget.page.getByText('Mine').first().waitFor();
  });

  test('options that are set again are applied to what is there', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    await composer().fill('a draft');
    for (const heading of ['Hilfe', 'Hilfe', 'Support']) {
      await widget.page.evaluate((text) => {
        const chat = /** @type {Widget} */ (document.querySelector('chat-widget'));
        chat.heading = text;
        chat.channel = 'chat';
        chat.strings = { online: 'Verbunden', assistant: 'Schalter', placeholder: 'Schreib etwas' };
        chat.lang = 'de';
      }, heading);
      await widget.page.getByRole('heading', { name: heading }).waitFor();
    }
    await widget.waitForStatus('Verbunden');
    await widget.waitForMessage({ role: 'assistant', text: 'Schalter: one' });
    assert.equal(await widget.page.getByPlaceholder('Schreib etwas').inputValue(), 'a draft');
    assert.equal(edge.lastEventIds.length, 1, 'the stream is the same');
  });

  test('a move in the document keeps draft, unsent messages and stream', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    edge.postFailures = [{ status: 503, headers: { 'Retry-After': '60' } }];
    await widget.send('unsent');
    await until(() => edge.posts.length === 1, 'the first attempt');
    await composer().fill('a draft');
    await widget.page.evaluate(() =>
      document.querySelector('main')?.append(/** @type {Node} */ (document.querySelector('chat-widget'))),
    );
    await widget.waitForMessage({ role: 'user', state: 'sending', text: 'unsent' });
    assert.equal(await composer().inputValue(), 'a draft');
    assert.equal(edge.lastEventIds.length, 1, 'the stream is the same');
    // Taken out for longer, it ends its stream, and comes back as it was.
    await widget.page.evaluate(() => {
      const chat = /** @type {Element} */ (document.querySelector('chat-widget'));
      chat.remove();
      Object.assign(globalThis, { chat });
    });
    await until(() => edge.streams.size === 0, 'the stream is closed');
    await widget.page.evaluate(() => document.body.append(Reflect.get(globalThis, 'chat')));
    await widget.waitForStatus('Online');
    assert.equal(await composer().inputValue(), 'a draft');
    assert.deepEqual(await widget.messageTexts(), ['one', 'unsent']);
  });

  test("keys that are typed do not fire the page's shortcuts, and commands do", async () => {
    await widget.openSignedIn();
    await widget.page.evaluate(() => {
      /** @type {string[]} */
      const keys = [];
      Object.assign(globalThis, { keys });
      for (const type of ['keydown', 'keypress', 'keyup'])
        document.addEventListener(type, (event) => keys.push(/** @type {KeyboardEvent} */ (event).key));
    });
    await composer().click();
    await widget.page.keyboard.type('j/? k');
    for (const key of ['ArrowUp', 'Backspace', 'Enter', 'Escape', 'Control+k']) await widget.page.keyboard.press(key);
    await widget.waitForMessage({ role: 'user', text: 'j/?' });
    const keys = await widget.page.evaluate(() => [...new Set(Reflect.get(globalThis, 'keys'))]);
    assert.deepEqual(keys.sort(), ['Control', 'Escape', 'k']);
  });

  test('text has its own size, and text fields are large enough for iOS', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    await widget.page.evaluate(() => (document.documentElement.style.fontSize = '62.5%'));
    assert.deepEqual(await styleOf('.bubble', ['font-size']), ['16px']);
    await widget.page.evaluate(() =>
      /** @type {HTMLElement} */ (document.querySelector('chat-widget')).style.setProperty('--chat-font-size', '13px'),
    );
    assert.deepEqual(await styleOf('.bubble', ['font-size']), ['13px']);
    assert.deepEqual(await styleOf('textarea', ['font-size']), ['16px']);
  });

  test('inherited styles of the page do not leak in', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    const inherited = {
      'letter-spacing': '5px',
      'text-transform': 'uppercase',
      'text-align': 'right',
      'line-height': '60px',
      'word-spacing': '9px',
      'font-style': 'italic',
      'text-indent': '30px',
      'white-space-collapse': 'preserve',
      'text-shadow': 'red 1px 1px 1px',
      cursor: 'help',
    };
    const names = Object.keys(inherited);
    const before = await styleOf('h2', names);
    await widget.page.evaluate((styles) => {
      for (const [name, value] of Object.entries(styles)) document.body.style.setProperty(name, value);
    }, inherited);
    assert.deepEqual(await styleOf('h2', names), before);
    assert.notEqual(await widget.page.evaluate(() => getComputedStyle(document.body).cursor), before.at(-1));
  });

  test('the focus always has a place', async () => {
    for (let i = 0; i < 40; i += 1) edge.publish('message', { id: `m${i}`, text: `line ${i}\n`.repeat(3) });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'line 39' });
    await widget.page.locator('chat-widget .log').evaluate((log) => (log.scrollTop = 0));
    const latest = widget.page.getByRole('button', { name: 'Jump to latest' });
    await latest.click();
    await latest.waitFor({ state: 'hidden' });
    assert.equal(await focused(), 'log');

    edge.postFailures = [{ status: 403, title: 'Closed' }];
    await widget.send('again');
    const retry = widget.page.getByRole('button', { name: 'Try again' });
    await retry.focus();
    await widget.context.setOffline(true);
    await widget.waitForStatus('You are offline');
    assert.equal(await focused(), 'retry', 'the connection took no focus');
    await widget.context.setOffline(false);
    await widget.waitForStatus('Online');
    assert.equal(await focused(), 'retry', 'nor did its return');
    await widget.page.keyboard.press('Enter');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'again' });
    assert.equal(await focused(), 'input');

    edge.user = null;
    edge.cutStreams();
    await widget.page.getByText('Your session has ended').waitFor();
    assert.equal(await focused(), 'sign-in');
  });

  test('a message that always fails holds up no others, and can be sent again', async () => {
    await widget.openSignedIn();
    const broken = { status: 500, title: 'Internal error', headers: { 'Retry-After': '0.01' } };
    edge.postFailures = Array(5).fill(broken);
    await widget.send('first');
    await widget.send('second');
    await widget.waitForMessage({ role: 'user', state: 'failed', text: 'Internal error' });
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'second' });
    await widget.page.getByRole('button', { name: 'Try again' }).click();
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'first' });
  });

  test('a message that waits can be cancelled, which gives its text back', async () => {
    await widget.openSignedIn();
    edge.postFailures = [{ status: 503, headers: { 'Retry-After': '60' } }];
    await widget.send('wrong');
    await until(() => edge.posts.length === 1, 'the first attempt');
    await widget.send('next');
    await widget.page.getByRole('button', { name: 'Cancel' }).first().click();
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'next' });
    assert.deepEqual(await widget.messageTexts(), ['next']);
    assert.equal(await composer().inputValue(), 'wrong');
    assert.equal(await focused(), 'input');
  });

  test('a deletion removes the message', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    edge.publish('message', { id: 'b', text: 'two' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'two' });
    edge.publish('delete', { id: 'a' });
    await widget.page.locator('chat-widget li', { hasText: 'one' }).waitFor({ state: 'detached' });
    assert.deepEqual(await widget.messageTexts(), ['two']);
  });
});
