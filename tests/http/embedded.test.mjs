// A page on another site than the edge signs its user in and out. The cookies of the sign-in window and of the embedded
// page are kept apart, as browsers partition them.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { startEmbedded } from '../support/embedded.mjs';
import { assertProblem } from '../support/problem.mjs';
import { revocationBound } from '../support/stack.mjs';
import { authorizeAt } from '../support/sign-in.mjs';
import { stack as sameSite } from './stack.mjs';

const { stack, pageOrigin } = await startEmbedded(['redis', 'emulators', 'edge']);
const challengeOf = (/** @type {string} */ verifier) => createHash('sha256').update(verifier).digest('base64url');
/** @type {string[]} codes and verifiers of this run */
const secrets = [];

/** A browser, or one partition of its cookies, on the page of the other site. */
const browserOnPage = () => new EdgeBrowser({ edgeOrigin: stack.edgeOrigin, hostOrigin: pageOrigin });

/**
 * @param {EdgeBrowser} browser @param {string} code @param {string} verifier
 * @param {Record<string, string | undefined>} [headers]
 */
const redeem = (browser, code, verifier, headers = {}) =>
  browser.call('/auth/handoff', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ code, verifier }),
  });

/** @param {import('../support/exchange.mjs').Answer} answer @param {number} status @param {string} code */
const assertRejected = (answer, status, code) => assert.equal(assertProblem(answer, status).code, code);

/** Signs in, up to the redirect to the page that carries the hand-off code. @param {string} login */
async function handoffCode(login) {
  const window = browserOnPage();
  const verifier = randomBytes(32).toString('base64url');
  const { callback } = await authorizeAt(window, 'github', login, `${pageOrigin}/chat?order=7`, {
    handoff: challengeOf(verifier),
  });
  const finished = await window.visit(callback);
  assert.equal(finished.status, 303, finished.text.slice(0, 300));
  const [address, code = ''] = (finished.headers.location ?? '').split('#causeway=');
  assert.equal(address, `${pageOrigin}/chat?order=7`);
  assert.equal(finished.headers['referrer-policy'], 'no-referrer');
  assert.ok(!window.cookies.has('__Host-Http-session'), 'the sign-in window gets no session');
  secrets.push(code, verifier);
  return { code, verifier };
}

test('S155: a page on another site redeems a hand-off code for a session, and ends the session', async () => {
  const { code, verifier } = await handoffCode('ada');
  const browser = browserOnPage();
  assert.equal((await browser.session()).handoff, true);
  const redeemed = await redeem(browser, code, verifier);
  assert.equal(redeemed.status, 204, redeemed.text);
  assert.equal(redeemed.headers['access-control-allow-origin'], pageOrigin);
  const cookie = browser.cookies.get('__Host-Http-session');
  assert.equal(cookie?.attributes.get('samesite'), 'None');
  assert.ok(
    cookie?.attributes.has('partitioned') && cookie.attributes.has('secure') && cookie.attributes.has('httponly'),
  );
  assert.equal((await browser.session()).user.name, 'Ada Lovelace');
  const { sessions } = JSON.parse((await browser.call('/auth/sessions')).text);
  assert.equal(sessions.length, 1);
  const thief = browser.copy();
  assert.equal((await browser.call('/auth/logout', { method: 'POST' })).status, 204);
  assert.equal(browser.cookies.size, 0);
  assert.ok(thief.cookies.has('__Host-Http-session'));
  assert.equal((await thief.session()).authenticated, false);
});

test('S155: a hand-off code that is used twice ends the session that it began', async () => {
  const { code, verifier } = await handoffCode('grace');
  const [first, second] = [browserOnPage(), browserOnPage()];
  assert.equal((await redeem(first, code, verifier)).status, 204);
  assertRejected(await redeem(second, code, verifier), 400, 'sign-in-refused');
  assert.equal(second.cookies.size, 0);
  await revocationBound();
  assert.equal((await first.session()).authenticated, false);
});

test('S155: of concurrent redemptions one wins, and its session ends, too', async () => {
  const { code, verifier } = await handoffCode('grace');
  const browsers = [browserOnPage(), browserOnPage()];
  const statuses = await Promise.all(browsers.map(async (browser) => (await redeem(browser, code, verifier)).status));
  assert.deepEqual(statuses.sort(), [204, 400]);
  await revocationBound();
  for (const browser of browsers) assert.equal((await browser.session()).authenticated, false);
});

test('S155: a wrong verifier or another origin neither redeems a code nor uses it up', async () => {
  const { code, verifier } = await handoffCode('katherine');
  const browser = browserOnPage();
  assertRejected(await redeem(browser, code, randomBytes(32).toString('base64url')), 400, 'sign-in-refused');
  assertRejected(await redeem(browser, code, verifier, { Origin: 'https://evil.example' }), 403, 'forbidden');
  assertRejected(
    await redeem(browser, code, verifier, { Origin: stack.edgeOrigin, 'Sec-Fetch-Site': 'same-origin' }),
    403,
    'forbidden',
  );
  assertRejected(await redeem(browser, code, verifier, { 'X-CSRF': undefined }), 403, 'forbidden');
  assert.equal(browser.cookies.size, 0);
  assert.equal((await redeem(browser, code, verifier)).status, 204);
});

test('S155: a session is handed to configured pages only', async () => {
  const window = browserOnPage();
  for (const address of [
    '/',
    `${stack.edgeOrigin}/`,
    'https://evil.example/',
    `${pageOrigin}.evil.example/`,
    pageOrigin.replace('127.0.0.1', 'localhost'),
  ]) {
    const query = new URLSearchParams({ return_to: address, handoff: challengeOf('v') });
    // The site is the same here, so that only the address can be the reason.
    const headers = { Accept: undefined, 'Sec-Fetch-Site': 'same-site' };
    assertRejected(await window.visit(`/auth/github/login?${query}`, { headers }), 400, 'bad-request');
  }
  assert.equal(window.cookies.size, 0);
});

test('S155: a link on any other page begins no hand-off', async () => {
  const window = browserOnPage();
  const query = new URLSearchParams({ return_to: `${pageOrigin}/`, handoff: challengeOf('v') });
  for (const [site, referer] of [
    ['cross-site', undefined],
    ['cross-site', 'https://evil.example/'],
    ['same-origin', `${stack.edgeOrigin}/`],
    ['same-origin', undefined],
    ['same-site', undefined],
    ['none', undefined],
  ]) {
    const headers = { Accept: undefined, 'Sec-Fetch-Site': site, Referer: referer };
    assertRejected(await window.visit(`/auth/github/login?${query}`, { headers }), 403, 'forbidden');
  }
  assert.equal(window.cookies.size, 0);
});

test('S155: an edge without embedded mode has no hand-off', async () => {
  const browser = new EdgeBrowser(sameSite);
  const query = new URLSearchParams({ return_to: `${sameSite.hostOrigin}/`, handoff: challengeOf('v') });
  const login = await browser.visit(`/auth/github/login?${query}`, { headers: { Accept: undefined } });
  assertRejected(login, 400, 'bad-request');
  const answer = await browser.call('/auth/handoff', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{}',
  });
  assertRejected(answer, 404, 'not-found');
  assert.ok(!('handoff' in (await browser.session())));
});

test('neither hand-off codes nor verifiers are in the log', () => {
  const log = readFileSync(stack.parts.edge.log, 'utf8');
  assert.ok(secrets.length > 0 && log.includes('/auth/handoff'), 'the hand-offs were logged');
  for (const secret of secrets) assert.ok(!log.includes(secret));
});
