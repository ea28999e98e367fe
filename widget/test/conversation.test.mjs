import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import { Conversation } from '../src/conversation.js';

const TIME = '2026-01-02T03:04:05Z';
let offset = 0;
/** @type {Conversation} */
let conversation;

/**
 * @param {string} type
 * @param {unknown} data
 * @param {string} [cursor]
 */
function hear(type, data, cursor = `v1.1.0.${(offset += 1)}`) {
  return conversation.record(cursor, { id: `e${offset}`, type, time: TIME, data }, 0);
}

function said() {
  return conversation.messages.map(({ role, text, state }) => `${role} ${state}: ${text}`);
}

beforeEach(() => {
  conversation = new Conversation();
});

describe('an answer in pieces', () => {
  test('grows by its deltas and is completed by its message', () => {
    hear('delta', { id: 'a', seq: 0, text: 'Hel' });
    hear('delta', { id: 'a', seq: 1, text: 'lo' });
    assert.deepEqual(said(), ['assistant streaming: Hello']);
    assert.equal(hear('message', { id: 'a', role: 'assistant', text: 'Hello!' })?.text, 'Hello!');
    assert.deepEqual(said(), ['assistant done: Hello!']);
  });

  test('takes each piece once, and shows where one is missing', () => {
    for (const seq of [0, 0, 1, 0, 3, 1, 4]) hear('delta', { id: 'a', seq, text: String(seq) });
    assert.deepEqual(said(), ['assistant streaming: 01…34']);
  });

  test('shows that its beginning is missing', () => {
    hear('delta', { id: 'a', seq: 4, text: 'end' });
    assert.deepEqual(said(), ['assistant streaming: …end']);
  });

  test('is not reopened by a late piece', () => {
    hear('message', { id: 'a', text: 'whole' });
    hear('delta', { id: 'a', seq: 0, text: 'wh' });
    assert.deepEqual(said(), ['assistant done: whole']);
  });

  test('goes on after it stalled', () => {
    hear('delta', { id: 'a', seq: 0, text: 'x' });
    conversation.stall();
    assert.deepEqual(said(), ['assistant stalled: x']);
    hear('delta', { id: 'a', seq: 1, text: 'y' });
    assert.deepEqual(said(), ['assistant streaming: xy']);
  });
});

describe('an own message', () => {
  test('is shown once: at once, when accepted, and when its echo comes', () => {
    conversation.post('k', 'hi', 1);
    assert.deepEqual(said(), ['user sending: hi']);
    conversation.accepted('k', 'in-1');
    assert.deepEqual(said(), ['user sent: hi']);
    hear('message', { id: 'in-1', role: 'user', text: 'hi' });
    assert.deepEqual(said(), ['user done: hi']);
    assert.equal(conversation.messages[0]?.key, 'k');
  });

  test('is shown once when its echo overtakes the acceptance', () => {
    conversation.post('k', 'hi', 1);
    hear('message', { id: 'in-1', role: 'user', text: 'hi' });
    conversation.accepted('k', 'in-1');
    assert.deepEqual(said(), ['user done: hi']);
  });

  test('is not swallowed by an equal text from another tab', () => {
    conversation.post('k', 'hi', 1);
    hear('message', { id: 'other', role: 'user', text: 'hi' });
    conversation.accepted('k', 'mine');
    hear('message', { id: 'mine', role: 'user', text: 'hi' });
    assert.deepEqual(said(), ['user done: hi', 'user done: hi']);
  });

  test('waits behind what the stream brings until it is in the stream itself', () => {
    conversation.post('k1', 'one', 1);
    conversation.post('k2', 'two', 1);
    conversation.accepted('k1', 'in-1');
    conversation.accepted('k2', 'in-2');
    hear('message', { id: 'in-1', role: 'user', text: 'one' });
    hear('message', { id: 'a', text: 'answer to one' });
    hear('message', { id: 'in-2', role: 'user', text: 'two' });
    assert.deepEqual(said(), ['user done: one', 'assistant done: answer to one', 'user done: two']);
  });

  test('precedes its answer even where no backend echoes it', () => {
    conversation.post('k', 'hi', 1);
    conversation.accepted('k', 'in-1');
    hear('message', { text: 'hello' });
    assert.deepEqual(said(), ['user sent: hi', 'assistant done: hello']);
  });

  test('can fail and be sent again', () => {
    conversation.post('k', 'hi', 1);
    conversation.failed('k', 'Forbidden');
    assert.deepEqual(said(), ['user failed: hi']);
    assert.equal(conversation.messages[0]?.problem, 'Forbidden');
    conversation.resend('k', () => false);
    assert.deepEqual(said(), ['user failed: hi'], 'kept as long as it cannot be sent');
    conversation.resend('k', (text) => {
      conversation.post('l', text, 2);
      return true;
    });
    assert.deepEqual(said(), ['user sending: hi']);
    conversation.resend('l', () => assert.fail('it has not failed'));
  });

  test('is given back if it was not sent', () => {
    for (const key of ['sent', 'sending', 'failed']) conversation.post(key, key, 1);
    conversation.accepted('sent', 'in-1');
    conversation.failed('failed');
    assert.deepEqual(conversation.clear(), ['sending', 'failed']);
    assert.deepEqual(said(), []);
  });
});

