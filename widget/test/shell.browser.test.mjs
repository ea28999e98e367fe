// The first state that a server has rendered, and the script that takes it over: nobody sees when.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { shell } from '../shell.mjs';
import { ADA } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ');
const PROVIDERS = ['Microsoft', 'GitHub'];

/**
 * The first state, filled in as the edge does.
 * @param {boolean} isSignedIn
 * @param {(provider: string) => string} [href]
 * @param {{ isCompact?: boolean, language?: string }} [options]
 */
function rendered(isSignedIn, href = () => '', { isCompact, language = 'en' } = {}) {
  const { root, panel, link, launcher, close, texts } = shell('shell.css');
  const own = Object.fromEntries(texts.find(([code]) => code === language)?.[1] ?? []);
  const fill = (/** @type {string} */ template, /** @type {Record<string, string>} */ values) =>
    template.replaceAll(/\{(\w+)\}/g, (_, name) => values[name] ?? own[name] ?? assert.fail(name));
  const links = PROVIDERS.map((provider) =>
    fill(link, {
      provider,
      href: href(provider),
      hrefOther: href(provider),
      signIn: fill(own.signIn ?? '', { provider }),
    }),
  );
  return fill(root, {
    stylesheet: '/assets/shell.css',
    state: isSignedIn ? 'connecting' : 'signed-out',
    status: (isSignedIn ? own.connecting : own.signedOut) ?? '',
    hiddenChat: isSignedIn ? '' : ' hidden',
    hiddenPanel: isSignedIn ? ' hidden' : '',
    panel: isSignedIn ? '' : fill(panel, { links: links.join('') }),
    launcher: isCompact ? fill(launcher, {}) : '',
    closeButton: isCompact ? fill(close, {}) : '',
  });
}

