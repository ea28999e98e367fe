import assert from 'node:assert/strict';
import { test } from 'node:test';

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
  assert.deepEqual(streams.map(({ status }) => status), streams.map(() => 401));
  await revocationBound();
  const refused = await Promise.all(Array.from({ length: 40 }, () => thief.call('/bff/github/user')));
  assert.deepEqual(refused.map(({ status }) => status), refused.map(() => 401));
});

test("signing out ends this session only: the user's other browser stays", async () => {
  const here = await signedIn(stack, 'entra', 'katherine');
  const there = await signedIn(stack, 'entra', 'katherine');
  const stream = await (await Stream.open(there.agent)).opened();
  assert.equal((await here.agent.call('/auth/logout', { method: 'POST' })).status, 204);
  assert.equal((await there.agent.session()).authenticated, true);
  assert.equal(stream.closed, false);
  assert.deepEqual(stream.frames.filter(({ event }) => event === 'end'), []);
  stream.cut();
});

test('another site cannot sign a user out', async () => {
  const { agent } = await signedIn(stack, 'github', 'katherine');
  const image = await agent.visit('/auth/logout', { headers: { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'no-cors', 'Sec-Fetch-Dest': 'image' } });
  assert.equal(image.status, 405);
  const form = await agent.call('/auth/logout', {
    method: 'POST',
    headers: { 'X-CSRF': undefined, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site', 'Content-Type': 'application/x-www-form-urlencoded' },
  });
  assert.equal(form.status, 403);
  assert.equal((await agent.session()).authenticated, true);
});
