// A page that includes the widget's first state: what its user sees, and does, before the script runs and after.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import { afterAll } from '../support/after-all.mjs';
import { startStack } from '../support/stack.mjs';
import { NetworkRecorder, launch, sessionOf } from './chromium.mjs';
import { servePage } from './composed-page.mjs';

const { stack } = await startStack(['redis', 'emulators', 'edge'], {}, undefined, 'shell');
const server = await servePage(stack.edgeOrigin, stack.ports.host);
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').Page} */
let page;
const recorder = new NetworkRecorder(stack.edgeOrigin);
const script = `${stack.edgeOrigin}/assets/chat-widget.js`;

before(async () => {
  browser = await launch();
  const context = await browser.newContext();
  context.setDefaultTimeout(20_000);
  recorder.watchAll(context);
  page = await recorder.open(context);
});
afterAll(async () => {
  await browser?.close();
  server.closeAllConnections();
  server.close();
});

test('a visitor signs in by a link that was there before the script', async () => {
  await page.route(script, (route) => route.abort());
  await page.goto(`${stack.hostOrigin}/`);
  await page.getByRole('link', { name: 'Continue with GitHub' }).click();
  await page.waitForURL((url) => url.port === String(stack.ports.github));
  await page.getByRole('button', { name: /Ada Lovelace/ }).click();
  await page.waitForURL(`${stack.hostOrigin}/`);
  await page.getByPlaceholder('Write a message').waitFor();
  assert.equal(await page.locator('chat-widget').getByText('Ada').count(), 0, 'the first state is of no user');
});

test('the script makes a chat of it, and a sign-out leads to the same panel that a visitor gets', async () => {
  await page.unroute(script);
  await page.reload();
  await page.locator('chat-widget').getByText('Ada Lovelace').waitFor();
  assert.equal((await sessionOf(page, stack.edgeOrigin)).user.name, 'Ada Lovelace');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
  const panel = page.locator('chat-widget [part="sign-in"]');
  const built = await panel.ariaSnapshot();
  await page.route(script, (route) => route.abort());
  await page.reload();
  await page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
  assert.equal(withoutAddresses(await panel.ariaSnapshot()), withoutAddresses(built));
});

test('nothing of it offends against a strict policy', () => {
  assert.deepEqual(recorder.errors, []);
});

/** @param {string} snapshot */
const withoutAddresses = (snapshot) => snapshot.replaceAll(/^\s*- \/url:.*\n?/gm, '');
