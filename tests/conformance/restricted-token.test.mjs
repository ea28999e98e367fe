import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertProblem } from '../support/problem.mjs';
import { signedIn } from './sign-in.mjs';
import { NARROW, callApi, provider, resource, stack } from './stack.mjs';

/** The token of the API's last call, with its audience and scope by introspection. */
const lastCall = () => {
  const { token, status, audience, scope } = resource.calls.at(-1) ?? {};
  return { token, status, audience, scope };
};

test('M21: each service gets a token restricted to it, by a rotating refresh token, and reuses it', async () => {
  const browser = await signedIn(stack, 'narrow', 'nora');
  assert.equal((await callApi(browser, 'narrow')).status, 200);
  const own = lastCall();
  assert.equal(own.audience, undefined, "the account's own token is restricted to no API");
  /** @type {Set<string | undefined>} */
  const tokens = new Set([own.token]);
  for (const [service, { resource: audience, scopes }] of Object.entries(NARROW)) {
    for (const call of [1, 2]) {
      assert.equal((await browser.call(`/bff/${service}/x`)).status, 200, `${service}, call ${call}`);
      tokens.add(lastCall().token);
      assert.deepEqual({ ...lastCall(), token: '' }, { token: '', status: 200, audience, scope: scopes.join(' ') });
    }
  }
  assert.equal(tokens.size, 3, 'one for each service, and reused');
  assert.equal((await callApi(browser, 'narrow')).status, 200);
  assert.equal(lastCall().token, own.token, "the account's own token is still used");
  assert.deepEqual(
    provider.refreshTokens('narrow', 'nora').map(({ consumed }) => Boolean(consumed)),
    [true, true, false],
  );
});

test('an API that the provider issues no token for does not end the session', async () => {
  const browser = await signedIn(stack, 'narrow', 'nils');
  const { [NARROW.mail.resource]: scope = '', ...others } = provider.resources;
  provider.resources = others;
  const calls = resource.calls.length;
  const signInNeeded = async (/** @type {string} */ path) => {
    assert.equal(assertProblem(await browser.call(path), 401).code, 'provider-sign-in-needed');
  };
  for (const path of ['/bff/mail/x', '/bff/mail/y']) await signInNeeded(path);
  assert.equal(resource.calls.length, calls, 'it is called with no other token');
  assert.equal((await callApi(browser, 'narrow')).status, 200);
  // This provider checks the resource after it has consumed the refresh token.
  await signInNeeded('/bff/orders/x');
  assert.equal((await browser.session()).authenticated, true);
  provider.resources = { ...others, [NARROW.mail.resource]: scope };
});
