// Streams on each runtime's own stack, for the security table: they end with their session, and a cursor of one user's
// stream opens no other user's.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { signedIn } from '../support/sign-in.mjs';
import { revocationBound } from '../support/stack.mjs';
import { Stream } from '../support/stream.mjs';
import { kafka, stack, unique } from './stack.mjs';

/** How long an event may take through the hub. */
const AT_ONCE_MS = 3_000;

test('S130: open streams end with their session, at once, with an end event; others go on', async () => {
  const ways = /** @type {const} */ ([
    [
      'signed_out',
      (/** @type {import('../support/edge-browser.mjs').EdgeBrowser} */ browser) =>
        browser.call('/auth/logout', { method: 'POST' }),
    ],
    [
      'revoked',
      async (/** @type {import('../support/edge-browser.mjs').EdgeBrowser} */ browser) => {
        const { browser: elsewhere } = await signedIn(stack, 'github', 'dorothy');
        const { sessions } = JSON.parse((await browser.call('/auth/sessions')).text);
        const { id } = sessions.find((/** @type {{ current: boolean }} */ { current }) => current);
        return elsewhere.call(`/auth/sessions/${id}`, { method: 'DELETE' });
      },
    ],
  ]);
  const other = await signedIn(stack, 'github', 'dorothy');
  const goesOn = await (await Stream.open(other.browser)).opened();
  for (const [reason, end] of ways) {
    const { browser } = await signedIn(stack, 'github', 'dorothy');
    const thief = browser.copy();
    const streams = await Promise.all([browser, thief, thief].map(async (each) => (await Stream.open(each)).opened()));
    const answer = await end(browser);
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
  await goesOn.receives(text);
  assert.equal(goesOn.closed, false);
  goesOn.cut();
});

test("S131: a cursor of another user's stream brings a user only their own records", async () => {
  const [ada, grace] = await Promise.all([signedIn(stack, 'github', 'ada'), signedIn(stack, 'entra', 'grace')]);
  const textsForGrace = [unique('for Grace 1'), unique('for Grace 2')];
  const graces = await (await Stream.open(grace.browser)).opened();
  for (const text of textsForGrace) await kafka.write({ key: grace.user.id, value: { text } });
  await graces.receives(textsForGrace[1] ?? '');
  // The cursor before her last record: her own stream would resume with it.
  const [offset, partition, epoch] = graces.lastId.split('.').reverse();
  for (const cursor of [
    graces.lastId,
    `v2.chat.${epoch}.${partition}.${Number(offset) - 1}`,
    `v2.chat.${epoch}.${partition}.0`,
  ]) {
    const thief = await (await Stream.open(ada.browser, cursor)).opened();
    assert.equal(thief.status, 200, cursor);
    const textForAda = unique('for Ada');
    await kafka.write({ key: ada.user.id, value: { text: textForAda } });
    await thief.receives(textForAda);
    assert.deepEqual(
      thief.texts.filter((text) => textsForGrace.includes(text)),
      [],
      cursor,
    );
    thief.cut();
  }
  graces.cut();
});

test('S140: records for the same id in another tenant are not received', async () => {
  const { browser, user: ada } = await signedIn(stack, 'github', 'ada');
  const [, tenant = '', id = ''] = /^([^:]+):(.+)$/.exec(ada.id) ?? [];
  const stream = await (await Stream.open(browser)).opened();
  /** @type {string[]} */
  const otherTenants = [];
  for (const key of [`entra:${id}`, `${tenant}2:${id}`, `${tenant.toUpperCase()}:${id}`, `${tenant}:${id}0`]) {
    const [theirs, own] = [unique(`for ${key}`), unique('for Ada')];
    otherTenants.push(theirs);
    await kafka.write({ key, value: { text: theirs } });
    // Written after it, so that once this record arrives the other one would have arrived.
    await kafka.write({ key: ada.id, value: { text: own } });
    await stream.receives(own);
  }
  const again = await (await Stream.open(browser)).opened();
  await again.receives(stream.texts.at(-1) ?? '');
  for (const { texts } of [stream, again])
    assert.deepEqual(
      texts.filter((text) => otherTenants.includes(text)),
      [],
    );
  for (const each of [stream, again]) each.cut();
});
