// The panel with the user's accounts and sessions.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { GRACE } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';
import { violationsOf } from './widget-states.mjs';

const BEGUN = { created_at: '2026-07-02T08:40:00Z', expires_at: '2026-07-03T08:00:00Z' };
const HERE = { id: 'here', label: 'Firefox on Linux', current: true, ...BEGUN };
const PHONE = { id: 'phone', label: 'Safari on iPhone', current: false, ...BEGUN };
const OFFICE = { id: 'office', label: 'Chrome on Windows', current: false, ...BEGUN };

describe('the account panel', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  const name = () => widget.page.getByRole('button', { name: 'Ada Lovelace' });
  const panel = () => widget.page.getByRole('dialog', { name: 'Your account' });
  /** @param {string} text */
  const row = (text) => panel().getByRole('listitem').filter({ hasText: text });
  /** @param {string} label */
  const press = (label) => panel().getByRole('button', { name: label, exact: true }).click();
  /** @param {import('playwright-core').Locator} locator */
  const isFocused = (locator) =>
    locator.evaluate((node) => /** @type {ShadowRoot} */ (node.getRootNode()).activeElement === node);

  /** @param {boolean} [popup] */
  async function openPanel(popup = false) {
    edge.sessions = [HERE, PHONE, OFFICE];
    await widget.openSignedIn();
    await widget.page.evaluate(
      (value) => Object.assign(document.querySelector('chat-widget') ?? {}, { popup: value }),
      popup,
    );
    await name().click();
    await row('Safari on iPhone').waitFor();
  }

  test('tells who is signed in, with which accounts and where', async () => {
    edge.connections = [
      { provider: 'github', own: true },
      { provider: 'entra', sign_in_needed: true },
    ];
    await openPanel();
    assert.equal(await name().getAttribute('aria-expanded'), 'true');
    await panel().getByText('ada@example.com').waitFor();
    await row('GitHub').getByText('You signed in with it').waitFor();
    assert.equal(await row('GitHub').getByRole('button').count(), 0, 'the own account can only be signed out');
    await row('Microsoft').getByText('Sign-in needed').waitFor();
    await row('Microsoft').getByRole('button', { name: 'Sign in again: Microsoft' }).waitFor();
    await row('Firefox on Linux')
      .getByText(/This browser · Since 2 Jul 2026/)
      .waitFor();
    await row('Firefox on Linux').getByRole('button', { name: 'Sign out: Firefox on Linux' }).waitFor();
    assert.deepEqual(await violationsOf(widget), []);
  });

  test('is opened and left by keyboard, and the draft stays', async () => {
    await widget.openSignedIn();
    await widget.page.getByPlaceholder('Write a message').fill('half a thou');
    await name().press('Enter');
    await panel().getByRole('heading', { name: 'Where you are signed in' }).waitFor();
    assert.ok(await isFocused(panel()));
    assert.equal(await widget.page.getByRole('textbox').count(), 0, 'what is covered is not there for anyone');
    await widget.page.keyboard.press('Escape');
    await panel().waitFor({ state: 'detached' });
    assert.ok(await isFocused(name()));
    assert.equal(await name().getAttribute('aria-expanded'), 'false');
    assert.equal(await widget.page.getByPlaceholder('Write a message').inputValue(), 'half a thou');
    await name().press('Enter');
    await widget.page.keyboard.press('Tab');
    await widget.page.keyboard.press('Enter');
    await panel().waitFor({ state: 'detached' });
    assert.ok(await isFocused(name()), 'its first button leads back');
  });

  test('ends one session, and then all others', async () => {
    await openPanel();
    await press('End session: Safari on iPhone');
    await row('Safari on iPhone').waitFor({ state: 'detached' });
    assert.deepEqual(edge.sessions, [HERE, OFFICE]);
    assert.ok(await isFocused(panel()), 'the focus is not lost with the button');
    await widget.waitForNote('Done.');
    await press('End all other sessions');
    await row('Chrome on Windows').waitFor({ state: 'detached' });
    assert.deepEqual(edge.sessions, [HERE]);
    assert.equal(await panel().getByRole('button', { name: 'End all other sessions' }).count(), 0);
  });

  test('disconnects an account, whose button then connects it', async () => {
    edge.connections = [{ provider: 'github', own: true }, { provider: 'entra' }];
    await openPanel();
    await press('Disconnect: Microsoft');
    const connect = panel().getByRole('button', { name: 'Connect: Microsoft', exact: true });
    await connect.waitFor();
    assert.ok(await isFocused(connect));
    await connect.click();
    await until(() => edge.logins.some((query) => query.includes('connect=1')), 'the page is left for the provider');
    await widget.waitForStatus('Online');
    await name().click();
    await row('Microsoft').getByText('Connected').waitFor();
    assert.equal(widget.page.url(), `${widget.hostOrigin}/`);
  });

  test('connects an account in a window of its own, where the page must not be left', async () => {
    await openPanel(true);
    await press('Connect: Microsoft');
    await row('Microsoft').getByText('Connected').waitFor();
    await widget.waitForNote('Done.');
    await panel().getByRole('button', { name: 'Disconnect: Microsoft' }).waitFor();
  });

  test('says that an account was not connected, and that a window was blocked', async () => {
    edge.hasRefusal = true;
    await openPanel(true);
    await press('Connect: Microsoft');
    await widget.waitForNote('The account was not connected.');
    await widget.page.evaluate(() => Object.assign(globalThis, { open: () => null }));
    await press('Connect: Microsoft');
    await widget.waitForNote('Your browser has blocked the sign-in window. Allow it for this page, and try again.');
  });

  test('leads to the edge’s own page where a page has its session from a hand-off', async () => {
    edge.hasHandoff = true;
    await openPanel();
    const link = panel().getByRole('link', { name: 'Open the chat in a window of its own' });
    assert.equal(await link.getAttribute('href'), `${widget.edgeOrigin}/`);
    assert.equal(
      await panel()
        .getByRole('button', { name: /^Connect/ })
        .count(),
      0,
    );
  });

  test('says in plain words what has failed, and changes nothing', async () => {
    await openPanel();
    edge.accountFailures = [503];
    await press('End session: Safari on iPhone');
    await widget.waitForNote('The server does not answer. Please try again.');
    edge.accountFailures = [400];
    await press('End session: Safari on iPhone');
    await widget.waitForNote('That did not work. Please try again.');
    assert.deepEqual(edge.sessions, [HERE, PHONE, OFFICE]);
    assert.ok(await isFocused(panel().getByRole('button', { name: 'End session: Safari on iPhone' })));
  });

  test('can be asked again if the sessions could not be loaded', async () => {
    edge.accountFailures = [503];
    await widget.openSignedIn();
    await name().click();
    await panel().getByRole('button', { name: 'Try again' }).click();
    await panel().getByRole('heading', { name: 'Where you are signed in' }).waitFor();
  });

  test('says if it could not be loaded itself', async () => {
    await widget.openSignedIn();
    const failing = `${widget.edgeOrigin}/assets/account.js*`;
    await widget.context.route(failing, (route) => route.abort());
    await name().click();
    await widget.waitForNote('This could not be loaded.');
    await widget.context.unroute(failing);
    await name().click();
    await panel().waitFor();
  });

  test('is gone with its user', async () => {
    await openPanel();
    edge.replaceSession({ ...GRACE, name: 'Ada Lovelace' });
    await panel().waitFor({ state: 'detached' });
    await name().click();
    await panel().waitFor();
    edge.user = null;
    edge.write('event: end\ndata: {"reason":"revoked"}\n\n');
    await widget.page.getByText('Your session has ended').waitFor();
    assert.equal(await panel().count(), 0);
  });

  test('signs out', async () => {
    await openPanel();
    await press('Sign out: Firefox on Linux');
    await widget.page.getByText('Sign in to start chatting').waitFor();
  });

  test('signing out that failed is said for a while', async () => {
    await widget.openSignedIn();
    await widget.context.route('**/auth/logout', (route) => route.abort());
    await widget.page.getByRole('button', { name: 'Sign out' }).click();
    await widget.waitForNote('Signing out failed.');
  });

  test('in a compact chat, Escape closes the panel before the chat', async () => {
    await widget.openSignedIn();
    await widget.page.evaluate(() => document.querySelector('chat-widget')?.toggleAttribute('compact', true));
    await widget.page.getByRole('button', { name: 'Open chat' }).click();
    await name().click();
    await panel().waitFor();
    await widget.page.keyboard.press('Escape');
    await panel().waitFor({ state: 'detached' });
    assert.ok(await name().isVisible());
    await name().click();
    await panel().waitFor();
    await widget.page.getByRole('button', { name: 'Close chat' }).first().click();
    await widget.page.getByRole('button', { name: 'Open chat' }).click();
    assert.ok(await widget.page.getByPlaceholder('Write a message').isVisible(), 'it opens at the conversation');
  });
});
