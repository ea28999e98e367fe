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
  const [failed, refused] = [
    await signedInWithExpiredToken('corp', 'niklaus'),
    await signedInWithExpiredToken('corp', 'adele'),
  ];
  const revoked = provider.eventsOf('grant.revoked', 'corp').length;
  provider.behavior = 'fails';
  assert.equal(assertProblem(await callApi(failed, 'corp'), 503).code, 'unavailable');
  provider.behavior = 'answers';
  await provider.close();
  // Longer than the pause before the edge's next attempt.
  const until = Date.now() + 13_000;
  while (Date.now() < until) {
    for (const browser of [failed, refused]) assertProblem(await callApi(browser, 'corp'), 503);
    await delay(2_000);
  }
  for (const browser of [failed, refused]) assert.equal((await browser.session()).authenticated, true);
  await provider.open();
  for (const browser of [failed, refused]) {
    const answer = await callWithRetries(browser, 'corp');
    assert.equal(answer.status, 200, answer.text);
  }
  assert.equal(provider.eventsOf('grant.revoked', 'corp').length, revoked);
});

test('after a lost answer the refresh token is not sent again if the provider would revoke the grant', async () => {
  const browser = await signedInWithExpiredToken('cautious', 'joan');
  provider.behavior = 'drops answers';
  assertProblem(await callApi(browser, 'cautious'), 503);
  provider.behavior = 'answers';
  const tokenRequests = provider.requestCount('/token');
  const answer = await callWithRetries(browser, 'cautious');
  assert.equal(assertProblem(answer, 401).code, 'provider-sign-in-needed');
  assert.equal(provider.requestCount('/token'), tokenRequests);
  assert.deepEqual(provider.eventsOf('grant.revoked', 'cautious'), [], 'no refresh token was reused');
  assert.equal((await browser.session()).authenticated, true);
});
