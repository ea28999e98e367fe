// The product as a user sees it: on a host page, by clicking.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';

import { afterAll } from '../support/after-all.mjs';
import { leaks, secretValues } from '../support/leak.mjs';
import { NetworkRecorder, launch, sessionOf, storageOf } from './chromium.mjs';
import { github, graph, kafka, stack } from './product.mjs';

const pictures = process.env.CAUSEWAY_PICTURES ?? join(stack.state, 'pictures');
mkdirSync(pictures, { recursive: true });

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').Page} */
let page;
const recorder = new NetworkRecorder(stack.edgeOrigin);

before(async () => {
  browser = await launch();
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  context.setDefaultTimeout(20_000);
  recorder.watchAll(context);
  page = await recorder.open(context);
});

afterAll(() => browser?.close());

/** @param {string} name */
const screenshot = (name) => page.screenshot({ path: join(pictures, `${name}.png`) });
/** @param {'user' | 'assistant'} role @param {string | RegExp} [text] */
const messages = (role, text) => page.locator(`chat-widget li.${role}`).filter(text ? { hasText: text } : {});

/** @param {string} text */
async function sendMessage(text) {
  await page.getByPlaceholder('Write a message').fill(text);
  await page.keyboard.press('Enter');
}

test('a visitor finds the widget on the page, and both ways to sign in', async () => {
  await page.goto(`${stack.hostOrigin}/`);
  await page.getByRole('link', { name: /GitHub/ }).waitFor();
  await page.getByRole('link', { name: /Microsoft/ }).waitFor();
  await screenshot('1-visitor');
});

test('the visitor signs in at GitHub and comes back to the same page', async () => {
  await page.getByRole('link', { name: /GitHub/ }).click();
  await page.waitForURL((url) => url.port === String(stack.ports.github));
  await screenshot('2-provider');
  await page.getByRole('button', { name: /Ada Lovelace/ }).click();
  await page.waitForURL(`${stack.hostOrigin}/`);
  await page.locator('chat-widget').getByText('Ada Lovelace').waitFor();
  await page.getByPlaceholder('Write a message').waitFor();
});

test('the user sends a message, sees it once, and the answer streams in', async () => {
  await sendMessage('Where is shipment LF-20797?');
  await messages('user', 'Where is shipment LF-20797?').waitFor();
  await messages('assistant').first().waitFor();
  await page.locator('chat-widget li.assistant[data-state="done"]').first().waitFor();
  assert.equal(await messages('user', 'Where is shipment LF-20797?').count(), 1);
  assert.equal(await messages('assistant').count(), 1);
  assert.notEqual((await messages('assistant').locator('.bubble').textContent())?.trim(), '');
  await screenshot('3-answered');
});

test("the example backend's records are those of docs/asyncapi.yaml", async () => {
  // Reading compares each record with the document.
  const records = await kafka.read('chat.outbound');
  const kinds = records.map(({ headers }) => (headers.ce_causewayecho ? 'echo' : headers.ce_type));
  for (const kind of ['echo', 'delta', 'message']) assert.ok(kinds.includes(kind), `${kind} among ${kinds}`);
  assert.ok((await kafka.read('chat.inbound')).length > 0);
});

test('a record from another backend appears without a click, and its markup stays text', async () => {
  const { user } = await sessionOf(page, stack.edgeOrigin);
  const text = 'Your container <img src=x onerror="document.title=1"> is cleared.';
  await kafka.write({ key: user.id, value: { text } });
  await messages('assistant', text).waitFor();
  assert.equal(await page.locator('chat-widget li img').count(), 0);
});

