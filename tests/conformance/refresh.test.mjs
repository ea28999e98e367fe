import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { assertProblem } from '../support/problem.mjs';
import { Stream } from '../support/stream.mjs';
import { signedIn } from './sign-in.mjs';
import { callApi, provider, secretOf, stack } from './stack.mjs';

/** @param {string} client */
const refreshes = (client) =>
  provider.eventsOf('grant.success', client).filter(({ grantType }) => grantType === 'refresh_token').length;

/** The provider's errors of a client, such as the reuse of a refresh token. @param {string} client */
const grantErrors = (client) =>
  provider.eventsOf('grant.error', client).filter(({ detail }) => !/nonce/i.test(detail ?? ''));

const CLIENTS = ['corp', 'keyed', 'bound'];
const SHORT_SECONDS = 4;
const LONG_SECONDS = 600;

/** Waits until every short-lived token that exists now has expired. */
const untilExpired = () => delay(SHORT_SECONDS * 1000);

test('an expired access token is refreshed, and the refresh token rotates, for each kind of client', async () => {
  provider.accessTokenSeconds = SHORT_SECONDS;
  const browsers = await Promise.all(
    CLIENTS.map(async (id) => ({ id, browser: await signedIn(stack, id, `rita-${id}`), before: refreshes(id) })),
  );
  await untilExpired();
  const call = () => Promise.all(browsers.map(async ({ id, browser }) => (await callApi(browser, id)).status));
  assert.deepEqual(await call(), [200, 200, 200]);
  assert.deepEqual(
    browsers.map(({ id, before }) => refreshes(id) - before),
    [1, 1, 1],
  );
  await untilExpired();
  provider.accessTokenSeconds = LONG_SECONDS;
  assert.deepEqual(await call(), [200, 200, 200]);
  assert.deepEqual(await call(), [200, 200, 200]);
  assert.deepEqual(
    browsers.map(({ id, before }) => refreshes(id) - before),
    [2, 2, 2],
    'one refresh for each expired token, and none for a valid one',
  );
  for (const { id } of browsers) {
    const tokens = provider.refreshTokens(id, `rita-${id}`);
    assert.deepEqual(
      tokens.map(({ rotations = 0, consumed }) => [rotations, Boolean(consumed)]),
      [
        [0, true],
        [1, true],
        [2, false],
      ],
      id,
    );
    assert.deepEqual(grantErrors(id), []);
  }
});

test('20 concurrent calls with an expired token cause one token request, for each kind of client', async () => {
  provider.accessTokenSeconds = SHORT_SECONDS;
  const browsers = await Promise.all(
    CLIENTS.map(async (id) => ({ id, browser: await signedIn(stack, id, `parallel-${id}`) })),
  );
  provider.accessTokenSeconds = LONG_SECONDS;
  await untilExpired();
  for (const { id, browser } of browsers) await assertOneRefresh(id, browser);
});

test('20 concurrent calls with a rejected token cause one token request, for each kind of client', async () => {
  for (const id of CLIENTS) {
    const browser = await signedIn(stack, id, `early-${id}`);
    await provider.invalidateAccessTokens(id, `early-${id}`);
    await assertOneRefresh(id, browser);
  }
});

/** @param {string} id @param {import('../support/edge-browser.mjs').EdgeBrowser} browser */
async function assertOneRefresh(id, browser) {
  const [before, revoked] = [refreshes(id), provider.eventsOf('grant.revoked', id).length];
  const answers = await Promise.all(Array.from({ length: 20 }, () => callApi(browser, id)));
  assert.deepEqual(
    answers.map(({ status }) => status),
    answers.map(() => 200),
    id,
  );
  assert.equal(refreshes(id), before + 1, id);
  assert.deepEqual(grantErrors(id), []);
  assert.equal(provider.eventsOf('grant.revoked', id).length, revoked);
}

