import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { assertProblem } from '../support/problem.mjs';
import { signedIn } from './sign-in.mjs';
import { callApi, provider, stack } from './stack.mjs';

/** Signs in with an access token that has expired when this returns. @param {string} id @param {string} login */
async function signedInWithExpiredToken(id, login) {
  provider.accessTokenSeconds = 2;
  const browser = await signedIn(stack, id, login);
  provider.accessTokenSeconds = 600;
  await delay(2_000);
  return browser;
}

/**
 * Calls the API as a client that follows Retry-After.
 * @param {import('../support/edge-browser.mjs').EdgeBrowser} browser @param {string} id
 */
async function callWithRetries(browser, id) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const answer = await callApi(browser, id);
    if (answer.status !== 503) return answer;
    assert.ok(Date.now() < deadline, 'no answer but 503 within 20 s');
    await delay(1_000 * Number(answer.headers['retry-after']));
  }
}

test('while the provider fails or is down, calls get 503, and no session or linked account is lost', async () => {
  const [firstBrowser, secondBrowser] = [
    await signedInWithExpiredToken('corp', 'niklaus'),
    await signedInWithExpiredToken('corp', 'adele'),
  ];
  const revoked = provider.eventsOf('grant.revoked', 'corp').length;
  provider.behavior = 'unavailable';
  assert.equal(assertProblem(await callApi(firstBrowser, 'corp'), 503).code, 'unavailable');
  provider.behavior = 'normal';
  await provider.close();
  // The edge pauses for 5 s after a failure. So within 13 s it tries again, while connections are refused.
  const until = Date.now() + 13_000;
  while (Date.now() < until) {
    for (const browser of [firstBrowser, secondBrowser]) assertProblem(await callApi(browser, 'corp'), 503);
    await delay(2_000);
  }
  for (const browser of [firstBrowser, secondBrowser]) assert.equal((await browser.session()).authenticated, true);
  await provider.open();
  for (const browser of [firstBrowser, secondBrowser]) {
    const answer = await callWithRetries(browser, 'corp');
    assert.equal(answer.status, 200, answer.text);
  }
  assert.equal(provider.eventsOf('grant.revoked', 'corp').length, revoked);
});

test('after a lost token response, `retry_lost_refresh: false` prevents reuse of the refresh token', async () => {
  const browser = await signedInWithExpiredToken('cautious', 'joan');
  provider.behavior = 'drops token responses';
  assertProblem(await callApi(browser, 'cautious'), 503);
  provider.behavior = 'normal';
  const tokenRequests = provider.requestCount('/token');
  const answer = await callWithRetries(browser, 'cautious');
  assert.equal(assertProblem(answer, 401).code, 'provider-sign-in-needed');
  assert.equal(provider.requestCount('/token'), tokenRequests);
  assert.deepEqual(provider.eventsOf('grant.revoked', 'cautious'), [], 'a refresh token was used twice');
  assert.equal((await browser.session()).authenticated, true);
});
