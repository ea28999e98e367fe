import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { assertProblem } from '../support/problem.mjs';
import { signedIn } from './sign-in.mjs';
import { callApi, provider, stack } from './stack.mjs';

/** Signs in with an access token that is over when this returns. @param {string} id @param {string} login */
async function signedInLongAgo(id, login) {
  provider.accessTokenSeconds = 2;
  const browser = await signedIn(stack, id, login);
  provider.accessTokenSeconds = 600;
  await delay(2_000);
  return browser;
}

/** Asks as a client does that was told to come back. @param {import('../support/edge-browser.mjs').EdgeBrowser} browser @param {string} id */
async function untilItWorks(browser, id) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const answer = await callApi(browser, id);
    if (answer.status !== 503) return answer;
    assert.ok(Date.now() < deadline, 'no answer but 503 within 20 s');
    await delay(1_000 * Number(answer.headers['retry-after']));
  }
}

test('a provider that fails or is gone costs nobody the session or the connection: 503 for as long as it takes', async () => {
  const [failed, refused] = [await signedInLongAgo('corp', 'niklaus'), await signedInLongAgo('corp', 'adele')];
  const revoked = provider.of('grant.revoked', 'corp').length;
  provider.mood = 'fails';
  assert.equal(assertProblem(await callApi(failed, 'corp'), 503).code, 'unavailable');
  provider.mood = 'answers';
  await provider.close();
  // Longer than the pause after which the provider is asked again.
  const until = Date.now() + 13_000;
  while (Date.now() < until) {
    for (const browser of [failed, refused]) assertProblem(await callApi(browser, 'corp'), 503);
    await delay(2_000);
  }
  for (const browser of [failed, refused]) assert.equal((await browser.session()).authenticated, true);
  await provider.open();
  for (const browser of [failed, refused]) {
    const answer = await untilItWorks(browser, 'corp');
    assert.equal(answer.status, 200, answer.text);
  }
  assert.equal(provider.of('grant.revoked', 'corp').length, revoked);
});

test('an answer that is lost leaves a used refresh token: where that costs the grant it is not sent again', async () => {
  const browser = await signedInLongAgo('cautious', 'joan');
  provider.mood = 'loses answers';
  assertProblem(await callApi(browser, 'cautious'), 503);
  provider.mood = 'answers';
  const tokenRequests = provider.asked('/token');
  const answer = await untilItWorks(browser, 'cautious');
  assert.equal(assertProblem(answer, 401).code, 'provider-sign-in-needed');
  assert.equal(provider.asked('/token'), tokenRequests);
  assert.deepEqual(provider.of('grant.revoked', 'cautious'), [], 'nobody reused anything');
  assert.equal((await browser.session()).authenticated, true);
});
