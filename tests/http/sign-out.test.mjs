import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import { test } from 'node:test';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { signedIn } from '../support/sign-in.mjs';
import { revocationBound } from '../support/stack.mjs';
import { Stream } from '../support/stream.mjs';
import { stack } from './stack.mjs';

test('signing out ends the session on the server, not only in this browser', async () => {
  const { browser } = await signedIn(stack, 'github', 'katherine');
  const thief = browser.copy();
  assert.equal((await thief.session()).authenticated, true);
  const stream = await (await Stream.open(thief)).opened();

  const answer = await browser.call('/auth/logout', { method: 'POST' });
  assert.equal(answer.status, 204);
  assert.equal((await browser.session()).authenticated, false);

  assert.deepEqual(await stream.named('end'), { reason: 'signed_out' });
  await stream.until('the stream closes', () => stream.closed);
  assert.equal((await Stream.open(thief)).status, 401);
  await revocationBound();
  for (const replayed of [
    await thief.postEvent('message', { text: 'still me?' }),
    await thief.call('/bff/github/user'),
  ]) {
    assert.equal(replayed.status, 401, replayed.text);
  }
  assert.equal((await thief.session()).authenticated, false);
});

test('the cookie of a session that has just ended opens no stream at any instance', async () => {
  const { browser } = await signedIn(stack, 'github', 'katherine');
  const thief = browser.copy();
  // Concurrent calls, so that every instance of the edge has cached the session.
  const sessions = await Promise.all(Array.from({ length: 40 }, () => thief.session()));
  assert.ok(sessions.every(({ authenticated }) => authenticated));
  assert.equal((await browser.call('/auth/logout', { method: 'POST' })).status, 204);
  const streams = await Promise.all(Array.from({ length: 24 }, () => Stream.open(thief)));
  assert.deepEqual(
    streams.map(({ status }) => status),
    streams.map(() => 401),
  );
  await revocationBound();
  const calls = await Promise.all(Array.from({ length: 40 }, () => thief.call('/bff/github/user')));
  assert.deepEqual(
    calls.map(({ status }) => status),
    calls.map(() => 401),
  );
});

test("signing out ends this session only: the user's other browser stays signed in", async () => {
  const here = await signedIn(stack, 'entra', 'katherine');
  const there = await signedIn(stack, 'entra', 'katherine');
  const stream = await (await Stream.open(there.browser)).opened();
  const answer = await here.browser.call('/auth/logout', { method: 'POST' });
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(JSON.parse(answer.text), { end_session: '/auth/entra/end-session' });
  assert.equal((await there.browser.session()).authenticated, true);
  assert.equal(stream.closed, false);
  assert.deepEqual(
    stream.frames.filter(({ event }) => event === 'end'),
    [],
  );
  stream.cut();
});

