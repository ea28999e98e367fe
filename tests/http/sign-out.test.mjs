import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';

import { Agent } from '../journey/agent.mjs';
import { signedIn } from '../journey/sign-in.mjs';
import { revocationBound } from '../journey/stack.mjs';
import { Stream } from '../journey/stream.mjs';
import { stack } from './stack.mjs';

test('signing out ends the session on the server, not only in this browser', async () => {
  const { agent } = await signedIn(stack, 'github', 'katherine');
  const thief = agent.copy();
  assert.equal((await thief.session()).authenticated, true);
  const stream = await (await Stream.open(thief)).opened();

  const answer = await agent.call('/auth/logout', { method: 'POST' });
  assert.equal(answer.status, 204);
  assert.equal((await agent.session()).authenticated, false);

  assert.deepEqual(await stream.named('end'), { reason: 'signed_out' });
  await stream.until('the stream closes', () => stream.closed);
  assert.equal((await Stream.open(thief)).status, 401);
  await revocationBound();
  for (const replayed of [await thief.post('message', { text: 'still me?' }), await thief.call('/bff/github/user')]) {
    assert.equal(replayed.status, 401, replayed.text);
  }
  assert.equal((await thief.session()).authenticated, false);
});

test('with the cookie of a session that was just ended, no stream opens anywhere', async () => {
  const { agent } = await signedIn(stack, 'github', 'katherine');
  const thief = agent.copy();
  // All at once, so that every instance of the edge there is has just believed it.
  const believed = await Promise.all(Array.from({ length: 40 }, () => thief.session()));
  assert.ok(believed.every(({ authenticated }) => authenticated));
  assert.equal((await agent.call('/auth/logout', { method: 'POST' })).status, 204);
  const streams = await Promise.all(Array.from({ length: 24 }, () => Stream.open(thief)));
  assert.deepEqual(
    streams.map(({ status }) => status),
    streams.map(() => 401),
  );
  await revocationBound();
  const refused = await Promise.all(Array.from({ length: 40 }, () => thief.call('/bff/github/user')));
  assert.deepEqual(
    refused.map(({ status }) => status),
    refused.map(() => 401),
  );
});

test("signing out ends this session only: the user's other browser stays", async () => {
  const here = await signedIn(stack, 'entra', 'katherine');
  const there = await signedIn(stack, 'entra', 'katherine');
  const stream = await (await Stream.open(there.agent)).opened();
  const answer = await here.agent.call('/auth/logout', { method: 'POST' });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(JSON.parse(answer.text), { end_session: '/auth/entra/end-session' });
  assert.equal((await there.agent.session()).authenticated, true);
  assert.equal(stream.closed, false);
  assert.deepEqual(
    stream.frames.filter(({ event }) => event === 'end'),
    [],
  );
  stream.cut();
});

