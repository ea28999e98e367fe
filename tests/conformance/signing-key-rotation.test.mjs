import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { target } from '../support/stack.mjs';
import { authorizeAt, signedIn } from './sign-in.mjs';
import { callApi, sendLogoutToken, provider, stack } from './stack.mjs';

test('a key rotation during a sign-in does not fail it, and the old keys are rejected', async () => {
  const before = await signedIn(stack, 'moving', 'alonzo');
  const browser = new EdgeBrowser(stack);
  const { callback } = await authorizeAt(browser, 'moving', 'haskell');
  const withdrawn = provider.keys.find(({ alg }) => alg === 'RS256') ?? {};
  const stillGood = await sendLogoutSignedBy('moving', withdrawn);
  assert.equal(stillGood.status, 200, 'the key is valid before the rotation');

  provider.rotateKeys();
  const finished = await browser.visit(callback);
  assert.equal(finished.status, 303, finished.text);
  assert.equal((await browser.session()).user.id, 'moving:haskell');
  assert.equal((await callApi(browser, 'moving')).status, 200);
  assert.equal((await callApi(before, 'moving')).status, 200, 'an existing session goes on');

  // On Spin another instance may answer, which caches the keys for an hour; S52's unit tests check how long.
  const afterRotation = await sendLogoutSignedBy('moving', withdrawn);
  if (target === 'workers' || afterRotation.status !== 200) {
    assert.equal(afterRotation.status, 400, afterRotation.text);
    const isLogged = () =>
      readFileSync(stack.parts.edge.log, 'utf8')
        .split('\n')
        .some(
          (line) =>
            line.includes(`"${afterRotation.headers['x-request-id']}"`) &&
            line.includes('"logout-token-of-an-unknown-key"'),
        );
    for (const deadline = Date.now() + 3_000; !isLogged(); await delay(20))
      assert.ok(Date.now() < deadline, 'rejected because of its key');
  }
  assert.equal((await browser.session()).authenticated, true);
});

test('a refresh after a key rotation brings an ID token signed by the new key, which is accepted', async () => {
  const browser = await signedIn(stack, 'bound', 'moses');
  provider.rotateKeys();
  await provider.invalidateAccessTokens('bound', 'moses');
  assert.equal((await callApi(browser, 'bound')).status, 200);
  assert.equal((await browser.session()).authenticated, true);
});

/**
 * Sends a logout token for a user without sessions, signed by this key.
 * @param {string} id @param {Record<string, any>} key
 */
async function sendLogoutSignedBy(id, key) {
  return sendLogoutToken(id, await provider.logoutToken(key, id, 'nobody'));
}