test('S109: a client that disconnects during a refresh does not lose the new token', async () => {
  for (const id of CLIENTS) {
    const browser = await signedIn(stack, id, `gone-${id}`);
    await provider.invalidateAccessTokens(id, `gone-${id}`);
    const before = refreshes(id);
    provider.behavior = 'holds token requests';
    const outgoing = unawaitedCall(browser, id);
    await provider.untilHeld();
    outgoing.destroy();
    const next = callApi(browser, id);
    // Time for the edge to notice the disconnect.
    await delay(1_000);
    provider.release();
    assert.equal((await next).status, 200, id);
    assert.equal((await callApi(browser, id)).status, 200, id);
    assert.equal(refreshes(id), before + 1, id);
    assert.deepEqual(grantErrors(id), []);
  }
});

test('opening a stream refreshes an expired token without waiting for the provider', async () => {
  provider.accessTokenSeconds = SHORT_SECONDS;
  const browsers = await Promise.all(
    CLIENTS.map(async (id) => ({ id, browser: await signedIn(stack, id, `listener-${id}`) })),
  );
  provider.accessTokenSeconds = LONG_SECONDS;
  await untilExpired();
  for (const { id, browser } of browsers) {
    const before = refreshes(id);
    provider.behavior = 'holds token requests';
    const stream = await (await Stream.open(browser)).opened();
    assert.equal(stream.status, 200, id);
    await provider.untilHeld();
    assert.equal(refreshes(id), before, id);
    provider.release();
    // Waits for the refresh in progress.
    assert.equal((await callApi(browser, id)).status, 200, id);
    assert.equal(refreshes(id), before + 1, id);
    assert.deepEqual(grantErrors(id), []);
    stream.cut();
  }
});

/**
 * A call whose answer is not read, and which the test can abort.
 * @param {import('../support/edge-browser.mjs').EdgeBrowser} browser @param {string} id
 */
function unawaitedCall(browser, id) {
  const headers = { ...browser.scriptHeaders(), Cookie: browser.cookieHeader };
  const outgoing = request(new URL(`/bff/api-${id}/hello`, stack.edgeOrigin), { agent: false, headers });
  outgoing.on('error', () => {});
  outgoing.end();
  return outgoing;
}

test('the reuse of a stolen refresh token revokes the grant and ends the session that began with it', async () => {
  const browser = await signedIn(stack, 'corp', 'stolen');
  const [stolen] = provider.refreshTokens('corp', 'stolen');
  assert.ok(stolen);
  assert.equal(await replay(stolen.jti), 200, 'the thief uses it first');
  await provider.invalidateAccessTokens('corp', 'stolen');
  const revoked = provider.eventsOf('grant.revoked', 'corp').length;
  assertProblem(await callApi(browser, 'corp'), 401);
  assert.equal(provider.eventsOf('grant.revoked', 'corp').length, revoked + 1, 'the provider detects the reuse');
  const tokenRequests = provider.requestCount('/token');
  assertProblem(await callApi(browser, 'corp'), 401);
  assert.equal(provider.requestCount('/token'), tokenRequests, 'an invalid refresh token is not sent again');
  assert.equal((await browser.session()).authenticated, false);
});

test("with offline access, calls outlive the user's session at the provider; without it, they do not", async () => {
  const [online, offline] = [await signedIn(stack, 'moving', 'tony'), await signedIn(stack, 'offline', 'tony')];
  for (const id of ['moving', 'offline']) await provider.invalidateAccessTokens(id, 'tony');
  await provider.expireSessions('tony');
  assertProblem(await callApi(online, 'moving'), 401);
  assert.equal((await callApi(offline, 'offline')).status, 200);
  assert.deepEqual((await offline.session()).connections, [{ own: true, provider: 'offline' }]);
});

/** @param {string} token */
async function replay(token) {
  const answer = await fetch(`${provider.issuer}/token`, {
    method: 'POST',
    headers: { Authorization: `Basic ${Buffer.from(`corp:${secretOf('corp')}`).toString('base64')}` },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token }),
  });
  await answer.body?.cancel();
  return answer.status;
}