test('messages of both sides during an outage of the edge appear after it, once', async () => {
  const { user } = await sessionOf(page, stack.edgeOrigin);
  await stack.parts.edge.kill();
  await page
    .locator('chat-widget')
    .getByText(/Reconnecting|offline/i)
    .first()
    .waitFor();
  await sendMessage('Sent while the edge was down');
  await kafka.write({ key: user.id, value: { text: 'Written while the edge was down' } });
  await stack.parts.edge.start();
  await messages('assistant', 'Written while the edge was down').waitFor();
  await messages('user', 'Sent while the edge was down').waitFor();
  await page.locator('chat-widget').locator('[part~="status"]', { hasText: 'Online' }).waitFor();
  // The answer to it proves that the waiting message was sent.
  await page.locator('chat-widget li.assistant[data-state="done"]').nth(3).waitFor();
  assert.equal(await messages('assistant', 'Written while the edge was down').count(), 1);
  assert.equal(await messages('user', 'Sent while the edge was down').count(), 1);
  const sent = (await kafka.read('chat.inbound')).filter(({ value }) => value.includes('Sent while the edge was down'));
  assert.equal(sent.length, 1);
  await screenshot('4-reconnected');
});

test('a reload shows the same conversation', async () => {
  const before = await page.locator('chat-widget li .bubble').allTextContents();
  await page.reload();
  await messages('assistant', 'Written while the edge was down').waitFor();
  await page.waitForFunction(
    (count) => document.querySelector('chat-widget')?.shadowRoot?.querySelectorAll('li .bubble').length === count,
    before.length,
  );
  assert.deepEqual(await page.locator('chat-widget li .bubble').allTextContents(), before);
});

test('a second tab shows the conversation, too, and both show new messages', async () => {
  const tab = await recorder.open(page.context());
  await tab.goto(`${stack.hostOrigin}/`);
  await tab.locator('chat-widget li.assistant').first().waitFor();
  await sendMessage('To both tabs');
  await messages('user', 'To both tabs').waitFor();
  await tab.locator('chat-widget li.user').filter({ hasText: 'To both tabs' }).waitFor();
  await tab.close();
});

test('nothing that the page can read holds a token or a secret', async () => {
  const values = [...secretValues(stack.secrets), ...github.tokens(), ...graph.tokens()];
  const onHostPage = await storageOf(page);
  assert.deepEqual(leaks(onHostPage, values), [], 'storage of the host page');
  assert.ok(!onHostPage.includes('__Host-Http-session'), 'no script reads the session cookie');

  const ownPage = await recorder.open(page.context());
  await ownPage.goto(`${stack.edgeOrigin}/`);
  await ownPage.locator('chat-widget').waitFor();
  await ownPage.locator('chat-widget').getByText('Ada Lovelace').waitFor();
  assert.deepEqual(leaks(await storageOf(ownPage), values), [], "storage of the edge's own page");
  await ownPage.close();

  const seen = await recorder.all();
  assert.ok(
    seen.some(({ url }) => url === 'stream') && seen.some(({ url }) => url.endsWith('/events/chat')),
    'streams and posts were recorded',
  );
  assert.ok(
    seen.some(({ url, text }) => url.includes('/auth/session') && text.includes('"Ada Lovelace"')),
    'bodies were recorded',
  );
  assert.deepEqual(recorder.unreadable, [], 'every body could be read');
  for (const { url, text } of seen) assert.deepEqual(leaks(text, values), [], url);
});

test("S60: another page of the same host can neither replace the session's cookie nor set one beside it", async () => {
  const own = async () =>
    (await page.context().cookies([stack.edgeOrigin, `${stack.edgeOrigin}/auth/session`]))
      .filter(({ name }) => name.startsWith('__Host-'))
      .map(({ name, value }) => [name, value]);
  const before = await own();
  assert.deepEqual(
    before.map(([name]) => name),
    ['__Host-Http-session'],
  );
  for (const attributes of [
    'Domain=localhost; Path=/; Secure',
    'Domain=localhost; Path=/auth; Secure',
    'Path=/auth; Secure',
    'Path=/; Secure',
    'Path=/',
  ]) {
    await page.evaluate((cookie) => (document.cookie = cookie), `__Host-Http-session=evil; ${attributes}`);
    assert.deepEqual(await own(), before, attributes);
  }
  await page.reload();
  await page.locator('chat-widget').getByText('Ada Lovelace').waitFor();
});

test('the user signs out and is a visitor again', async () => {
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('link', { name: /GitHub/ }).waitFor();
  await page.reload();
  await page.getByRole('link', { name: /GitHub/ }).waitFor();
  await screenshot('5-signed-out');
});

test('no script failed and no content security policy was violated', () => {
  assert.deepEqual(recorder.errors, []);
});
