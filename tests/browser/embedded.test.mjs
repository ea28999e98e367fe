// The widget on a page of another site than the edge, where browsers partition cookies or block them.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { startEmbedded } from '../support/embedded.mjs';
import { afterAll } from '../support/after-all.mjs';
import { NetworkRecorder, launchWithProfile, sessionOf, storageOf } from './chromium.mjs';

const { stack, pageOrigin } = await startEmbedded(['redis', 'emulators', 'edge', 'host']);
/** @type {import('playwright-core').BrowserContext[]} */
const browsers = [];
afterAll(() => Promise.all(browsers.map((browser) => browser.close())));

/** Opens the page in a new browser with these preferences. @param {string} name @param {object} preferences */
async function open(name, preferences) {
  const browser = await launchWithProfile(join(stack.state, `profile-${name}`), preferences);
  browsers.push(browser);
  browser.setDefaultTimeout(20_000);
  const recorder = new NetworkRecorder(stack.edgeOrigin);
  recorder.watchAll(browser);
  const page = await recorder.open(browser);
  /** @type {string[]} */
  const errors = [];
  /** @type {string[]} method, URL and referrer of each request */
  const requests = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('console', (message) => {
    if (/Content.Security.Policy|Trusted ?Type|violates/i.test(message.text())) errors.push(message.text());
  });
  /** @type {string[]} codes that were exchanged for a session */
  const codes = [];
  page.on('request', (request) => {
    requests.push(`${request.method()} ${request.url()} ${request.headers().referer ?? ''}`);
    if (request.url() === `${stack.edgeOrigin}/auth/handoff`) codes.push(JSON.parse(request.postData() ?? '{}').code);
  });
  await page.goto(`${pageOrigin}/?order=7#part`);
  return { browser, recorder, page, errors, requests, codes };
}

/** @param {import('playwright-core').Page} page @param {RegExp} who */
async function signIn(page, who) {
  await page.getByRole('link', { name: /GitHub/ }).click();
  await page.waitForURL((url) => url.port === String(stack.ports.github));
  await page.getByRole('button', { name: who }).click();
  await page.waitForURL((url) => url.origin === pageOrigin);
}

test('M58: a page that sends no referrer signs its user in; a link on another page asks for confirmation', async () => {
  const { browser, recorder, page, requests } = await open('hidden', {});
  await page.evaluate(() =>
    document.head.append(Object.assign(document.createElement('meta'), { name: 'referrer', content: 'no-referrer' })),
  );
  await signIn(page, /Ada Lovelace/);
  await page.locator('chat-widget').getByText('Ada Lovelace').waitFor();
  const logins = requests.filter((request) => request.includes('/login?'));
  assert.deepEqual(
    logins.map((request) => request.split(' ')[2]),
    [`${pageOrigin}/`],
    'one login, with the origin alone as referrer',
  );
  // A data: page has an opaque origin, so it is another site than the edge's, as any page with a link is.
  const other = await recorder.open(browser);
  await other.goto(`data:text/html,<script>location = '${stack.edgeOrigin}/auth/github/login?return_to=/'</script>`);
  await other.getByRole('heading', { name: 'Sign in with GitHub?' }).waitFor();
  assert.equal(
    (await browser.cookies()).filter(({ name }) => name.startsWith('__Host-Http-')).length,
    1,
    'no sign-in has begun',
  );
  await other.getByRole('link', { name: 'Continue with GitHub' }).click();
  await other.getByRole('button', { name: /Grace Hopper/ }).click();
  await other.waitForURL(`${stack.edgeOrigin}/`);
  await other.locator('chat-widget').getByText('Grace Hopper').waitFor();
});

