import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { target } from '../support/stack.mjs';
import { authorizeAt, signedIn } from './sign-in.mjs';
import { callApi, deliver, provider, stack } from './stack.mjs';

test('keys that change between the beginning of a sign-in and its end do not fail it, and those withdrawn are not believed', async () => {
  const before = await signedIn(stack, 'moving', 'alonzo');
  const browser = new EdgeBrowser(stack);
  const { callback } = await authorizeAt(browser, 'moving', 'haskell');
  const withdrawn = provider.keys.find(({ alg }) => alg === 'RS256') ?? {};
  const stillGood = await endingOf('moving', withdrawn);
  assert.equal(stillGood.status, 200, "it is the provider's before");

  provider.rotate();
  const finished = await browser.visit(callback);
  assert.equal(finished.status, 303, finished.text);
  assert.equal((await browser.session()).user.id, 'moving:haskell');
  assert.equal((await callApi(browser, 'moving')).status, 200);
  assert.equal((await callApi(before, 'moving')).status, 200, 'who was signed in stays so');

  // On Spin another instance may answer, which believes the keys it has for an hour; S52's unit tests say how long.
  const late = await endingOf('moving', withdrawn);
  if (target === 'workers' || late.status !== 200) {
    assert.equal(late.status, 400, late.text);
    const told = () =>
      readFileSync(stack.parts.edge.log, 'utf8')
        .split('\n')
        .some(
          (line) =>
            line.includes(`"${late.headers['x-request-id']}"`) && line.includes('"logout-token-of-an-unknown-key"'),
        );
    for (const deadline = Date.now() + 3_000; !told(); await delay(20))
      assert.ok(Date.now() < deadline, 'refused for its key, and for nothing else');
  }
  assert.equal((await browser.session()).authenticated, true);
});

test('a refresh after a change of keys brings an ID token of the new key, and is believed', async () => {
  const browser = await signedIn(stack, 'bound', 'moses');
  provider.rotate();
  await provider.endAccessTokens('bound', 'moses');
  assert.equal((await callApi(browser, 'bound')).status, 200);
  assert.equal((await browser.session()).authenticated, true);
});

/** Ends all sessions of a user who has none. @param {string} id @param {Record<string, any>} key */
async function endingOf(id, key) {
  return deliver(id, await provider.logoutToken(key, id, 'nobody'));
}
