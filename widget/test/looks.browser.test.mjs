import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ADA } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';
import { STATES, openState, violationsOf } from './widget-states.mjs';

const NARROW = { width: 320, height: 600 };

describe('every state', () => {
  const widget = useWidgetPage();

  for (const { name, arrange } of STATES) {
    test(`${name}: has no violations that axe finds, and fits a narrow page`, async () => {
      await widget.page.setViewportSize(NARROW);
      await arrange(widget);
      for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
        await widget.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
        assert.deepEqual(await violationsOf(widget), [], colorScheme);
      }
      assert.equal(await widget.page.evaluate(() => document.documentElement.scrollWidth), NARROW.width);
    });
  }
});

describe('languages', () => {
  const widget = useWidgetPage();

  test("are the page's, change with it, and the page's own strings win", async () => {
    widget.edge.user = ADA;
    await openState(widget, { lang: 'de-AT' });
    await widget.waitForStatus('Online');
    await widget.page.getByPlaceholder('Nachricht schreiben').waitFor();
    await widget.page.evaluate(() => {
      const chat = /** @type {any} */ (document.querySelector('chat-widget'));
      chat.strings = { send: 'Ab damit' };
      chat.lang = 'fr';
    });
    await widget.page.getByPlaceholder('Écrire un message').waitFor();
    await widget.page.getByRole('button', { name: 'Ab damit' }).waitFor();
    await widget.page.evaluate(() => document.querySelector('chat-widget')?.setAttribute('lang', 'en_GB'));
    await widget.page.getByPlaceholder('Write a message').waitFor();
  });

  test("follow the browser's language on a page that names none, and its direction", async () => {
    await widget.context.close();
    await widget.newPage({ locale: 'ar' });
    await openState(widget);
    await widget.page.evaluate(() => {
      document.documentElement.removeAttribute('lang');
      document.querySelector('chat-widget')?.setAttribute('heading', '');
    });
    await widget.page.getByText('سجّل الدخول لبدء المحادثة').waitFor();
    const direction = await widget.page
      .locator('chat-widget .shell')
      .evaluate((node) => getComputedStyle(node).direction);
    assert.equal(direction, 'rtl');
  });

  /**
   * Holds up the texts of a language.
   * @param {string} code @returns {Promise<() => void>} delivers them
   */
  async function holdTexts(code) {
    /** @type {() => void} */
    let deliver = () => {};
    const held = new Promise((resolve) => (deliver = () => resolve(undefined)));
    await widget.context.route(`**/language-${code}.js`, async (route) => {
      await held;
      await route.continue().catch(() => {});
    });
    return deliver;
  }
  const shown = () => widget.page.locator('chat-widget').evaluate((host) => host.shadowRoot?.textContent ?? '');

  for (const isSignedIn of [true, false])
    test(`are the first that show${isSignedIn ? '' : ' to a visitor'}, however late they come`, async () => {
      const deliver = await holdTexts('de');
      widget.edge.user = isSignedIn ? ADA : null;
      widget.edge.publish('message', { text: 'Hallo' });
      await openState(widget, { lang: 'de' });
      const status = isSignedIn ? 'online' : 'signed-out';
      await widget.page.locator(`chat-widget:state(${status})`).waitFor();
      assert.equal(await shown(), '', 'nothing yet');
      deliver();
      if (isSignedIn) await widget.page.getByText('Hallo').first().waitFor();
      else await widget.page.getByRole('link', { name: 'Weiter mit GitHub' }).waitFor();
      await widget.page
        .locator('chat-widget .sr-only', { hasText: isSignedIn ? 'Online' : 'Nicht angemeldet' })
        .waitFor();
      assert.doesNotMatch(await shown(), /Sign|Write|Connecting/);
    });

  test('stay until the next ones are there', async () => {
    const deliver = await holdTexts('fr');
    widget.edge.user = ADA;
    await openState(widget, { lang: 'de' });
    await widget.page.getByPlaceholder('Nachricht schreiben').waitFor();
    await widget.page.evaluate(() => document.querySelector('chat-widget')?.setAttribute('lang', 'fr'));
    assert.equal(await widget.page.getByPlaceholder('Nachricht schreiben').count(), 1);
    deliver();
    await widget.page.getByPlaceholder('Écrire un message').waitFor();
  });

  test('that take too long are English until they are there', async () => {
    const deliver = await holdTexts('ja');
    await openState(widget, { lang: 'ja' });
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    deliver();
    await widget.page.getByRole('link', { name: 'GitHub で続ける' }).waitFor();
  });

  test('that cannot be loaded leave the texts English', async () => {
    await widget.context.route(/adapt/, (route) => route.abort());
    await openState(widget, { lang: 'ja' });
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
  });
});

