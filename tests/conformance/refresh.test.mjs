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
  provider.of('grant.success', client).filter(({ grantType }) => grantType === 'refresh_token').length;

/** What the provider holds against a client: reuse of a refresh token among it. @param {string} client */
const complaints = (client) => provider.of('grant.error', client).filter(({ detail }) => !/nonce/i.test(detail ?? ''));

const CLIENTS = ['corp', 'keyed', 'bound'];
const SHORT_SECONDS = 4;
const LONG_SECONDS = 600;

/** Waits until every short-lived token of this moment is over. */
const untilOver = () => delay(SHORT_SECONDS * 1000);

test('an access token that is over is renewed, and the refresh token rotates each time, for each kind of client', async () => {
  provider.accessTokenSeconds = SHORT_SECONDS;
  const browsers = await Promise.all(
    CLIENTS.map(async (id) => ({ id, browser: await signedIn(stack, id, `rita-${id}`), before: refreshes(id) })),
  );
  await untilOver();
  const call = () => Promise.all(browsers.map(async ({ id, browser }) => (await callApi(browser, id)).status));
  assert.deepEqual(await call(), [200, 200, 200]);
  assert.deepEqual(
    browsers.map(({ id, before }) => refreshes(id) - before),
    [1, 1, 1],
  );
  await untilOver();
  provider.accessTokenSeconds = LONG_SECONDS;
  assert.deepEqual(await call(), [200, 200, 200]);
  assert.deepEqual(await call(), [200, 200, 200]);
  assert.deepEqual(
    browsers.map(({ id, before }) => refreshes(id) - before),
    [2, 2, 2],
    'twice in a row, and not for a token that is still good',
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
    assert.deepEqual(complaints(id), []);
  }
});

test('20 calls at once with a token that is over cost one token request, for each kind of client', async () => {
  provider.accessTokenSeconds = SHORT_SECONDS;
  const browsers = await Promise.all(
    CLIENTS.map(async (id) => ({ id, browser: await signedIn(stack, id, `parallel-${id}`) })),
  );
  provider.accessTokenSeconds = LONG_SECONDS;
  await untilOver();
  for (const { id, browser } of browsers) await assertOneRefresh(id, browser);
});

test('20 calls at once with a token that the API no longer takes cost one token request, for each kind of client', async () => {
  for (const id of CLIENTS) {
    const browser = await signedIn(stack, id, `early-${id}`);
    await provider.endAccessTokens(id, `early-${id}`);
    await assertOneRefresh(id, browser);
  }
});

/** @param {string} id @param {import('../support/edge-browser.mjs').EdgeBrowser} browser */
async function assertOneRefresh(id, browser) {
  const [before, revoked] = [refreshes(id), provider.of('grant.revoked', id).length];
  const answers = await Promise.all(Array.from({ length: 20 }, () => callApi(browser, id)));
  assert.deepEqual(
    answers.map(({ status }) => status),
    answers.map(() => 200),
    id,
  );
  assert.equal(refreshes(id), before + 1, id);
  assert.deepEqual(complaints(id), []);
  assert.equal(provider.of('grant.revoked', id).length, revoked);
}

test('S109: a client that leaves during a refresh does not take the new token with it', async () => {
  for (const id of CLIENTS) {
    const browser = await signedIn(stack, id, `gone-${id}`);
    await provider.endAccessTokens(id, `gone-${id}`);
    const before = refreshes(id);
    provider.mood = 'holds';
    const left = leaving(browser, id);
    await provider.holding();
    left.destroy();
    const next = callApi(browser, id);
    // By then the edge could have noticed.
    await delay(1_000);
    provider.release();
    assert.equal((await next).status, 200, id);
    assert.equal((await callApi(browser, id)).status, 200, id);
    assert.equal(refreshes(id), before + 1, id);
    assert.deepEqual(complaints(id), []);
  }
});

test('a stream that opens once the token is over has it renewed, and is answered without waiting for the provider', async () => {
  provider.accessTokenSeconds = SHORT_SECONDS;
  const browsers = await Promise.all(
    CLIENTS.map(async (id) => ({ id, browser: await signedIn(stack, id, `listener-${id}`) })),
  );
  provider.accessTokenSeconds = LONG_SECONDS;
  await untilOver();
  for (const { id, browser } of browsers) {
    const before = refreshes(id);
    provider.mood = 'holds';
    const stream = await (await Stream.open(browser)).opened();
    assert.equal(stream.status, 200, id);
    await provider.holding();
    assert.equal(refreshes(id), before, id);
    provider.release();
    // Waits for the renewal that is under way.
    assert.equal((await callApi(browser, id)).status, 200, id);
    assert.equal(refreshes(id), before + 1, id);
    assert.deepEqual(complaints(id), []);
    stream.cut();
  }
});

/** A call that its client does not wait for. @param {import('../support/edge-browser.mjs').EdgeBrowser} browser @param {string} id */
function leaving(browser, id) {
  const headers = { ...browser.scriptHeaders(), Cookie: browser.cookieHeader };
  const outgoing = request(new URL(`/bff/api-${id}/hello`, stack.edgeOrigin), { agent: false, headers });
  outgoing.on('error', () => {});
  outgoing.end();
  return outgoing;
}

test('a refresh token that somebody else has used costs the grant, and with it the session that was begun with it', async () => {
  const browser = await signedIn(stack, 'corp', 'stolen');
  const [stolen] = provider.refreshTokens('corp', 'stolen');
  assert.ok(stolen);
  assert.equal(await replay(stolen.jti), 200, 'the thief was first');
  await provider.endAccessTokens('corp', 'stolen');
  const revoked = provider.of('grant.revoked', 'corp').length;
  assertProblem(await callApi(browser, 'corp'), 401);
  assert.equal(provider.of('grant.revoked', 'corp').length, revoked + 1, 'the provider watches for this');
  const tokenRequests = provider.asked('/token');
  assertProblem(await callApi(browser, 'corp'), 401);
  assert.equal(provider.asked('/token'), tokenRequests, 'a refresh token that is worth nothing is not sent again');
  assert.equal((await browser.session()).authenticated, false);
});

test('with offline access the API goes on after the user has left the provider; without it a new sign-in is needed', async () => {
  const [online, offline] = [await signedIn(stack, 'moving', 'tony'), await signedIn(stack, 'offline', 'tony')];
  for (const id of ['moving', 'offline']) await provider.endAccessTokens(id, 'tony');
  await provider.endSessions('tony');
  assertProblem(await callApi(online, 'moving'), 401);
  assert.equal((await callApi(offline, 'offline')).status, 200);
  assert.deepEqual((await offline.session()).connections, [{ provider: 'offline' }]);
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
