import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';

import { retryAfterMs } from '../src/backoff.js';
import { MAX_WAITING, Outbox } from '../src/outbox.js';

/** @typedef {import('../src/edge.js').Outcome} Outcome */

/** @param {Outcome[]} outcomes answers in order; then accepted */
function outbox(outcomes) {
  /** @type {string[]} */
  const log = [];
  /** @type {(value?: unknown) => void} */
  let settled = () => {};
  const box = new Outbox({
    send: async (text, key) => {
      log.push(`send ${text} ${key}`);
      return outcomes.shift() ?? { kind: 'accepted', id: `id-${key}` };
    },
    onAccepted: (key, id) => settled(log.push(`accepted ${key} ${id}`)),
    onRejected: (key, title) => settled(log.push(`rejected ${key} ${title}`)),
    onDenied: () => settled(log.push('denied')),
    random: () => 0,
  });
  const next = () => new Promise((resolve) => (settled = resolve));
  return { box, log, next };
}

describe('outbox', () => {
  test('keeps order and key through retries, one message in flight', async () => {
    const { box, log, next } = outbox([{ kind: 'retry', afterMs: 1 }, { kind: 'retry' }]);
    box.add({ key: 'a', text: 'one' });
    box.add({ key: 'b', text: 'two' });
    box.connect();
    await next();
    await next();
    box.disconnect();
    assert.deepEqual(log, [
      'send one a',
      'send one a',
      'send one a',
      'accepted a id-a',
      'send two b',
      'accepted b id-b',
    ]);
  });

  test('goes on after a refused message', async () => {
    const { box, log, next } = outbox([{ kind: 'rejected', title: 'Too large' }]);
    box.add({ key: 'a', text: 'one' });
    box.add({ key: 'b', text: 'two' });
    box.connect();
    await next();
    await next();
    assert.deepEqual(log, ['send one a', 'rejected a Too large', 'send two b', 'accepted b id-b']);
  });

  test('does not sit out a wait once woken', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { box, log, next } = outbox([{ kind: 'retry' }]);
    box.add({ key: 'a', text: 'one' });
    box.connect();
    await new Promise((resolve) => setImmediate(resolve));
    const accepted = next();
    box.wake();
    await accepted;
    mock.timers.reset();
    assert.deepEqual(log, ['send one a', 'send one a', 'accepted a id-a']);
  });

  test('sits out the wait the server asked for, woken or not', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { box, log, next } = outbox([{ kind: 'retry', afterMs: 5_000 }]);
    box.add({ key: 'a', text: 'one' });
    box.connect();
    await new Promise((resolve) => setImmediate(resolve));
    const accepted = next();
    box.wake();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(log, ['send one a']);
    mock.timers.tick(5_000);
    await accepted;
    mock.timers.reset();
    assert.deepEqual(log, ['send one a', 'send one a', 'accepted a id-a']);
  });

  test('says so when denied, and sends nothing more once emptied', async () => {
    const { box, log, next } = outbox([{ kind: 'denied' }]);
    box.add({ key: 'a', text: 'one' });
    box.add({ key: 'b', text: 'two' });
    box.connect();
    await next();
    box.disconnect();
    box.clear();
    box.connect();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(log, ['send one a', 'denied']);
  });

  test('is bounded', () => {
    const { box } = outbox([]);
    for (let i = 0; i < MAX_WAITING; i += 1) assert.equal(box.add({ key: `${i}`, text: 'x' }), true);
    assert.equal(box.add({ key: 'over', text: 'x' }), false);
  });
});

test('Retry-After is read as seconds, within bounds', () => {
  assert.equal(retryAfterMs('3'), 3_000);
  assert.equal(retryAfterMs('86400'), 120_000);
  for (const none of ['0', '-1', 'soon', 'Thu, 01 Jan 2026 00:00:05 GMT', '', null])
    assert.equal(retryAfterMs(none), undefined);
});
