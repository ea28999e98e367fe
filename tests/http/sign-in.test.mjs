import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ENTRA_TENANT } from '../../scripts/stack/part/emulators.mjs';
import { EdgeBrowser } from '../support/edge-browser.mjs';
import { leaks, readable, secretValues } from '../support/leak.mjs';
import { authorizeAt, signIn } from '../support/sign-in.mjs';
import { revocationBound } from '../support/stack.mjs';
import { Stream } from '../support/stream.mjs';
import { github, graph, stack } from './stack.mjs';

const SESSION_COOKIE = '__Host-Http-session';

test('a visitor gets the list of providers', async () => {
  const answer = await new EdgeBrowser(stack).call('/auth/session');
  assert.equal(answer.status, 200);
  assert.deepEqual(JSON.parse(answer.text), {
    authenticated: false,
    providers: [
      { id: 'entra', name: 'Microsoft' },
      { id: 'github', name: 'GitHub' },
    ],
  });
  assert.match(answer.headers['cache-control'] ?? '', /no-store/);
  assert.equal(answer.headers['access-control-allow-origin'], stack.hostOrigin);
  assert.equal(answer.headers['access-control-allow-credentials'], 'true');
});

test('a visitor signs in with GitHub and has a name', async () => {
  const browser = new EdgeBrowser(stack);
  const { authorize, finished } = await signIn(browser, 'github', 'ada');
  assert.equal(authorize.searchParams.get('code_challenge_method'), 'S256');
  assert.ok((authorize.searchParams.get('state') ?? '').length >= 22, 'the state cannot be guessed');
  assert.equal(finished.status, 303);
  assert.equal(finished.headers.location, '/', 'the URL is without the code');
  const session = await browser.session();
  assert.equal(session.authenticated, true);
  assert.equal(session.user.name, 'Ada Lovelace');
  assert.match(session.user.id, /^github:\d+$/);
  assert.deepEqual(session.connections, [{ own: true, provider: 'github' }]);
  assert.ok(session.expires_in > 0);
});

test('a visitor signs in with Microsoft and has a tenant, an id and a name', async () => {
  const browser = new EdgeBrowser(stack);
  const { authorize, finished } = await signIn(browser, 'entra', 'grace');
  assert.equal(authorize.searchParams.get('code_challenge_method'), 'S256');
  assert.ok((authorize.searchParams.get('nonce') ?? '').length >= 22, 'the nonce cannot be guessed');
  assert.equal(finished.status, 303);
  const session = await browser.session();
  assert.equal(session.user.name, 'Grace Hopper');
  assert.equal(session.user.email, 'grace@causeway.example');
  assert.ok(session.user.id.startsWith(`${ENTRA_TENANT}:`), session.user.id);
});

test('a sign-in leaves one opaque cookie that no script and no other site can use', async () => {
  const browser = new EdgeBrowser(stack);
  await signIn(browser, 'github', 'ada');
  assert.deepEqual(
    [...browser.cookies.keys()].filter((name) => name.startsWith('__')),
    [SESSION_COOKIE],
    'the cookie of the sign-in is removed',
  );
  const { value, attributes } = /** @type {import('../support/browser.mjs').SetCookie} */ (
    browser.cookies.get(SESSION_COOKIE)
  );
  assert.ok(attributes.has('secure') && attributes.has('httponly') && !attributes.has('domain'));
  assert.equal(attributes.get('path'), '/');
  assert.equal(attributes.get('samesite'), 'Strict');
  assert.ok(value.length < 512, `${value.length} bytes: an id, not a session`);
});

test('every cookie that the edge sets or removes is Secure and HttpOnly', async () => {
  const browser = new EdgeBrowser(stack);
  await signIn(browser, 'entra', 'ada');
  await browser.call('/auth/logout', { method: 'POST' });
  const set = browser.answers
    .filter(({ url }) => url.startsWith(stack.edgeOrigin))
    .flatMap(({ headers }) => headers['set-cookie'] ?? []);
  assert.ok(set.length >= 3);
  for (const cookie of set) assert.match(cookie, /; *Secure.*; *HttpOnly|; *HttpOnly.*; *Secure/i);
});