for (const [name, preferences] of /** @type {const} */ ([
  ['with default settings', {}],
  ['that blocks third-party cookies', { profile: { cookie_controls_mode: 1, block_third_party_cookies: true } }],
])) {
  describe(`S155: in a browser ${name}`, () => {
    /** @type {Awaited<ReturnType<typeof open>>} */
    let opened;

    test('the user signs in and returns to the same page of the other site', async () => {
      opened = await open(name.replaceAll(' ', '-'), preferences);
      const { page, requests } = opened;
      await signIn(page, /Ada Lovelace/);
      await page.locator('chat-widget').getByText('Ada Lovelace').waitFor();
      assert.equal(page.url(), `${pageOrigin}/?order=7#part`);
      assert.equal((await sessionOf(page, stack.edgeOrigin)).user.name, 'Ada Lovelace');
      assert.ok(requests.some((request) => request.startsWith(`POST ${stack.edgeOrigin}/auth/handoff`)));
      assert.deepEqual(
        requests.filter(
          (request) => request.includes('causeway=') && !request.startsWith(`GET ${pageOrigin}/?order=7#`),
        ),
        [],
        'the code is in no other request or referrer',
      );
      const [code] = opened.codes;
      assert.ok(code, 'a code was exchanged');
      assert.ok(!(await storageOf(page)).includes(code), 'the code is not stored');
    });

    test('the cookie is partitioned by that site', async () => {
      const { browser, recorder, page } = opened;
      const { cookies } = await (await browser.newCDPSession(page)).send('Network.getAllCookies');
      const sessions = cookies.filter((cookie) => cookie.name === '__Host-Http-session');
      assert.deepEqual(
        sessions.map(({ partitionKey }) => partitionKey?.topLevelSite),
        [new URL(pageOrigin).protocol + '//127.0.0.1'],
      );
      const own = await recorder.open(browser);
      await own.goto(`${stack.edgeOrigin}/`);
      await own.getByRole('link', { name: /GitHub/ }).waitFor();
      assert.equal(
        (await sessionOf(own, stack.edgeOrigin)).authenticated,
        false,
        "the edge's own page has another partition",
      );
      await own.close();
    });

    test('a reload finds the user signed in', async () => {
      const { page, requests } = opened;
      await page.reload();
      await page.locator('chat-widget').getByText('Ada Lovelace').waitFor();
      assert.equal(requests.filter((request) => request.includes('/auth/handoff')).length, 1);
    });

    test('the user signs out and in again as another user', async () => {
      const { page, errors } = opened;
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByRole('link', { name: /GitHub/ }).waitFor();
      assert.equal((await sessionOf(page, stack.edgeOrigin)).authenticated, false);
      await page.reload();
      await page.getByRole('link', { name: /GitHub/ }).waitFor();
      await signIn(page, /Grace Hopper/);
      await page.locator('chat-widget').getByText('Grace Hopper').waitFor();
      assert.deepEqual(errors, []);
    });
  });
}

test('S154: where all cookies of the edge are blocked the widget says so, and no sign-in loop begins', async () => {
  // A user's setting for one site embedded in another. It blocks partitioned cookies, too.
  const exceptions = { cookies: { [`${stack.edgeOrigin},${pageOrigin}`]: { setting: 2 } } };
  const { browser, recorder, page, errors, requests } = await open('blocked', {
    profile: { content_settings: { exceptions } },
  });
  await signIn(page, /Ada Lovelace/);
  await page.getByText('Your browser may be blocking cookies').waitFor();
  assert.equal(page.url(), `${pageOrigin}/?order=7#part`);
  assert.equal(requests.filter((request) => request.includes('/auth/handoff')).length, 1, 'the code was redeemed once');
  assert.equal(await page.getByRole('link', { name: /Continue with/ }).count(), 0);
  assert.equal(requests.filter((request) => request.includes('/login?')).length, 1);
  const [own] = await Promise.all([
    browser.waitForEvent('page'),
    page.getByRole('link', { name: 'Open the chat in a window of its own' }).click(),
  ]);
  await recorder.watch(own);
  await own.waitForURL(`${stack.edgeOrigin}/`);
  await own.getByRole('link', { name: /GitHub/ }).click();
  await own.getByRole('button', { name: /Ada Lovelace/ }).click();
  await own.waitForURL(`${stack.edgeOrigin}/`);
  await own.locator('chat-widget').getByText('Ada Lovelace').waitFor();
  assert.deepEqual(errors, []);
});