test('another site cannot sign a user out', async () => {
  const { browser } = await signedIn(stack, 'github', 'katherine');
  const image = await browser.visit('/auth/logout', {
    headers: { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image' },
  });
  assert.equal(image.status, 405);
  const form = await browser.call('/auth/logout', {
    method: 'POST',
    headers: {
      'X-CSRF': undefined,
      Origin: 'https://evil.example',
      'Sec-Fetch-Site': 'cross-site',
      'Content-Type': 'application/x-www-form-urlencoded',
    },
  });
  assert.equal(form.status, 403);
  assert.equal((await browser.session()).authenticated, true);
});

test("signing out leads through the provider's logout and back to the user's page", async () => {
  const { browser } = await signedIn(stack, 'entra', 'katherine');
  const { end_session: path } = JSON.parse((await browser.call('/auth/logout', { method: 'POST' })).text);
  const back = `${stack.hostOrigin}/page?x=1`;
  const left = await browser.visit(`${path}?return_to=${encodeURIComponent(back)}`);
  assert.equal(left.status, 303, left.text);
  const provider = new URL(left.headers.location ?? '');
  assert.equal(provider.pathname, '/oauth2/v2.0/logout');
  assert.match(provider.searchParams.get('id_token_hint') ?? '', /^ey[\w-]+\.ey[\w-]+\.[\w-]+$/);
  const returned = await browser.visit(provider);
  assert.equal(returned.status, 302, returned.text);
  // The emulator does not send the state back, as a provider must.
  const loggedOut = new URL(returned.headers.location ?? '');
  assert.equal(loggedOut.href, `${stack.edgeOrigin}/auth/entra/logged-out`);
  const thief = browser.copy();
  assert.equal((await thief.visit(loggedOut)).headers.location, '/', 'without the state');
  loggedOut.searchParams.set('state', provider.searchParams.get('state') ?? '');
  assert.equal((await browser.visit(loggedOut)).headers.location, back);
  assert.equal(browser.cookies.size, 0, 'no cookie remains');
});

test('a user lists their sessions and ends them from another browser', async () => {
  const here = await signedIn(stack, 'github', 'margaret');
  const there = await signedIn(stack, 'github', 'margaret');
  const stranger = await signedIn(stack, 'github', 'katherine');
  const list = async () => JSON.parse((await here.browser.call('/auth/sessions')).text).sessions;
  const sessions = await list();
  const other = sessions.find((/** @type {{ current: boolean }} */ { current }) => !current);
  assert.equal(sessions.length, 2);
  const stream = await (await Stream.open(there.browser)).opened();

  const denied = await stranger.browser.call(`/auth/sessions/${other.id}`, { method: 'DELETE' });
  assert.equal(denied.status, 404, "another user's session cannot be ended");
  assert.equal((await here.browser.call(`/auth/sessions/${other.id}`, { method: 'DELETE' })).status, 204);
  assert.deepEqual(await stream.named('end'), { reason: 'revoked' });
  await stream.until('the stream closes', () => stream.closed);
  assert.equal((await list()).length, 1);
  await revocationBound();
  assert.equal((await there.browser.session()).authenticated, false);
  assert.equal((await here.browser.session()).authenticated, true);

  const again = await signedIn(stack, 'github', 'margaret');
  assert.equal((await here.browser.call('/auth/sessions', { method: 'DELETE' })).status, 204);
  assert.deepEqual(
    (await list()).map((/** @type {{ current: boolean }} */ { current }) => current),
    [true],
  );
  await revocationBound();
  assert.equal((await again.browser.session()).authenticated, false);
  assert.equal((await stranger.browser.session()).authenticated, true);
});

/**
 * Delivers a revocation as GitHub does.
 * @param {string} body @param {string} [secret] @param {string} [id]
 */
function deliverRevocation(body, secret = stack.secrets.githubWebhookSecret, id = randomUUID()) {
  return new EdgeBrowser(stack).call('/auth/github/webhook', {
    method: 'POST',
    headers: {
      Origin: undefined,
      'X-CSRF': undefined,
      'Sec-Fetch-Site': undefined,
      'Sec-Fetch-Mode': undefined,
      'Sec-Fetch-Dest': undefined,
      'Content-Type': 'application/json',
      'X-GitHub-Event': 'github_app_authorization',
      'X-GitHub-Delivery': id,
      'X-Hub-Signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    },
    body,
  });
}

test('S132: a user who revokes the authorization at GitHub is signed out everywhere', async () => {
  const { browser, user } = await signedIn(stack, 'github', 'dorothy');
  const stream = await (await Stream.open(browser)).opened();
  const body = JSON.stringify({ action: 'revoked', sender: { id: Number(user.id.split(':')[1]) } });
  const deliver = (/** @type {string} */ secret) => deliverRevocation(body, secret);
  assert.equal((await deliver('another secret')).status, 401);
  assert.equal((await browser.session()).authenticated, true);
  assert.equal((await deliver(stack.secrets.githubWebhookSecret)).status, 204);
  assert.deepEqual(await stream.named('end'), { reason: 'revoked' });
  assert.equal((await Stream.open(browser)).status, 401);
  await revocationBound();
  assert.equal((await browser.session()).authenticated, false);
  assert.equal((await deliver(stack.secrets.githubWebhookSecret)).status, 204, 'a repeated delivery is accepted');
});

test('S156: a repeated delivery of GitHub ends no session that began after the first one', async () => {
  const { browser, user } = await signedIn(stack, 'github', 'katherine');
  const body = JSON.stringify({ action: 'revoked', sender: { id: Number(user.id.split(':')[1]) } });
  const [first, second] = [randomUUID(), randomUUID()];
  assert.equal((await deliverRevocation(body, undefined, first)).status, 204);
  await revocationBound();
  assert.equal((await browser.session()).authenticated, false);

  const again = await signedIn(stack, 'github', 'katherine');
  const stream = await (await Stream.open(again.browser)).opened();
  assert.equal((await deliverRevocation(body, undefined, first)).status, 204);
  await revocationBound();
  assert.equal((await again.browser.session()).authenticated, true);
  assert.equal(stream.closed, false);

  // The body of a second revocation is the same. It must not be missed.
  assert.equal((await deliverRevocation(body, undefined, second)).status, 204);
  assert.deepEqual(await stream.named('end'), { reason: 'revoked' });
  await revocationBound();
  assert.equal((await again.browser.session()).authenticated, false);
});

test('forged front-channel and back-channel logouts end no session', async () => {
  const { browser } = await signedIn(stack, 'entra', 'katherine');
  const frame = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'iframe' };
  const forged = await browser.visit('/auth/entra/frontchannel-logout?iss=https%3A%2F%2Fevil.example&sid=x', {
    headers: frame,
  });
  assert.deepEqual([forged.status, forged.text], [200, '']);
  const token = await new EdgeBrowser(stack).call('/auth/entra/backchannel-logout', {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: 'logout_token=eyJhbGciOiJub25lIn0.e30.',
  });
  assert.equal(token.status, 400, token.text);
  assert.equal(token.headers['cache-control'], 'no-store');
  assert.equal((await browser.session()).authenticated, true);
});