describe('the stream', () => {
  test('may repeat itself without doubling anything', () => {
    const records = /** @type {const} */ ([
      ['delta', { id: 'a', seq: 0, text: 'x' }, 'v1.1.0.1'],
      ['message', { id: 'a', text: 'x' }, 'v1.1.0.2'],
      ['message', { id: 'b', text: 'y' }, 'v1.1.0.3'],
    ]);
    for (const [type, data, cursor] of [...records, ...records]) hear(type, data, cursor);
    assert.deepEqual(said(), ['assistant done: x', 'assistant done: y']);
  });

  test('shows a gap once when history before it is incomplete', () => {
    hear('message', { id: 'a', text: 'x' });
    conversation.gap(1);
    conversation.gap(1);
    hear('message', { id: 'b', text: 'y' });
    assert.deepEqual(said(), ['assistant done: x', 'gap done: ', 'assistant done: y']);
  });

  test('shows a gap when a new snapshot does not reach back to what is known', () => {
    hear('message', { id: 'a', text: 'x' }, 'v1.1.0.1');
    conversation.snapshot();
    hear('message', { id: 'a', text: 'x' }, 'v1.1.0.1');
    hear('message', { id: 'b', text: 'y' }, 'v1.1.0.5');
    conversation.snapshot();
    hear('message', { id: 'c', text: 'z' }, 'v1.1.0.900');
    assert.deepEqual(said(), ['assistant done: x', 'assistant done: y', 'gap done: ', 'assistant done: z']);
  });

  test('may hold anything', () => {
    for (const data of [null, 1, 'text', [], {}, { text: 1 }, { id: 7, text: null }, { id: '', seq: 0 }]) {
      hear('message', data);
      hear('delta', data);
    }
    for (const seq of [-1, 0.5, '0', NaN, 2 ** 60]) hear('delta', { id: 'a', seq, text: 'x' });
    for (const event of [undefined, null, 'x', [], { type: 'message' }]) conversation.record('', event, 0);
    hear('form', { id: 'f', text: 'unknown type' });
    assert.deepEqual(said(), []);
  });

  test('gives a message without id or role the id of its event, and to the assistant', () => {
    hear('message', { text: 'plain' });
    assert.deepEqual(said(), ['assistant done: plain']);
    assert.equal(conversation.messages[0]?.id, `e${offset}`);
  });

  test('fills no more than its bound', () => {
    for (let i = 0; i < 1_200; i += 1) hear('message', { id: `m${i}`, text: String(i) });
    assert.equal(conversation.messages.length, 500);
    assert.equal(conversation.messages.at(-1)?.text, '1199');
  });
});
