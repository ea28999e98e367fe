import assert from 'node:assert/strict';
import { test } from 'node:test';

import { insert, insertOlder } from '../src/catch-up.js';
import { createConversation } from '../src/conversation.js';

/** @param {number} minute @param {string} [text] */
const event = (minute, text = `m${minute}`) => ({
  id: `e${minute}`,
  type: 'message',
  channel: 'chat',
  time: `2026-01-02T03:${String(minute).padStart(2, '0')}:00Z`,
  data: { text },
});

/**
 * A conversation with messages of these minutes, then a gap, then those.
 * @param {number[]} before @param {number[]} after
 */
function conversationOf(before, after) {
  const conversation = createConversation();
  for (const minute of before) conversation.record(event(minute), 0);
  conversation.markGap(0);
  for (const minute of after) conversation.record(event(minute), 0);
  const fill = (/** @type {number[]} */ minutes, isComplete = true) =>
    insert(
      minutes.map((minute) => event(minute)),
      isComplete,
      conversation.record,
      () => /** @type {any} */ (conversation.all()),
    );
  const texts = () => conversation.all().map(({ role, text }) => (role === 'gap' ? '…' : text));
  return { conversation, fill, texts };
}

test('missing messages get their places, and the gap goes', () => {
  const { conversation, fill, texts } = conversationOf([1, 2], [5]);
  conversation.post('k', 'unsent', 0);
  fill([2, 3, 4, 5, 6]);
  assert.deepEqual(texts(), ['m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'unsent']);
});

test('the gap stays where the page begins, if more may be missing before it', () => {
  const { fill, texts } = conversationOf([1, 2], [9]);
  fill([7, 8, 9]);
  assert.deepEqual(texts(), ['m1', 'm2', '…', 'm7', 'm8', 'm9']);
});

test('the gap stays if the edge says that the page is not complete, or is empty', () => {
  for (const [page, isComplete] of /** @type {[number[], boolean][]} */ ([
    [[2, 4], false],
    [[], true],
  ])) {
    const { fill, texts } = conversationOf([1, 2], [5]);
    fill(page, isComplete);
    assert.ok(texts().includes('…'), texts().join());
  }
});

test('without a gap nothing changes', () => {
  const { conversation, fill, texts } = conversationOf([1], []);
  conversation.empty();
  fill([1, 2]);
  assert.deepEqual(texts(), []);
});

test('a gap that is trimmed meanwhile takes no other message with it', () => {
  const { conversation, fill, texts } = conversationOf([1], []);
  for (let i = 0; i < 499; i += 1) conversation.record({ ...event(5, `n${i}`), id: `n${i}` }, 0);
  conversation.post('k', 'unsent', 0);
  fill([2, 3, 4]);
  assert.equal(texts().at(-1), 'unsent');
  assert.ok(texts().includes('n498'));
});

test('earlier messages that were deleted later do not come back', () => {
  const { conversation, texts } = conversationOf([], []);
  const all = () => /** @type {any} */ (conversation.all());
  const deletion = { ...event(8), type: 'delete', data: { id: 'e3' } };
  insertOlder([event(7), /** @type {any} */ (deletion)], conversation.record, all);
  insertOlder([event(3), event(4)], conversation.record, all);
  assert.deepEqual(
    texts().filter((text) => text !== '…'),
    ['m4', 'm7'],
  );
});

test('earlier messages come before those that are shown, each once', () => {
  const { conversation, texts } = conversationOf([], []);
  for (const minute of [5, 6]) conversation.record(event(minute), 0);
  conversation.post('k', 'unsent', 0);
  const older = (/** @type {number[]} */ minutes) =>
    insertOlder(
      minutes.map((minute) => event(minute)),
      conversation.record,
      () => /** @type {any} */ (conversation.all()),
    );
  assert.equal(older([5, 6]), false);
  assert.equal(older([3, 4, 5]), true);
  assert.equal(older([1, 2]), true);
  assert.deepEqual(
    texts().filter((text) => text !== '…'),
    ['m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'unsent'],
  );
});