test('another site cannot sign a user out', async () => {
  const { agent } = await signedIn(stack, 'github', 'katherine');
  const image = await agent.visit('/auth/logout', {
    headers: { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image' },
  });
  assert.equal(image.status, 405);
  const form = await agent.call('/auth/logout', {
    method: 'POST',
    headers: {
      'X-CSRF': undefined,
      Origin: 'https://evil.example',
      'Sec-Fetch-Site': 'cross-site',
      'Content-Type': 'application/x-www-form-urlencoded',
    },
  });
  assert.equal(form.status, 403);
  assert.equal((await agent.session()).authenticated, true);
});

test('signing out leads by way of the provider, and back to where the user was', async () => {
  const { agent } = await signedIn(stack, 'entra', 'katherine');
  const { end_session: path } = JSON.parse((await agent.call('/auth/logout', { method: 'POST' })).text);
  const back = `${stack.hostOrigin}/page?x=1`;
  const left = await agent.visit(`${path}?return_to=${encodeURIComponent(back)}`);
  assert.equal(left.status, 303, left.text);
  const provider = new URL(left.headers.location ?? '');
  assert.equal(provider.pathname, '/oauth2/v2.0/logout');
  assert.match(provider.searchParams.get('id_token_hint') ?? '', /^ey[\w-]+\.ey[\w-]+\.[\w-]+$/);
  const returned = await agent.visit(provider);
  assert.equal(returned.status, 302, returned.text);
  // The emulator forgets the state, which a provider must send back.
  const loggedOut = new URL(returned.headers.location ?? '');
  assert.equal(loggedOut.href, `${stack.edgeOrigin}/auth/entra/logged-out`);
  const thief = agent.copy();
  assert.equal((await thief.visit(loggedOut)).headers.location, '/', 'without the state');
  loggedOut.searchParams.set('state', provider.searchParams.get('state') ?? '');
  assert.equal((await agent.visit(loggedOut)).headers.location, back);
  assert.equal(agent.cookies.size, 0, 'nothing is left in the browser');
});

test('a user sees where they are signed in, and ends that from elsewhere', async () => {
  const here = await signedIn(stack, 'github', 'margaret');
  const there = await signedIn(stack, 'github', 'margaret');
  const stranger = await signedIn(stack, 'github', 'katherine');
  const list = async () => JSON.parse((await here.agent.call('/auth/sessions')).text).sessions;
  const sessions = await list();
  const other = sessions.find((/** @type {{ current: boolean }} */ { current }) => !current);
  assert.equal(sessions.length, 2);
  const stream = await (await Stream.open(there.agent)).opened();

  const foreign = await stranger.agent.call(`/auth/sessions/${other.id}`, { method: 'DELETE' });
  assert.equal(foreign.status, 404, 'nobody ends what is not theirs');
  assert.equal((await here.agent.call(`/auth/sessions/${other.id}`, { method: 'DELETE' })).status, 204);
  assert.deepEqual(await stream.named('end'), { reason: 'revoked' });
  await stream.until('the stream closes', () => stream.closed);
  assert.equal((await list()).length, 1);
  await revocationBound();
  assert.equal((await there.agent.session()).authenticated, false);
  assert.equal((await here.agent.session()).authenticated, true);

  const again = await signedIn(stack, 'github', 'margaret');
  assert.equal((await here.agent.call('/auth/sessions', { method: 'DELETE' })).status, 204);
  assert.deepEqual(
    (await list()).map((/** @type {{ current: boolean }} */ { current }) => current),
    [true],
  );
  await revocationBound();
  assert.equal((await again.agent.session()).authenticated, false);
  assert.equal((await stranger.agent.session()).authenticated, true);
});

test('S132: whoever takes back what they allowed at GitHub is signed out everywhere', async () => {
  const { agent, user } = await signedIn(stack, 'github', 'dorothy');
  const stream = await (await Stream.open(agent)).opened();
  const body = JSON.stringify({ action: 'revoked', sender: { id: Number(user.id.split(':')[1]) } });
  const deliver = (/** @type {string} */ secret) =>
    new Agent(stack).call('/auth/github/webhook', {
      method: 'POST',
      headers: {
        Origin: undefined,
        'X-CSRF': undefined,
        'Sec-Fetch-Site': undefined,
        'Sec-Fetch-Mode': undefined,
        'Sec-Fetch-Dest': undefined,
        'Content-Type': 'application/json',
        'X-GitHub-Event': 'github_app_authorization',
        'X-Hub-Signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
      },
      body,
    });
  assert.equal((await deliver('of somebody else')).status, 401);
  assert.equal((await agent.session()).authenticated, true);
  assert.equal((await deliver(stack.secrets.githubWebhookSecret)).status, 204);
  assert.deepEqual(await stream.named('end'), { reason: 'revoked' });
  assert.equal((await Stream.open(agent)).status, 401);
  await revocationBound();
  assert.equal((await agent.session()).authenticated, false);
  assert.equal((await deliver(stack.secrets.githubWebhookSecret)).status, 204, 'a repeat is no error');
});

test('a provider that forges is told nothing, and ends nothing', async () => {
  const { agent } = await signedIn(stack, 'entra', 'katherine');
  const frame = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' };
  const forged = await agent.visit('/auth/entra/frontchannel-logout?iss=https%3A%2F%2Fevil.example&sid=x', {
    headers: frame,
  });
  assert.deepEqual([forged.status, forged.text], [200, '']);
  const token = await new Agent(stack).call('/auth/entra/backchannel-logout', {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'logout_token=eyJhbGciOiJub25lIn0.e30.',
  });
  assert.equal(token.status, 400, token.text);
  assert.equal(token.headers['cache-control'], 'no-store');
  assert.equal((await agent.session()).authenticated, true);
});
