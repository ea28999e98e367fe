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
 * @param {boolean} isSignedIn @param {(provider: string) => string} [href]
 */
function rendered(isSignedIn, href = () => '') {
  const { root, panel, link, texts } = shell('shell.css');
  const english = Object.fromEntries(texts[0]?.[1] ?? []);
  const fill = (/** @type {string} */ template, /** @type {Record<string, string>} */ values) =>
    template.replaceAll(/\{(\w+)\}/g, (_, name) => values[name] ?? english[name] ?? assert.fail(name));
  const links = PROVIDERS.map((provider) =>
    fill(link, {
      provider,
      href: href(provider),
      hrefOther: href(provider),
      signIn: fill(english.signIn ?? '', { provider }),
    }),
  );
  return fill(root, {
    stylesheet: '/assets/shell.css',
    state: isSignedIn ? 'connecting' : 'signed-out',
    status: (isSignedIn ? english.connecting : english.signedOut) ?? '',
    hiddenChat: isSignedIn ? '' : ' hidden',
    hiddenPanel: isSignedIn ? ' hidden' : '',
    panel: isSignedIn ? '' : fill(panel, { links: links.join('') }),
  });
}

describe('a first state that a server has rendered', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  /**
   * Opens a page with the first state, up to where the script has run and asks who is signed in.
   * @param {string} html @returns {Promise<() => void>} lets the edge answer
   */
  async function openHeld(html) {
    edge.pages.set('/composed', {
      policy: POLICY,
      html: `<!doctype html><html lang="en"><title>Shop</title><script type="module" src="/assets/chat-widget.js"></script>
        <body><chat-widget>${html}</chat-widget><p>below</p></body></html>`,
    });
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