describe('a first state that a server has rendered', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  /** @param {string} html the first state @param {string} [attributes] of the element */
  const compose = (html, attributes = '') =>
    edge.pages.set('/composed', {
      policy: POLICY,
      html: `<!doctype html><html lang="en"><title>Shop</title><script type="module" src="/assets/chat-widget.js"></script>
        <body><chat-widget ${attributes}>${html}</chat-widget><p>below</p></body></html>`,
    });

  /**
   * Opens a page with the first state, up to where the script has run and asks who is signed in.
   * @param {string} html
   * @param {string} [attributes] of the element
   * @returns {Promise<() => void>} lets the edge answer
   */
  async function openHeld(html, attributes) {
    compose(html, attributes);
    const release = edge.holdSession();
    await widget.open(`${widget.edgeOrigin}/composed`);
    await widget.page.locator('chat-widget:defined').waitFor();
    return release;
  }

  /**
   * Elements, their attributes and texts, without what only the script knows or sets.
   * @returns {Promise<unknown>}
   */
  const structure = () =>
    widget.page.locator('chat-widget section').evaluate((section) => {
      // message.js adds these to the list when it has loaded, and nothing of them is seen.
      const later = '.older, .latest, .latest ~ .sr-only';
      const own = ['href', 'readonly', 'disabled', 'maxlength', 'style'];
      /** @type {(node: Element) => unknown} */
      const describe = (node) => [
        node.localName,
        ...[...node.attributes]
          .filter(
            ({ name, value }) => value !== '' && !own.includes(name) && !(name === 'class' && /^status/.test(value)),
          )
          .map(({ name, value }) => `${name}=${value}`)
          .sort(),
        node !== section && node.hasAttribute('hidden') && 'hidden',
        /^(status|name|sr-only)/.test(node.className)
          ? ''
          : [...node.childNodes]
              .filter((child) => !(child instanceof Element && child.matches(later)))
              .map((child) => (child instanceof Element ? describe(child) : child.textContent)),
      ];
      return describe(section);
    });

  for (const isSignedIn of [true, false]) {
    const who = isSignedIn ? 'for a signed-in user' : 'for a visitor';

    test(`has the elements ${who} that the script builds`, async () => {
      edge.user = isSignedIn ? ADA : null;
      const release = await openHeld(rendered(isSignedIn));
      const before = await structure();
      release();
      await (isSignedIn ? widget.waitForUser(ADA.name) : widget.page.locator('chat-widget a[href]').first().waitFor());
      assert.deepEqual(before, await structure());
    });
  }

  test('looks the same before and after the script took it over, and moves nothing', async () => {
    const release = await openHeld(rendered(false));
    await widget.page.evaluate(() => {
      Object.assign(globalThis, { shifts: [] });
      new PerformanceObserver((list) => Reflect.get(globalThis, 'shifts').push(...list.getEntries())).observe({
        type: 'layout-shift',
        buffered: true,
      });
    });
    const before = await widget.page.screenshot();
    release();
    await widget.page.locator('chat-widget a[href]').first().waitFor();
    assert.ok(before.equals(await widget.page.screenshot()), 'not one pixel differs');
    assert.equal(await widget.page.evaluate(() => Reflect.get(globalThis, 'shifts').length), 0);
    assert.equal(await widget.page.locator('chat-widget link').count(), 0, 'the script has its own style');
  });

  for (const attributes of ['compact', 'compact open']) {
    test(`of a widget that is ${attributes} looks the same before and after, and then opens and closes`, async () => {
      await widget.page.emulateMedia({ reducedMotion: 'no-preference' });
      await widget.page.route('**/chat-widget.js', (route) => route.abort());
      compose(rendered(false, undefined, { isCompact: true }), attributes);
      await widget.open(`${widget.edgeOrigin}/composed`);
      const { page } = widget;
      const launcher = page.locator('chat-widget .launcher');
      await launcher.waitFor();
      const before = await page.screenshot();
      await page.unroute('**/chat-widget.js');
      const release = edge.holdSession();
      // Nothing of it may be gone for a moment, whatever is loaded first.
      await page.addInitScript(() => {
        Object.assign(globalThis, { gaps: 0 });
        const look = () => {
          const [host] = document.getElementsByTagName('chat-widget');
          const button = host?.shadowRoot?.querySelector('.launcher');
          if (host && !button?.checkVisibility()) Reflect.set(globalThis, 'gaps', Reflect.get(globalThis, 'gaps') + 1);
          requestAnimationFrame(look);
        };
        addEventListener('load', look);
      });
      await page.reload();
      await page.locator('chat-widget .launcher:enabled').waitFor();
      assert.ok(before.equals(await page.screenshot()), 'with the launcher');
      release();
      await page.locator('chat-widget a[href]').first().waitFor({ state: 'attached' });
      assert.ok(before.equals(await page.screenshot()), 'with the chat');
      assert.equal(await page.evaluate(() => Reflect.get(globalThis, 'gaps')), 0);
      assert.equal(await page.locator('chat-widget link').count(), 0, 'the script has its own style');
      assert.deepEqual(
        await Promise.all(
          ['.launcher', '.close', 'section'].map((name) => page.locator(`chat-widget ${name}`).count()),
        ),
        [1, 1, 1],
      );
      if (attributes === 'compact') await launcher.click();
      await page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
      await page.getByRole('button', { name: 'Close chat' }).first().click();
      await page.getByRole('link', { name: 'Continue with GitHub' }).waitFor({ state: 'hidden' });
    });
  }

  test('stays in its language until the script has the texts, too', async () => {
    /** @type {() => void} */
    let deliver = () => {};
    const held = new Promise((resolve) => (deliver = () => resolve(undefined)));
    await widget.page.route('**/language-de.js', async (route) => {
      await held;
      await route.continue();
    });
    const release = await openHeld(rendered(false, undefined, { language: 'de' }), 'lang="de"');
    release();
    await widget.page.waitForFunction(
      () => Reflect.get(document.querySelector('chat-widget') ?? {}, 'status') !== 'connecting',
    );
    const text = () => widget.page.locator('chat-widget').evaluate((host) => host.shadowRoot?.textContent);
    assert.match((await text()) ?? '', /Weiter mit GitHub/);
    assert.doesNotMatch((await text()) ?? '', /Continue with/);
    deliver();
    await widget.page.locator('chat-widget a[href]', { hasText: 'Weiter mit GitHub' }).waitFor();
  });

  test('is styled without the script', async () => {
    await widget.page.route('**/chat-widget.js', (route) => route.abort());
    edge.pages.set('/composed', { policy: POLICY, html: `<chat-widget>${rendered(false)}</chat-widget>` });
    await widget.open(`${widget.edgeOrigin}/composed`);
    const radius = await widget.page
      .locator('chat-widget section')
      .evaluate((section) => getComputedStyle(section).borderRadius);
    assert.equal(radius, '16px');
  });

  test('is not seen without its style', async () => {
    await widget.page.route('**/shell.css', (route) => route.abort());
    const release = await openHeld(rendered(false));
    assert.equal(await widget.page.getByRole('link', { name: 'Continue with GitHub' }).count(), 0);
    release();
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
  });

  test('gives its focus to the same place in the chat', async () => {
    edge.user = ADA;
    const release = await openHeld(rendered(true));
    await widget.page.getByPlaceholder('Write a message').focus();
    await widget.page.keyboard.type('too early');
    release();
    await widget.waitForStatus('Online');
    await widget.page.keyboard.type('Hello');
    await widget.page.keyboard.press('Enter');
    await until(() => edge.posts.length === 1, 'the message is sent');
    assert.equal(edge.posts[0]?.text, 'Hello');
  });

  test('gives the focus of its links to the sign-in panel', async () => {
    const release = await openHeld(rendered(false, (provider) => ` href="/auth/${provider.toLowerCase()}/login"`));
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).focus();
    release();
    await widget.page.locator('chat-widget a[href*="return_to"]').first().waitFor();
    assert.equal(await focused(), 'sign-in');
  });

  const focused = () =>
    widget.page.locator('chat-widget').evaluate((host) => host.shadowRoot?.activeElement?.getAttribute('part'));

  for (const isSignedIn of [true, false])
    test(`of ${isSignedIn ? 'a session that has ended' : 'before the user signed in'} is corrected`, async () => {
      edge.user = isSignedIn ? null : ADA;
      const release = await openHeld(rendered(isSignedIn));
      release();
      if (isSignedIn) await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
      else await widget.waitForStatus('Online');
      assert.equal(await widget.page.locator('chat-widget section').count(), 1);
    });

  test('does not hide that the edge cannot be reached', async () => {
    edge.sessionFailures = [503];
    const release = await openHeld(rendered(false));
    release();
    await widget.waitForStatus('Reconnecting…');
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
  });

  test('goes with the first chat: another channel begins with nothing of it', async () => {
    edge.user = ADA;
    const release = await openHeld(rendered(true));
    await widget.page.locator('chat-widget').evaluate((host) => host.setAttribute('channel', 'other'));
    release();
    await widget.waitForUser(ADA.name);
    assert.equal(await widget.page.locator('chat-widget section').count(), 1);
  });
});
