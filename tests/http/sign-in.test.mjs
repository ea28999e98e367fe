import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ENTRA_TENANT } from '../../scripts/stack/part/emulators.mjs';
import { Agent } from '../journey/agent.mjs';
import { leaks, readable, secretValues } from '../journey/leak.mjs';
import { authorizeAt, signIn } from '../journey/sign-in.mjs';
import { revocationBound } from '../journey/stack.mjs';
import { Stream } from '../journey/stream.mjs';
import { github, graph, stack } from './stack.mjs';

const SESSION_COOKIE = '__Host-Http-session';

test('a visitor is told whom to sign in with', async () => {
  const answer = await new Agent(stack).call('/auth/session');
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

test('a visitor signs in with GitHub and is known by name', async () => {
  const agent = new Agent(stack);
  const { authorize, finished } = await signIn(agent, 'github', 'ada');
  assert.equal(authorize.searchParams.get('code_challenge_method'), 'S256');
  assert.ok((authorize.searchParams.get('state') ?? '').length >= 22, 'a state nobody can guess');
  assert.equal(finished.status, 303);
  assert.equal(finished.headers.location, '/', 'a clean URL, without the code');
  const session = await agent.session();
  assert.equal(session.authenticated, true);
  assert.equal(session.user.name, 'Ada Lovelace');
  assert.match(session.user.id, /^github:\d+$/);
  assert.deepEqual(session.connections, [{ provider: 'github' }]);
  assert.ok(session.expires_in > 0);
});

test('a visitor signs in with Microsoft and is known by tenant, id and name', async () => {
  const agent = new Agent(stack);
  const { authorize, finished } = await signIn(agent, 'entra', 'grace');
  assert.equal(authorize.searchParams.get('code_challenge_method'), 'S256');
  assert.ok((authorize.searchParams.get('nonce') ?? '').length >= 22, 'a nonce nobody can guess');
  assert.equal(finished.status, 303);
  const session = await agent.session();
  assert.equal(session.user.name, 'Grace Hopper');
  assert.equal(session.user.email, 'grace@causeway.example');
  assert.ok(session.user.id.startsWith(`${ENTRA_TENANT}:`), session.user.id);
});

test('the browser keeps one opaque cookie that no script and no other site can use', async () => {
  const agent = new Agent(stack);
  await signIn(agent, 'github', 'ada');
  assert.deepEqual(
    [...agent.cookies.keys()].filter((name) => name.startsWith('__')),
    [SESSION_COOKIE],
    'the sign-in leaves none of its own',
  );
  const { value, attributes } = /** @type {import('../journey/agent.mjs').Cookie} */ (
    agent.cookies.get(SESSION_COOKIE)
  );
  assert.ok(attributes.has('secure') && attributes.has('httponly') && !attributes.has('domain'));
  assert.equal(attributes.get('path'), '/');
  assert.equal(attributes.get('samesite'), 'Strict');
  assert.ok(value.length < 512, `${value.length} bytes: an id, not a session`);
});

test('every cookie the edge sets is Secure and HttpOnly, those it deletes too', async () => {
  const agent = new Agent(stack);
  await signIn(agent, 'entra', 'ada');
  await agent.call('/auth/logout', { method: 'POST' });
  const set = agent.answers
    .filter(({ url }) => url.startsWith(stack.edgeOrigin))
    .flatMap(({ headers }) => headers['set-cookie'] ?? []);
  assert.ok(set.length >= 3);
  for (const cookie of set) assert.match(cookie, /; *Secure.*; *HttpOnly|; *HttpOnly.*; *Secure/i);
});

test('signing in returns to the host page it began on', async () => {
  const { finished } = await signIn(new Agent(stack), 'github', 'ada', `${stack.hostOrigin}/chat?room=1`);
  assert.equal(finished.headers.location, `${stack.hostOrigin}/chat?room=1`);
});

test('signing in never leads to a foreign site', async () => {
  for (const returnTo of [
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    `${stack.hostOrigin}.evil.example/`,
    'javascript:alert(1)',
  ]) {
    const { finished } = await signIn(new Agent(stack), 'github', 'ada', returnTo);
    assert.equal(finished.headers.location, '/', returnTo);
  }
});

/** Whether an answer hands out a session. @param {import('../journey/agent.mjs').Answer} answer */
const signsIn = ({ headers }) =>
  (headers['set-cookie'] ?? []).some((cookie) => cookie.startsWith(`${SESSION_COOKIE}=`) && !/max-age=0/i.test(cookie));

test('a callback that this browser did not begin signs nobody in', async () => {
  // The code is good and unused: only the binding to the attacker's browser can stop it.
  const { callback } = await authorizeAt(new Agent(stack), 'github', 'grace');
  const victim = new Agent(stack);
  const answer = await victim.visit(callback);
  assert.equal(answer.status, 400);
  assert.equal(signsIn(answer), false);
  assert.equal((await victim.session()).authenticated, false);
});

test('a callback of another sign-in of the same browser signs nobody in', async () => {
  const agent = new Agent(stack);
  const { callback } = await authorizeAt(agent, 'github', 'ada');
  for (const change of ['github/callback?state=x', 'entra/callback?']) {
    const [path = '', query = ''] = change.split('?');
    const wrong = new URL(`/auth/${path}`, stack.edgeOrigin);
    wrong.search = new URLSearchParams({
      ...Object.fromEntries(callback.searchParams),
      ...Object.fromEntries(new URLSearchParams(query)),
    }).toString();
    const answer = await agent.copy().visit(wrong);
    assert.equal(answer.status, 400, wrong.href);
    assert.equal(signsIn(answer), false, wrong.href);
  }
});

test('a finished callback cannot be used again', async () => {
  const agent = new Agent(stack);
  const { callback } = await signIn(agent, 'github', 'ada');
  assert.equal(signsIn(await agent.visit(callback)), false);
});

test('signing in again replaces the session: the old cookie is dead', async () => {
  const agent = new Agent(stack);
  await signIn(agent, 'github', 'ada');
  const old = agent.copy();
  await signIn(agent, 'github', 'ada');
  assert.equal((await agent.session()).authenticated, true);
  await revocationBound();
  assert.equal((await old.session()).authenticated, false);
  assert.equal((await old.call('/bff/github/user')).status, 401);
});

test('signing in as somebody else ends what the browser was: its open stream, and the old cookie', async () => {
  const agent = new Agent(stack);
  await signIn(agent, 'github', 'ada');
  const old = agent.copy();
  const stream = await (await Stream.open(old)).opened();
  await signIn(agent, 'entra', 'grace');
  assert.deepEqual(await stream.named('end'), { reason: 'revoked' });
  await stream.until('the stream closes', () => stream.closed);
  assert.equal((await agent.session()).user.name, 'Grace Hopper');
  assert.equal((await Stream.open(old)).status, 401);
  await revocationBound();
  assert.equal((await old.session()).authenticated, false);
  assert.equal((await old.post('message', { text: 'still Ada?' })).status, 401);
});

test('nothing a page can read holds a token or a secret', async () => {
  const agent = new Agent(stack);
  for (const provider of /** @type {const} */ (['github', 'entra'])) {
    await signIn(agent, provider, 'ada');
    assert.equal((await agent.call(provider === 'github' ? '/bff/github/user' : '/bff/graph/v1.0/me')).status, 200);
    assert.equal((await agent.session()).authenticated, true);
    assert.equal((await agent.post('message', { text: 'hello' })).status, 202);
    await agent.call('/nowhere');
  }
  const values = [...secretValues(stack.secrets), ...github.tokens(), ...graph.tokens()];
  assert.ok(github.tokens().length && graph.tokens().length, 'tokens were in use');
  const ours = agent.answers.filter(({ url }) => url.startsWith(stack.edgeOrigin));
  for (const answer of ours) assert.deepEqual(leaks(readable(answer), values), [], answer.url);
});
