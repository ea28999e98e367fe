// What the security table rests on for streams, on each runtime's own stack: they end with their session, and a place in
// one is of no use in another.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { signedIn } from '../journey/sign-in.mjs';
import { revocationBound } from '../journey/stack.mjs';
import { Stream } from '../journey/stream.mjs';
import { kafka, stack, unique } from './stack.mjs';

/** What is told at once may take as long as its way through the hub. */
const AT_ONCE_MS = 3_000;

test('S130: open streams end with their session, at once and with a last event, whoever ended it; no other stream does', async () => {
  const ways = /** @type {const} */ ([
    [
      'signed_out',
      (/** @type {import('../journey/agent.mjs').Agent} */ agent) => agent.call('/auth/logout', { method: 'POST' }),
    ],
    [
      'revoked',
      async (/** @type {import('../journey/agent.mjs').Agent} */ agent) => {
        const { agent: elsewhere } = await signedIn(stack, 'github', 'dorothy');
        const { sessions } = JSON.parse((await agent.call('/auth/sessions')).text);
        const { id } = sessions.find((/** @type {{ current: boolean }} */ { current }) => current);
        return elsewhere.call(`/auth/sessions/${id}`, { method: 'DELETE' });
      },
    ],
  ]);
  const other = await signedIn(stack, 'github', 'dorothy');
  const goesOn = await (await Stream.open(other.agent)).opened();
  for (const [reason, end] of ways) {
    const { agent } = await signedIn(stack, 'github', 'dorothy');
    const thief = agent.copy();
    const streams = await Promise.all([agent, thief, thief].map(async (each) => (await Stream.open(each)).opened()));
    const answer = await end(agent);
    const begun = Date.now();
    assert.equal(answer.status, 204, answer.text);
    for (const stream of streams) {
      assert.deepEqual(await stream.named('end'), { reason });
      await stream.until('the stream closes', () => stream.closed);
    }
    assert.ok(Date.now() - begun < AT_ONCE_MS, `${reason}: after ${Date.now() - begun} ms`);
    await revocationBound();
    const again = await Stream.open(thief, streams[0]?.lastId || undefined);
    assert.equal(again.status, 401, reason);
    assert.equal(again.headers.location, undefined);
  }
  const text = unique('the other session goes on');
  await kafka.write({ key: other.user.id, value: { text } });
  await goesOn.hears(text);
  assert.equal(goesOn.closed, false);
  goesOn.cut();
});

test("S131: with a place in another user's stream only one's own records are heard", async () => {
  const [ada, grace] = await Promise.all([signedIn(stack, 'github', 'ada'), signedIn(stack, 'entra', 'grace')]);
  const hers = [unique('for Grace 1'), unique('for Grace 2')];
  const graces = await (await Stream.open(grace.agent)).opened();
  for (const text of hers) await kafka.write({ key: grace.user.id, value: { text } });
  await graces.hears(hers[1] ?? '');
  // The place before her last record: whoever is let in there hears it.
  const [, epoch, partition, offset] = graces.lastId.split('.');
  for (const place of [graces.lastId, `v1.${epoch}.${partition}.${Number(offset) - 1}`, `v1.${epoch}.${partition}.0`]) {
    const thief = await (await Stream.open(ada.agent, place)).opened();
    assert.equal(thief.status, 200, place);
    const his = unique('for Ada');
    await kafka.write({ key: ada.user.id, value: { text: his } });
    await thief.hears(his);
    assert.deepEqual(
      thief.texts.filter((text) => hers.includes(text)),
      [],
      place,
    );
    thief.cut();
  }
  graces.cut();
});

test('S140: what is written for the same id in another tenant is not heard', async () => {
  const { agent, user: ada } = await signedIn(stack, 'github', 'ada');
  const [, tenant = '', id = ''] = /^([^:]+):(.+)$/.exec(ada.id) ?? [];
  const stream = await (await Stream.open(agent)).opened();
  /** @type {string[]} */
  const foreign = [];
  for (const key of [`entra:${id}`, `${tenant}2:${id}`, `${tenant.toUpperCase()}:${id}`, `${tenant}:${id}0`]) {
    const [theirs, own] = [unique(`for ${key}`), unique('for Ada')];
    foreign.push(theirs);
    await kafka.write({ key, value: { text: theirs } });
    // Written later, so that by the last of them there was time for all of the others.
    await kafka.write({ key: ada.id, value: { text: own } });
    await stream.hears(own);
  }
  const again = await (await Stream.open(agent)).opened();
  await again.hears(stream.texts.at(-1) ?? '');
  for (const { texts } of [stream, again])
    assert.deepEqual(
      texts.filter((text) => foreign.includes(text)),
      [],
    );
  for (const each of [stream, again]) each.cut();
});