test('signing in returns to the host page it began on', async () => {
  const { finished } = await signIn(new EdgeBrowser(stack), 'github', 'ada', `${stack.hostOrigin}/chat?room=1`);
  assert.equal(finished.headers.location, `${stack.hostOrigin}/chat?room=1`);
});

test('signing in never leads to another site', async () => {
  for (const returnTo of [
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    `${stack.hostOrigin}.evil.example/`,
    'javascript:alert(1)',
  ]) {
    const { finished } = await signIn(new EdgeBrowser(stack), 'github', 'ada', returnTo);
    assert.equal(finished.headers.location, '/', returnTo);
  }
});

/** Whether an answer sets a session cookie. @param {import('../support/exchange.mjs').Answer} answer */
const setsSession = ({ headers }) =>
  (headers['set-cookie'] ?? []).some((cookie) => cookie.startsWith(`${SESSION_COOKIE}=`) && !/max-age=0/i.test(cookie));

test('a callback of a sign-in that another browser began is rejected', async () => {
  // The code is valid and unused: only its binding to the attacker's browser can stop it.
  const { callback } = await authorizeAt(new EdgeBrowser(stack), 'github', 'grace');
  const victim = new EdgeBrowser(stack);
  const answer = await victim.visit(callback);
  assert.equal(answer.status, 400);
  assert.equal(setsSession(answer), false);
  assert.equal((await victim.session()).authenticated, false);
});

test("a callback with another sign-in's state or provider is rejected", async () => {
  const browser = new EdgeBrowser(stack);
  const { callback } = await authorizeAt(browser, 'github', 'ada');
  for (const change of ['github/callback?state=x', 'entra/callback?']) {
    const [path = '', query = ''] = change.split('?');
    const wrong = new URL(`/auth/${path}`, stack.edgeOrigin);
    wrong.search = new URLSearchParams({
      ...Object.fromEntries(callback.searchParams),
      ...Object.fromEntries(new URLSearchParams(query)),
    }).toString();
    const answer = await browser.copy().visit(wrong);
    assert.equal(answer.status, 400, wrong.href);
    assert.equal(setsSession(answer), false, wrong.href);
  }
});

test('a user who cancels at the provider comes back to the page, once, and is not signed in', async () => {
  for (const provider of /** @type {const} */ (['github', 'entra'])) {
    const browser = new EdgeBrowser(stack);
    const page = `${stack.hostOrigin}/chat?room=1`;
    const { callback } = await authorizeAt(browser, provider, 'ada', page);
    callback.searchParams.delete('code');
    callback.searchParams.set('error', 'access_denied');
    const before = browser.copy();
    const cancelled = await browser.visit(callback);
    assert.equal(cancelled.status, 303, cancelled.text);
    assert.equal(cancelled.headers.location, `${page}#causeway_error=cancelled`);
    assert.deepEqual(
      [...browser.cookies.keys()].filter((name) => name.startsWith('__')),
      [],
      'the cookie of the sign-in is removed',
    );
    assert.equal((await browser.session()).authenticated, false);
    assert.equal((await before.visit(callback)).status, 400, 'with the cookie that the browser had');
    assert.equal((await signIn(browser, provider, 'ada')).finished.status, 303, 'a second sign-in works');
  }
});

test('any other error of the provider has a page of its own', async () => {
  for (const error of ['server_error', 'consent_required', 'login_required']) {
    const browser = new EdgeBrowser(stack);
    const { callback } = await authorizeAt(browser, 'github', 'ada');
    callback.searchParams.delete('code');
    callback.searchParams.set('error', error);
    const answer = await browser.visit(callback);
    assert.equal(answer.status, 400, error);
    assert.equal(answer.headers.location, undefined, error);
  }
});

