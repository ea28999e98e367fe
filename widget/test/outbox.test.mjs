import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';

import { MAX_ENTRIES, Outbox } from '../src/outbox.js';

/** @typedef {import('../src/edge.js').Outcome} Outcome */

/** @param {Outcome[]} outcomes outcomes of the first attempts; later ones are accepted */
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
  test('sends one message at a time, and keeps order and key through retries', async () => {
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

  test('continues after a rejected message', async () => {
    const { box, log, next } = outbox([{ kind: 'rejected', title: 'Too large' }]);
    box.add({ key: 'a', text: 'one' });
    box.add({ key: 'b', text: 'two' });
    box.connect();
    await next();
    await next();
    assert.deepEqual(log, ['send one a', 'rejected a Too large', 'send two b', 'accepted b id-b']);
  });

  test('retryNow ends a back-off', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { box, log, next } = outbox([{ kind: 'retry' }]);
    box.add({ key: 'a', text: 'one' });
    box.connect();
    await new Promise((resolve) => setImmediate(resolve));
    const accepted = next();
    box.retryNow();
    await accepted;
    mock.timers.reset();
    assert.deepEqual(log, ['send one a', 'send one a', 'accepted a id-a']);
  });

  test('retryNow does not shorten a delay that the server asked for', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { box, log, next } = outbox([{ kind: 'retry', afterMs: 5_000 }]);
    box.add({ key: 'a', text: 'one' });
    box.connect();
    await new Promise((resolve) => setImmediate(resolve));
    const accepted = next();
    box.retryNow();
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(log, ['send one a']);
    mock.timers.tick(5_000);
    await accepted;
    mock.timers.reset();
    assert.deepEqual(log, ['send one a', 'send one a', 'accepted a id-a']);
  });

  test('reports a denied message, and sends nothing once cleared', async () => {
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

  test('has a maximum size', () => {
    const { box } = outbox([]);
    for (let i = 0; i < MAX_ENTRIES; i += 1) assert.equal(box.add({ key: `${i}`, text: 'x' }), true);
    assert.equal(box.add({ key: 'excess', text: 'x' }), false);
  });
});
