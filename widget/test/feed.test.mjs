import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createFeed } from '../src/client/feed.js';

/** @param {string[]} [channels] */
function feedOf(channels = []) {
  /** @type {string[]} */
  const heard = [];
  const feed = createFeed(
    channels,
    ({ id }) => heard.push(id),
    (reason) => heard.push(`gap: ${reason}`),
  );
  /** @param {number} offset @param {string} [channel] */
  const record = (offset, channel) =>
    feed.record(`v2.chat.1.0.${offset}`, { id: `${offset}`, type: 'message', channel });
  return { feed, record, heard };
}

test('hears each event once, however often it is repeated', () => {
  const { feed, record, heard } = feedOf();
  for (const offset of [1, 2, 2, 1, 3]) record(offset);
  feed.record('', { id: 'without cursor', type: 'x' });
  assert.deepEqual(heard, ['1', '2', '3', 'without cursor']);
});

test('hears each event once if a snapshot repeats the fullest buffer', () => {
  const { feed, record, heard } = feedOf();
  for (let round = 0; round < 2; round += 1) {
    feed.snapshot();
    for (let offset = 0; offset < 21_000; offset += 1) record(offset);
  }
  assert.equal(heard.length, 21_000);
});

test('a new snapshot that overlaps what was heard is no gap, any other is', () => {
  const { feed, record, heard } = feedOf();
  record(1);
  feed.snapshot();
  record(1);
  record(5);
  feed.snapshot();
  record(900);
  assert.deepEqual(heard, ['1', '5', 'gap: snapshot', '900']);
});

test('the first snapshot is no gap, nor is that of another user', () => {
  const { feed, record, heard } = feedOf();
  feed.snapshot();
  record(1);
  feed.clear();
  feed.snapshot();
  record(900);
  assert.deepEqual(heard, ['1', '900']);
});

test('hears its channels only, and nothing malformed', () => {
  const { feed, record, heard } = feedOf(['chat', 'orders']);
  record(1, 'chat');
  record(2, 'other');
  record(3, 'orders');
  for (const [i, event] of [null, undefined, 1, 'text', [], { id: 'untyped' }].entries())
    feed.record(`v2.chat.1.1.${i}`, event);
  assert.deepEqual(heard, ['1', '3']);
});
