// Signing in and out where the page must not be left: the attribute `popup`.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until, useWidgetPage } from './widget-page.mjs';

describe('sign-in in a window of its own', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  /** @param {string | boolean} value of the property */
  async function openWithPopup(value = true) {
    await widget.open(`${widget.hostOrigin}/?order=7#part`);
    await widget.page.evaluate((popup) => {
      Object.assign(document.querySelector('chat-widget') ?? {}, { popup });
      // Is gone if the page is left.
      Object.assign(globalThis, { isSamePage: true });
    }, value);
    return widget.page.getByRole('link', { name: 'Continue with GitHub' });
  }

  async function assertSamePage() {
    assert.equal(widget.page.url(), `${widget.hostOrigin}/?order=7#part`);
    assert.equal(await widget.page.evaluate(() => Reflect.get(globalThis, 'isSamePage')), true);
  }

  /** @param {import('playwright-core').Page} popup */
  async function isClosed(popup) {
    if (!popup.isClosed()) await popup.waitForEvent('close');
  }

  for (const hasHandoff of [false, true]) {
    test(`leaves the page where it is, ${hasHandoff ? 'with' : 'without'} a hand-off`, async () => {
      edge.hasHandoff = hasHandoff;
      const link = await openWithPopup();
      const [popup] = await Promise.all([widget.context.waitForEvent('page'), link.click()]);
      await widget.waitForUser('Ada Lovelace');
      await widget.waitForStatus('Online');
      await isClosed(popup);
      await assertSamePage();
      assert.deepEqual(edge.redemptions, hasHandoff ? [true] : []);
    });
  }

  test('a window that is closed changes nothing, and the next one works', async () => {
    const link = await openWithPopup();
    await widget.context.route('**/login?*', (route) => route.fulfill({ body: 'the provider asks' }));
    const [popup] = await Promise.all([widget.context.waitForEvent('page'), link.click()]);
    await popup.waitForURL('**/login?*');
    await popup.close();
    await widget.context.unroute('**/login?*');
    await link.click();
    await widget.waitForStatus('Online');
    await assertSamePage();
  });

  test('a window that the browser blocks is told, and the page stays', async () => {
    const link = await openWithPopup();
    await widget.page.evaluate(() => Object.assign(globalThis, { open: () => null }));
    await link.click();
    await widget.page.getByRole('status').filter({ hasText: 'Your browser has blocked the sign-in window.' }).waitFor();
    await assertSamePage();
  });

  test('signing out does not leave the page for the provider', async () => {
    edge.endsAtProvider = true;
    const link = await openWithPopup();
    await link.click();
    await widget.waitForStatus('Online');
    await widget.page.getByRole('button', { name: 'Sign out' }).click();
    await widget.page.getByText('Sign in to start chatting').waitFor();
    await until(() => edge.streams.size === 0, 'the stream is closed');
    assert.deepEqual(edge.logoutRedirects, []);
    await assertSamePage();
  });

  test('"false" is off, as frameworks write it', async () => {
    const link = await openWithPopup('false');
    await link.click();
    await widget.waitForStatus('Online');
    assert.equal(widget.context.pages().length, 1);
  });
});
