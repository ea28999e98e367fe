import assert from 'node:assert/strict';
import { describe, mock, test } from 'node:test';

import { MAX_BLAME, MAX_ENTRIES, createOutbox } from '../src/client/outbox.js';

/** @typedef {import('../src/client/outbox.js').Outcome} Outcome */

const UNAVAILABLE = { error: new Error('unavailable'), blame: 1 };

/** @param {Outcome[]} outcomes outcomes of the first attempts; later ones are accepted */
function outbox(outcomes) {
  /** @type {string[]} */
  const log = [];
  /** @type {(value?: unknown) => void} */
  let settled = () => {};
  const box = createOutbox({
    send: async ({ event: { key, data } }) => {
      log.push(`send ${data} ${key}`);
      return outcomes.shift() ?? { id: `id-${key}` };
    },
    random: () => 0,
  });
  const next = () => new Promise((resolve) => (settled = resolve));
  /** @param {string} key @param {string} data */
  const add = (key, data) =>
    box.add({
      event: { key, data, channel: 'chat', type: 'message', addedAt: 0 },
      resolve: ({ id }) => settled(log.push(`accepted ${key} ${id}`)),
      reject: (error) => settled(log.push(`rejected ${key} ${error instanceof Error && error.message}`)),
    });
  return { box, add, log, next };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('outbox', () => {
  test('sends one message at a time, and keeps order and key through retries', async () => {
    const { box, add, log, next } = outbox([{ ...UNAVAILABLE, afterMs: 1 }, {}]);
    add('a', 'one');
    add('b', 'two');
    box.connect();
    await next();
    await next();
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
    const { box, add, log, next } = outbox([{ error: new Error('Too large'), blame: MAX_BLAME }]);
    add('a', 'one');
    add('b', 'two');
    box.connect();
    await next();
    await next();
    assert.deepEqual(log, ['send one a', 'rejected a Too large', 'send two b', 'accepted b id-b']);
  });

  test('retryNow ends a back-off', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { box, add, log, next } = outbox([UNAVAILABLE]);
    add('a', 'one');
    box.connect();
    await turn();
    const accepted = next();
    box.retryNow();
    await accepted;
    mock.timers.reset();
    assert.deepEqual(log, ['send one a', 'send one a', 'accepted a id-a']);
  });

  test('retryNow does not shorten a delay that the server asked for', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { box, add, log, next } = outbox([{ ...UNAVAILABLE, afterMs: 5_000 }]);
    add('a', 'one');
    box.connect();
    await turn();
    const accepted = next();
    box.retryNow();
    await turn();
    assert.deepEqual(log, ['send one a']);
    mock.timers.tick(5_000);
    await accepted;
    mock.timers.reset();
    assert.deepEqual(log, ['send one a', 'send one a', 'accepted a id-a']);
  });

  test('an event that always fails holds up no others', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const fails = { error: new Error('Internal error'), blame: MAX_BLAME / 3 };
    const { box, add, log, next } = outbox([fails, fails, fails]);
    add('a', 'one');
    add('b', 'two');
    box.connect();
    const rejected = next();
    for (let i = 0; i < 2; i += 1) {
      await turn();
      mock.timers.tick(10_000);
    }
    await rejected;
    await turn();
    mock.timers.reset();
    assert.deepEqual(log.slice(-3), ['rejected a Internal error', 'send two b', 'accepted b id-b']);
  });

  test('a cancelled event is not sent again, and the next one is', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { box, add, log } = outbox([UNAVAILABLE]);
    add('a', 'one');
    add('b', 'two');
    add('c', 'three');
    box.connect();
    await turn();
    box.cancel('unknown');
    box.cancel('b');
    box.cancel('a');
    await turn();
    mock.timers.reset();
    assert.deepEqual(log, [
      'send one a',
      'rejected b cancelled',
      'rejected a cancelled',
      'send three c',
      'accepted c id-c',
    ]);
  });

  test('sends nothing once cleared', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { box, add, log } = outbox([UNAVAILABLE]);
    add('a', 'one');
    add('b', 'two');
    box.connect();
    await turn();
    box.clear(new Error('user-changed'));
    box.connect();
    await turn();
    mock.timers.reset();
    assert.deepEqual(log, ['send one a', 'rejected a user-changed', 'rejected b user-changed']);
  });

  test('has a maximum size', () => {
    const { add, log } = outbox([]);
    for (let i = 0; i < MAX_ENTRIES; i += 1) add(`${i}`, 'x');
    assert.deepEqual(log, []);
    add('excess', 'x');
    assert.deepEqual(log, ['rejected excess full']);
  });
});
