import assert from 'node:assert/strict';
import { test } from 'node:test';

import { assertProblem } from '../support/problem.mjs';
import { authorizeAt, signedIn } from '../support/sign-in.mjs';
import { api, github, graph, installationTokens, stack, user } from './stack.mjs';

test('the page reads its user from GitHub without holding a token', async () => {
  const { browser } = await user('github', 'ada');
  const answer = await browser.call('/bff/github/user', {
    headers: { Authorization: 'Bearer of-the-page', 'X-Forwarded-For': '1.2.3.4' },
  });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(JSON.parse(answer.text).login, 'ada');
  assert.match(answer.headers['cache-control'] ?? '', /no-store/);
  const sent = github.seen.filter(({ path }) => path === '/user').pop()?.headers ?? {};
  assert.match(sent.authorization ?? '', /^(Bearer|token) gho_/, "the user's token is attached, not the page's");
  assert.equal(sent.cookie, undefined, 'the session cookie is not forwarded');
  assert.equal(sent['x-csrf'], undefined);
});

test('the page reads its user from Microsoft Graph', async () => {
  const { browser } = await user('entra', 'grace');
  const answer = await browser.call('/bff/graph/v1.0/me');
  assert.equal(answer.status, 200, answer.text);
  assert.equal(JSON.parse(answer.text).displayName, 'Grace Hopper');
  assert.equal(graph.seen.filter(({ path }) => path === '/v1.0/me').pop()?.headers.cookie, undefined);
});

test("each user's calls carry that user's own token", async () => {
  const [ada, grace] = await Promise.all([user('github', 'ada'), user('github', 'grace')]);
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, index) => (index % 2 ? ada : grace).browser.call('/bff/github/user')),
  );
  assert.deepEqual(
    answers.map(({ text }) => JSON.parse(text).login),
    Array.from({ length: 10 }, (_, index) => (index % 2 ? 'ada' : 'grace')),
  );
});

test('a request that no rule of a service allows is not forwarded', async () => {
  const { browser } = await user('github', 'ada');
  const before = github.seen.length;
  for (const [method, path, status] of /** @type {const} */ ([
    ['GET', '/bff/github/user/emails', 404],
    ['GET', '/bff/github/users', 404],
    ['GET', '/bff/nowhere/user', 404],
    ['DELETE', '/bff/github/user', 405],
    ['GET', '/bff/github/x%2f..%2fuser', 400],
    ['GET', '/bff/github/%2e%2e%2fuser', 400],
    ['GET', '/bff/github//user', 400],
  ])) {
    const answer = await browser.call(path, { method });
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
  }
  assert.equal(github.seen.length, before);
});

test('an API whose provider the user has not signed in with answers that a sign-in is needed', async () => {
  const { browser } = await user('github', 'ada');
  const answer = await browser.call('/bff/graph/v1.0/me');
  assert.equal(answer.status, 401);
  assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/);
  assert.equal((await browser.session()).authenticated, true, stack.state);
});

/** A call of an API that demands claims in a 401. @param {unknown} claims */
function demanding(claims) {
  const encoded = Buffer.from(JSON.stringify(claims)).toString('base64');
  const challenge = `Bearer error="insufficient_claims", claims="${encoded}"`;
  return `/bff/claims/challenged?${new URLSearchParams({ challenge })}`;
}

/**
 * Calls an API that demands claims, and signs in with them.
 * @param {import('../support/edge-browser.mjs').EdgeBrowser} browser @param {string} path
 */
async function stepUp(browser, path) {
  const needed = await browser.call(path);
  assert.equal(needed.status, 401, needed.text);
  const { code, provider, step_up } = JSON.parse(needed.text);
  assert.deepEqual([code, provider], ['step-up-needed', 'entra']);
  const { authorize, callback } = await authorizeAt(browser, 'entra', 'grace', '/', { step_up });
  const finished = await browser.visit(callback);
  assert.equal(finished.status, 303, finished.text);
  return authorize.searchParams;
}

