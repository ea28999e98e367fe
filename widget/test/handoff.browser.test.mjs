import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import { useWidgetPage } from './widget-page.mjs';

describe('sign-in on a page of another site', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  beforeEach(() => {
    edge.hasHandoff = true;
  });

  const storedVerifier = () => widget.page.evaluate(() => sessionStorage.getItem('chat-widget-handoff'));

  test('redeems the code once, and removes code and verifier', async () => {
    await widget.open(`${widget.hostOrigin}/?order=7#part`);
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.waitForStatus('Online');
    assert.equal(widget.page.url(), `${widget.hostOrigin}/?order=7#part`, 'the address is the same as before');
    assert.deepEqual(edge.redemptions, [true]);
    assert.equal(await storedVerifier(), null);
    await widget.page.reload();
    await widget.waitForStatus('Online');
    assert.deepEqual(edge.redemptions, [true]);
    await widget.page.getByRole('button', { name: 'Sign out' }).click();
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.waitForStatus('Online');
    assert.deepEqual(edge.redemptions, [true, true], 'the second sign-in has its own code');
  });

  test('redeems one code for all widgets of the page', async () => {
    await widget.page.route(`${widget.hostOrigin}/host.js`, (route) =>
      route.fulfill({
        contentType: 'text/javascript',
        body: `import { mount } from '${widget.edgeOrigin}/assets/chat-widget.js';
        for (const edge of ['${widget.edgeOrigin}', '', '${widget.edgeOrigin}']) mount(document.body, { edge });`,
      }),
    );
    await widget.open();
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).first().click();
    await widget.page.waitForFunction(
      () =>
        [...document.querySelectorAll('chat-widget')].filter((element) => Reflect.get(element, 'status') === 'online')
          .length >= 3,
    );
    assert.deepEqual(edge.redemptions, [true]);
  });

  for (const asks of [true, false])
    test(`redeems the code for the widget if the client, which ${asks ? 'asks' : 'does not ask'}, comes first`, async () => {
      await widget.page.route(`${widget.hostOrigin}/host.js`, (route) =>
        route.fulfill({
          contentType: 'text/javascript',
          body: `import { createClient } from '${widget.edgeOrigin}/assets/client.js';
          const client = createClient({ edge: '${widget.edgeOrigin}' });
          if (${asks}) await client.session();
          const { mount } = await import('${widget.edgeOrigin}/assets/chat-widget.js');
          mount(document.body);`,
        }),
      );
      await widget.open();
      await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
      await widget.waitForStatus('Online');
      assert.deepEqual(edge.redemptions, [true]);
    });

  test('S154: reports blocked cookies, and offers a new window instead of another sign-in', async () => {
    edge.isCookieBlocked = true;
    await widget.open();
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.page.getByText('Your browser may be blocking cookies').waitFor();
    assert.equal(await widget.page.getByRole('link', { name: /Continue with/ }).count(), 0);
    const [newWindow] = await Promise.all([
      widget.context.waitForEvent('page'),
      widget.page.getByRole('link', { name: 'Open the chat in a window of its own' }).click(),
    ]);
    await newWindow.waitForURL(`${widget.edgeOrigin}/`);
    assert.equal(await newWindow.evaluate(() => opener), null);
    assert.equal(widget.page.url(), `${widget.hostOrigin}/`, 'this page stays open');
    await widget.page.evaluate(() => dispatchEvent(new Event('focus')));
    assert.deepEqual(edge.redemptions, [true]);
    // Once the browser allows the cookie, sign-in works as usual.
    edge.isCookieBlocked = false;
    await widget.page.reload();
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.waitForStatus('Online');
  });

  test('drops a code that it has no verifier for, and one that is rejected', async () => {
    await widget.open(`${widget.hostOrigin}/?order=7#causeway=stolen`);
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    assert.equal(widget.page.url(), `${widget.hostOrigin}/?order=7`);
    assert.deepEqual(edge.redemptions, [], 'a code without a verifier is not sent');
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    await widget.page.evaluate(
      (origin) => sessionStorage.setItem('chat-widget-handoff', JSON.stringify(['another', origin, ''])),
      widget.edgeOrigin,
    );
    await widget.page.goto('about:blank');
    await widget.open(`${widget.hostOrigin}/#causeway=stolen`);
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    assert.deepEqual(edge.redemptions, [false]);
    assert.equal(widget.page.url(), `${widget.hostOrigin}/`);
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.waitForStatus('Online');
  });

  test('a cancelled sign-in leaves neither a verifier nor a request, and the address as it was', async () => {
    await widget.open(`${widget.hostOrigin}/?order=7#part`);
    const returns = (/** @type {import('playwright-core').Route} */ route) =>
      route.fulfill({
        status: 303,
        headers: { location: `${widget.hostOrigin}/?order=7#causeway_error=cancelled` },
      });
    await widget.page.route('**/login?*', returns);
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.page.getByText('The sign-in was cancelled').waitFor();
    assert.equal(widget.page.url(), `${widget.hostOrigin}/?order=7#part`);
    assert.equal(await storedVerifier(), null);
    assert.deepEqual(edge.redemptions, []);
    await widget.page.unroute('**/login?*', returns);
    await widget.page.getByTitle('GitHub').click();
    await widget.waitForStatus('Online');
    assert.deepEqual(edge.redemptions, [true]);
  });

  test("does not ask for a code on the edge's own page", async () => {
    await widget.open(`${widget.edgeOrigin}/`);
    const href = await widget.page.getByRole('link', { name: 'Continue with GitHub' }).getAttribute('href');
    assert.equal(href, `${widget.edgeOrigin}/auth/github/login?return_to=%2F`);
  });
});
