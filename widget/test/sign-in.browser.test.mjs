import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { GRACE } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

describe('sign-in', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  test('offers a link for each provider, which returns to the current page', async () => {
    await widget.open(`${widget.hostOrigin}/?order=7#part`);
    const links = widget.page.getByRole('link', { name: /Continue with/ });
    await links.first().waitFor();
    const hrefs = await links.evaluateAll((all) => all.map((a) => a.getAttribute('href')));
    const returnTo = encodeURIComponent(`${widget.hostOrigin}/?order=7#part`);
    assert.deepEqual(
      hrefs,
      ['entra', 'github'].map((id) => `${widget.edgeOrigin}/auth/${id}/login?return_to=${returnTo}`),
    );
    assert.equal(edge.lastEventIds.length, 0, 'no stream before sign-in');
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.waitForStatus('Online');
    assert.equal(widget.page.url(), `${widget.hostOrigin}/?order=7#part`);
  });

  test('returns to the address at the time of the click', async () => {
    await widget.open();
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    await widget.page.evaluate(() => history.pushState(null, '', '/?order=8#shipments'));
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.waitForStatus('Online');
    assert.equal(widget.page.url(), `${widget.hostOrigin}/?order=8#shipments`);
  });

  test('S154: reports a sign-in without effect, as when third-party cookies are blocked', async () => {
    await widget.open();
    await widget.page.route('**/login?*', (route) =>
      route.fulfill({ status: 303, headers: { location: `${widget.hostOrigin}/` } }),
    );
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.page.getByText('The sign-in did not take effect').waitFor();
  });

  test('offers another account at each provider, for which the provider asks', async () => {
    await widget.open(`${widget.hostOrigin}/?order=7#part`);
    // One below each provider's link.
    const links = widget.page.getByRole('link', { name: 'Use another account' });
    const link = links.and(widget.page.getByTitle('GitHub'));
    const returnTo = encodeURIComponent(`${widget.hostOrigin}/?order=7#part`);
    const login = `${widget.edgeOrigin}/auth/github/login`;
    assert.equal(await link.getAttribute('href'), `${login}?return_to=${returnTo}&prompt=select_account`);
    assert.equal(await links.count(), 2);
    assert.equal(
      await widget.page.getByRole('link', { name: /GitHub/ }).count(),
      1,
      'the name is that of no other link',
    );
    await link.click();
    await widget.waitForStatus('Online');
  });

  for (const [before, after] of [
    ['#part', '#part&causeway_error=cancelled'],
    ['', '#causeway_error=cancelled'],
  ]) {
    test(`reports a cancelled sign-in at ${after}, and offers it again`, async () => {
      await widget.open(`${widget.hostOrigin}/?order=7${before}`);
      const returns = (/** @type {import('playwright-core').Route} */ route) =>
        route.fulfill({ status: 303, headers: { location: `${widget.hostOrigin}/?order=7${after}` } });
      await widget.page.route('**/login?*', returns);
      await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
      await widget.page.getByText('The sign-in was cancelled').waitFor();
      assert.equal(widget.page.url(), `${widget.hostOrigin}/?order=7${before}`);
      await widget.page.evaluate(() => dispatchEvent(new Event('focus')));
      assert.equal(await widget.page.getByText('Your browser may be blocking cookies').count(), 0);
      await widget.page.unroute('**/login?*', returns);
      await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
      await widget.waitForStatus('Online');
      await widget.page.getByRole('button', { name: 'Sign out' }).click();
      await widget.page.getByText('You will come back to this page').waitFor();
    });
  }

  test('sign-out removes the conversation and closes the stream', async () => {
    edge.publish('message', { id: 'a', text: 'secret' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'secret' });
    await widget.page.getByRole('button', { name: 'Sign out' }).click();
    await widget.page.getByText('Sign in to start chatting').waitFor();
    assert.deepEqual(await widget.messageTexts(), []);
    await until(() => edge.streams.size === 0, 'the stream is closed');
  });

  test('sign-out continues at a provider that supports it, and returns to the same address', async () => {
    edge.endsAtProvider = true;
    await widget.openSignedIn();
    await widget.page.evaluate(() => history.pushState(null, '', '/?order=8#shipments'));
    await widget.page.getByRole('button', { name: 'Sign out' }).click();
    await until(() => edge.logoutRedirects.length === 1, 'the browser goes to the provider');
    await widget.page.waitForURL(`${widget.hostOrigin}/?order=8#shipments`);
    await widget.page.getByText('Sign in to start chatting').waitFor();
    assert.deepEqual(edge.logoutRedirects, [`${widget.hostOrigin}/?order=8#shipments`]);
  });

  test('the stream is not reopened after the session was revoked', async () => {
    await widget.openSignedIn();
    edge.user = null;
    edge.write('event: end\ndata: {"reason":"revoked"}\n\n');
    await widget.page.getByText('Your session has ended').waitFor();
    await until(() => edge.streams.size === 0, 'the stream is closed');
    assert.equal(edge.lastEventIds.length, 1);
  });

  test('another user sees no messages of the previous one', async () => {
    edge.publish('message', { id: 'a', text: 'for Ada' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'for Ada' });
    edge.history = [];
    edge.user = GRACE;
    await widget.page.evaluate(() => dispatchEvent(new Event('focus')));
    await widget.waitForUser('Grace Hopper');
    await until(() => edge.streams.size === 1, 'one stream');
    assert.deepEqual(await widget.messageTexts(), []);
  });

  test('a panel that failed to load can be tried again', async () => {
    const failing = `${widget.edgeOrigin}/assets/sign-in.js*`;
    await widget.context.route(failing, (route) => route.abort());
    await widget.open();
    const again = widget.page.getByRole('button', { name: 'Try again' });
    await again.waitFor();
    await widget.context.unroute(failing);
    await again.click();
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
  });
});