test('an API that demands claims of the sign-in gets one sign-in with exactly these claims', async () => {
  const { browser } = await signedIn(stack, 'entra', 'grace');
  const claims = { access_token: { acrs: { essential: true, value: 'c1' } } };
  const path = demanding(claims);
  const before = api.callsTo(path.slice('/bff/claims'.length)).length;
  const asked = await stepUp(browser, path);
  assert.equal(api.callsTo(path.slice('/bff/claims'.length)).length, before + 1, 'the call is not repeated');
  assert.equal(asked.get('claims'), JSON.stringify(claims));
  assert.equal(assertProblem(await browser.call(path), 403).code, 'step-up-in-vain');
  assert.equal((await browser.call('/bff/claims/get')).status, 200, 'the session goes on');
});

test('an API that makes the same demand with another time gets no second sign-in, another demand does', async () => {
  const { browser } = await signedIn(stack, 'entra', 'grace');
  /** @param {string} value @param {string} nbf */
  const path = (value, nbf) => demanding({ access_token: { acrs: { essential: true, value }, nbf: { value: nbf } } });
  const inVain = async (/** @type {string} */ value, /** @type {string} */ nbf) =>
    assert.equal(assertProblem(await browser.call(path(value, nbf)), 403).code, 'step-up-in-vain', `${value} ${nbf}`);
  await stepUp(browser, path('c1', '1700000001'));
  await inVain('c1', '1700000002');
  const asked = await stepUp(browser, path('c2', '1700000003'));
  assert.equal(JSON.parse(asked.get('claims') ?? '').access_token.acrs.value, 'c2');
  await inVain('c2', '1700000004');
  await inVain('c1', '1700000005');
  assert.equal((await browser.session()).authenticated, true);
});

test('an installation token that GitHub does not know yet is sent again later, and no other is minted', async () => {
  const { browser } = await user('github', 'ada');
  const begunAt = Date.now();
  const answer = await browser.call('/bff/app/unknown-at-first');
  assert.deepEqual([answer.status, answer.text], [200, 'known']);
  assert.ok(Date.now() - begunAt >= 1000, 'GitHub has a second to hear of it');
  assert.equal(installationTokens.length, 1);
  const bearer = `Bearer ${installationTokens[0]}`;
  const calls = api.callsTo('/unknown-at-first');
  assert.deepEqual(
    calls.map(({ headers }) => headers.authorization),
    [bearer, bearer],
  );
});

test('a page can neither change nor invent what a sign-in demands', async () => {
  const { browser } = await signedIn(stack, 'entra', 'grace');
  const challenge = 'Bearer error="insufficient_user_authentication", acr_values="phr", max_age="0"';
  const needed = await browser.call(`/bff/claims/challenged?${new URLSearchParams({ challenge })}`);
  const { step_up } = JSON.parse(needed.text);
  const begun = await browser.visit(`/auth/entra/login?${new URLSearchParams({ step_up, acr_values: 'low' })}`);
  const { searchParams } = new URL(begun.headers.location ?? '');
  assert.deepEqual([searchParams.getAll('acr_values'), searchParams.get('max_age')], [['phr'], '0']);
  for (const [provider, value] of /** @type {const} */ ([
    ['entra', '{"access_token":{"acrs":null}}'],
    ['entra', `${step_up.slice(0, -4)}AAAA`],
    ['github', step_up],
  ])) {
    const answer = await browser.visit(`/auth/${provider}/login?${new URLSearchParams({ step_up: value })}`);
    assert.equal(answer.status, 400, `${provider}: ${answer.text}`);
    assert.equal(answer.headers.location, undefined);
  }
  const { browser: other } = await signedIn(stack, 'entra', 'grace');
  assert.equal((await other.visit(`/auth/entra/login?${new URLSearchParams({ step_up })}`)).status, 400);
});
