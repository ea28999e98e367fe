import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { assertProblem } from '../support/problem.mjs';
import { authorizeAt, signIn } from './sign-in.mjs';
import { callApi, provider, stack } from './stack.mjs';

for (const id of ['corp', 'keyed', 'bound', 'cautious', 'offline', 'moving']) {
  test(`the edge discovers the provider, pushes its request and signs a user in as client \`${id}\``, async () => {
    const browser = new EdgeBrowser(stack);
    const { authorize, callback, finished } = await signIn(browser, id, `ada-${id}`, '/?room=1');

    assert.equal(authorize.href.split('?')[0], `${provider.issuer}/auth`);
    assert.deepEqual(
      [...authorize.searchParams.keys()].sort(),
      ['client_id', 'request_uri'],
      'the browser carries no parameter of the pushed request',
    );
    const pushed = provider.eventsOf('pushed_authorization_request.success', id).at(-1)?.params ?? {};
    assert.equal(pushed.response_type, 'code');
    assert.equal(pushed.code_challenge_method, 'S256');
    assert.match(pushed.code_challenge, /^[\w-]{43}$/);
    assert.equal(pushed.prompt, id === 'offline' ? 'consent' : undefined);
    assert.ok(pushed.state.length >= 22 && pushed.nonce.length >= 22 && pushed.state !== pushed.nonce);
    assert.equal(callback.searchParams.get('iss'), provider.issuer);
    assert.equal(callback.searchParams.get('state'), pushed.state);

    assert.equal(finished.status, 303, finished.text);
    assert.equal(finished.headers.location, '/?room=1');
    const { authenticated, user, connections } = await browser.session();
    assert.equal(authenticated, true);
    assert.deepEqual(user, {
      id: `${id}:ada-${id}`,
      name: `ada-${id} of Conformance`,
      email: `ada-${id}@conformance.example`,
    });
    assert.deepEqual(connections, [{ own: true, provider: id }]);
    assert.deepEqual(
      provider.eventsOf('grant.success', id).map(({ grantType }) => grantType),
      ['authorization_code'],
    );
    assert.deepEqual(
      provider.eventsOf('grant.error', id).filter(({ detail }) => !/nonce/i.test(detail ?? '')),
      [],
    );

    const api = await callApi(browser, id);
    assert.equal(api.status, 200, api.text);
    assert.deepEqual(JSON.parse(api.text), {
      user: `ada-${id}`,
      client: id,
      scheme: id === 'bound' ? 'DPoP' : 'Bearer',
    });
  });
}

test('a callback without an issuer, or with another one, is rejected', async () => {
  for (const issuer of [undefined, 'https://evil.example', `${provider.issuer}/`]) {
    const browser = new EdgeBrowser(stack);
    const { callback } = await authorizeAt(browser, 'corp', 'grace');
    if (issuer) callback.searchParams.set('iss', issuer);
    else callback.searchParams.delete('iss');
    const answer = await browser.visit(callback);
    assert.equal(answer.status, 400, String(issuer));
    assert.equal((await browser.session()).authenticated, false, String(issuer));
  }
});

test('a user who declines at the provider comes back to the page, and may try again', async () => {
  const browser = new EdgeBrowser(stack);
  const { callback } = await authorizeAt(browser, 'corp', 'linus');
  callback.searchParams.delete('code');
  callback.searchParams.set('error', 'access_denied');
  const declined = await browser.visit(callback);
  assert.equal(declined.status, 303);
  assert.equal(declined.headers.location, '/#causeway_error=cancelled');
  assertProblem(await callApi(browser, 'corp'), 401);
  assert.equal((await signIn(browser, 'corp', 'linus')).finished.status, 303);
});

test('a replayed callback does not reach the provider, where a reused code would revoke the grant', async () => {
  const browser = new EdgeBrowser(stack);
  const { callback, finished } = await signIn(browser, 'corp', 'edsger');
  assert.equal(finished.status, 303);
  const tokenRequests = provider.requestCount('/token');
  const again = await browser.copy().visit(callback);
  assert.equal(again.headers.location, '/', 'a signed-in user is redirected to the page');
  const stranger = new EdgeBrowser(stack);
  assert.equal((await stranger.visit(callback)).status, 400);
  assert.equal(provider.requestCount('/token'), tokenRequests, 'no code is redeemed again');
  assert.equal((await callApi(browser, 'corp')).status, 200);
});