describe('a compact widget', () => {
  const widget = useWidgetPage();
  const launcher = () => widget.page.locator('chat-widget .launcher');
  const isOpen = () => widget.page.locator('chat-widget .shell').isVisible();
  const focused = () =>
    widget.page.evaluate(
      () => document.activeElement?.shadowRoot?.activeElement?.getAttribute('part') ?? document.activeElement?.tagName,
    );

  test('opens and closes by keyboard, and the focus goes along', async () => {
    widget.edge.user = ADA;
    await openState(widget, { compact: '' });
    await launcher().waitFor();
    await until(() => widget.edge.streams.size === 1, 'the stream');
    assert.equal(await isOpen(), false);
    await widget.page.keyboard.press('Tab');
    assert.equal(await focused(), 'launcher');
    assert.equal(await launcher().getAttribute('aria-expanded'), 'false');
    await widget.page.keyboard.press('Enter');
    await widget.page.getByRole('dialog', { name: 'Chat' }).waitFor();
    assert.equal(await focused(), 'input');
    await widget.page.keyboard.press('Escape');
    assert.equal(await isOpen(), false);
    assert.equal(await focused(), 'launcher');
    await widget.page.keyboard.press('Enter');
    await widget.page.getByRole('button', { name: 'Close chat' }).first().click();
    assert.equal(await isOpen(), false);
    assert.equal(await focused(), 'launcher');
  });

  test('counts what has come while it was closed, and tells the page', async () => {
    widget.edge.user = ADA;
    widget.edge.publish('message', { text: 'before anyone looked' });
    await openState(widget, { compact: '' });
    await widget.page.evaluate(() => {
      /** @type {unknown[]} */
      const heard = [];
      Object.assign(globalThis, { heard });
      for (const name of ['chat-unread', 'chat-toggle'])
        document.addEventListener(name, (event) => heard.push(Reflect.get(event, 'detail')));
    });
    await widget.page.locator('chat-widget .copy-message').waitFor({ state: 'attached' });
    widget.edge.publish('message', { text: 'one' });
    await widget.page.getByRole('button', { name: 'Open chat, 1 new message' }).waitFor();
    widget.edge.publish('message', { text: 'two' });
    await widget.page.getByRole('button', { name: 'Open chat, 2 new messages' }).waitFor();
    await launcher().click();
    await widget.page.locator('chat-widget .message', { hasText: 'New' }).filter({ hasText: 'one' }).waitFor();
    await launcher().click();
    await widget.page.getByRole('button', { name: 'Open chat', exact: true }).waitFor();
    assert.deepEqual(await widget.page.evaluate(() => Reflect.get(globalThis, 'heard')), [
      { count: 1 },
      { count: 2 },
      { open: true },
      { count: 0 },
      { open: false },
    ]);
  });

  test('comes later if a part of it could not be loaded', async () => {
    await widget.page.clock.install();
    await widget.context.route(/\/launcher\.js/, (route) => route.abort());
    const failed = widget.page.waitForEvent('requestfailed', (request) => request.url().includes('launcher.js?'));
    await openState(widget, { compact: '', lang: 'de' });
    await failed;
    await widget.context.unroute(/\/launcher\.js/);
    await widget.page.clock.fastForward(20_000);
    await widget.page.getByRole('button', { name: 'Chat öffnen' }).waitFor();
  });

  test('can be opened by the page, which keeps the focus', async () => {
    await openState(widget, { compact: '' });
    await launcher().waitFor();
    await widget.page.evaluate(() => document.querySelector('chat-widget')?.setAttribute('open', ''));
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    assert.equal(await focused(), 'BODY');
  });

  test('covers a small page, and closes when the focus leaves it', async () => {
    widget.edge.user = ADA;
    await widget.page.setViewportSize(NARROW);
    await widget.page.emulateMedia({ reducedMotion: 'reduce' });
    await openState(widget, { compact: '' });
    await widget.page.evaluate(() =>
      document.body.append(Object.assign(document.createElement('button'), { id: 'behind' })),
    );
    await launcher().click();
    await widget.page.getByPlaceholder('Write a message').waitFor();
    const { x = 1, y = 1, width, height } = (await widget.page.locator('chat-widget .shell').boundingBox()) ?? {};
    assert.deepEqual(
      [x, y, width, height].map((value) => Math.round(value ?? 0)),
      [0, 0, NARROW.width, NARROW.height],
    );
    await widget.page.evaluate(() => document.getElementById('behind')?.focus());
    await launcher().waitFor();
    assert.equal(await isOpen(), false);
  });
});