test('a cancelled sign-in keeps the session that it would have replaced', async () => {
  const browser = new EdgeBrowser(stack);
  await signIn(browser, 'github', 'ada');
  const { callback } = await authorizeAt(browser, 'github', 'grace', '/', { prompt: 'select_account' });
  callback.searchParams.delete('code');
  callback.searchParams.set('error', 'access_denied');
  assert.equal((await browser.visit(callback)).headers.location, '/#causeway_error=cancelled');
  assert.equal((await browser.session()).user.name, 'Ada Lovelace');
});

test('the page asks for another account, and for no other prompt', async () => {
  const browser = new EdgeBrowser(stack);
  for (const provider of ['github', 'entra']) {
    for (const prompt of ['select_account', 'login', 'consent']) {
      const begun = await browser.visit(`/auth/${provider}/login?prompt=${prompt}`);
      assert.equal(begun.status, 303);
      assert.equal(new URL(begun.headers.location ?? '').searchParams.get('prompt'), prompt);
    }
    for (const bad of ['prompt=none', 'prompt=', 'prompt=login%20none', 'prompt=login&prompt=login']) {
      const answer = await browser.visit(`/auth/${provider}/login?${bad}`);
      assert.equal(answer.status, 400, bad);
      assert.equal(answer.headers.location, undefined, bad);
    }
  }
  const plain = await browser.visit('/auth/github/login');
  assert.equal(new URL(plain.headers.location ?? '').searchParams.has('prompt'), false);
});

test('signing in as another account replaces the session', async () => {
  const browser = new EdgeBrowser(stack);
  await signIn(browser, 'github', 'ada');
  const old = browser.copy();
  const { callback } = await authorizeAt(browser, 'github', 'grace', '/', { prompt: 'select_account' });
  assert.equal((await browser.visit(callback)).status, 303);
  assert.equal((await browser.session()).user.name, 'Grace Hopper');
  await revocationBound();
  assert.equal((await old.session()).authenticated, false);
});

test('the installation of a GitHub App begins an ordinary sign-in, and its code is not used', async () => {
  const browser = new EdgeBrowser(stack);
  const installed = await browser.visit('/auth/github/callback?code=of-another&installation_id=7&setup_action=install');
  assert.equal(installed.status, 303);
  assert.equal(installed.headers.location, '/auth/github/login');
  assert.equal(browser.cookies.size, 0);
  const begun = await browser.visit('/auth/github/login');
  assert.equal(begun.status, 303);
  assert.ok(begun.headers.location?.includes('code_challenge='));
  // From another site the edge asks first, as for every sign-in.
  assert.equal((await browser.arrive('/auth/github/login')).status, 200);
  // Other providers send no such callback.
  assert.equal((await browser.visit('/auth/entra/callback?code=of-another')).status, 400);
});

test('S160: a prefetch begins no sign-in', async () => {
  const browser = new EdgeBrowser(stack);
  for (const name of ['Sec-Purpose', 'Purpose', 'X-Purpose', 'X-Moz']) {
    for (const purpose of ['prefetch', 'Prefetch', 'prerender;prefetch', 'preview']) {
      const answer = await browser.visit('/auth/github/login', { headers: { [name]: purpose } });
      assert.equal(answer.status, 403, `${name}: ${purpose}`);
    }
  }
  assert.equal(browser.cookies.size, 0);
});

test('S158: an answer of another issuer leaves the sign-in in progress', async () => {
  const browser = new EdgeBrowser(stack);
  const { callback } = await authorizeAt(browser, 'github', 'ada');
  const forged = new URL(callback);
  forged.searchParams.delete('code');
  forged.searchParams.set('error', 'access_denied');
  forged.searchParams.set('iss', 'https://evil.example');
  const refused = await browser.visit(forged);
  assert.equal(refused.status, 400);
  assert.equal(refused.headers['set-cookie'], undefined);
  assert.equal((await browser.visit(callback)).status, 303);
  assert.equal((await browser.session()).authenticated, true);
});

test('a finished callback cannot be used again', async () => {
  const browser = new EdgeBrowser(stack);
  const { callback } = await signIn(browser, 'github', 'ada');
  assert.equal(setsSession(await browser.visit(callback)), false);
});

test('S159: a session cookie that does not open is removed by the answer that refuses it', async () => {
  const signed = new EdgeBrowser(stack);
  await signIn(signed, 'github', 'ada');
  const good = signed.cookies.get(SESSION_COOKIE)?.value ?? '';
  const removals = (/** @type {import('../support/exchange.mjs').Answer} */ { headers }) =>
    (headers['set-cookie'] ?? []).map((cookie) => {
      assert.match(cookie, new RegExp(`^${SESSION_COOKIE}=;.*max-age=0`, 'i'));
      return cookie;
    }).length;
  for (const [target, status] of /** @type {[string, number][]} */ ([
    ['/auth/session', 200],
    ['/bff/github/user', 401],
    ['/stream', 401],
  ])) {
    const browser = new EdgeBrowser(stack);
    const refused = await browser.call(target, { headers: { Cookie: `${SESSION_COOKIE}=${good}A` } });
    assert.equal(refused.status, status, target);
    assert.ok(removals(refused) > 0, target);
    const next = await browser.call(target);
    assert.deepEqual([next.status, removals(next)], [status, 0], `${target} without a cookie`);
    const beside = await browser.call(target, {
      headers: { Cookie: `${SESSION_COOKIE}=x; ${SESSION_COOKIE}=${good}` },
    });
    assert.deepEqual([beside.status, removals(beside)], [status, 0], `${target} beside a good one`);
  }
  assert.equal((await signed.session()).authenticated, true);
});

test('signing in again replaces the session, and the old cookie is rejected', async () => {
  const browser = new EdgeBrowser(stack);
  await signIn(browser, 'github', 'ada');
  const old = browser.copy();
  await signIn(browser, 'github', 'ada');
  assert.equal((await browser.session()).authenticated, true);
  await revocationBound();
  assert.equal((await old.session()).authenticated, false);
  assert.equal((await old.call('/bff/github/user')).status, 401);
});

test('signing in as another user ends the old session, with its stream and its cookie', async () => {
  const browser = new EdgeBrowser(stack);
  await signIn(browser, 'github', 'ada');
  const old = browser.copy();
  const stream = await (await Stream.open(old)).opened();
  await signIn(browser, 'entra', 'grace');
  assert.deepEqual(await stream.named('end'), { reason: 'revoked' });
  await stream.until('the stream closes', () => stream.closed);
  assert.equal((await browser.session()).user.name, 'Grace Hopper');
  assert.equal((await Stream.open(old)).status, 401);
  await revocationBound();
  assert.equal((await old.session()).authenticated, false);
  assert.equal((await old.postEvent('message', { text: 'still Ada?' })).status, 401);
});

test('nothing that a page can read holds a token or a secret', async () => {
  const browser = new EdgeBrowser(stack);
  for (const provider of /** @type {const} */ (['github', 'entra'])) {
    await signIn(browser, provider, 'ada');
    assert.equal((await browser.call(provider === 'github' ? '/bff/github/user' : '/bff/graph/v1.0/me')).status, 200);
    assert.equal((await browser.session()).authenticated, true);
    assert.equal((await browser.postEvent('message', { text: 'hello' })).status, 202);
    await browser.call('/nowhere');
  }
  const values = [...secretValues(stack.secrets), ...github.tokens(), ...graph.tokens()];
  assert.ok(github.tokens().length && graph.tokens().length, 'tokens were in use');
  const edgeAnswers = browser.answers.filter(({ url }) => url.startsWith(stack.edgeOrigin));
  for (const answer of edgeAnswers) assert.deepEqual(leaks(readable(answer), values), [], answer.url);
});
