import assert from 'node:assert/strict';
import { mock, test } from 'node:test';

import { createCatchUp, insert, insertOlder, isBehind } from '../src/catch-up.js';
import { createConversation } from '../src/conversation.js';

/** Place in the stream. @param {number} offset */
const place = (offset) => `v2.chat.7.0.${offset}`;

/** @param {number} offset @param {string} [time] whatever the backend's clock says */
const event = (offset, time = '2026-01-02T03:04:05Z') => ({
  id: `e${offset}`,
  type: 'message',
  channel: 'chat',
  time,
  data: { text: `m${offset}` },
});

/**
 * @param {number[]} offsets
 * @param {{ before?: number, isComplete?: boolean, events?: any[] }} [options] before: without it, there is nothing
 */
const pageOf = (offsets, { before, isComplete = true, events = offsets.map((offset) => event(offset)) } = {}) => ({
  events,
  ids: offsets.map(place),
  before: before === undefined ? null : place(before),
  complete: isComplete,
});

/**
 * A conversation with messages of these places, then a gap, then those.
 * @param {number[]} before @param {number[]} after
 */
function conversationOf(before, after) {
  const conversation = createConversation();
  const hear = (/** @type {number} */ offset, /** @type {string} */ time) =>
    conversation.record(event(offset, time), 0, place(offset));
  // Clocks go as they like.
  for (const offset of before) hear(offset, `2026-01-02T03:${59 - offset}:00Z`);
  conversation.markGap(0, before.length ? place(before.at(-1) ?? 0) : undefined);
  for (const offset of after) hear(offset, `2026-01-02T02:${59 - offset}:00Z`);
  const all = () => /** @type {any} */ (conversation.all());
  const fill = (/** @type {any} */ page) => insert(page, conversation.record, all, conversation.deleted);
  const older = (/** @type {any} */ page, asked = '') =>
    insertOlder(page, asked, conversation.record, all, conversation.deleted);
  const texts = () => conversation.all().map(({ role, text }) => (role === 'gap' ? '…' : text));
  return { conversation, fill, older, texts };
}

test('missing messages get their places in the stream, whatever their times, and the gap goes', () => {
  const { conversation, fill, texts } = conversationOf([1, 2], [5]);
  conversation.post('k', 'unsent', 0);
  assert.ok(fill(pageOf([2, 3, 4, 5, 6], { before: 2 })));
  assert.deepEqual(texts(), ['m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'unsent']);
});

test('the gap stays where messages may be missing, if the page does not reach back to them', () => {
  const { fill, texts } = conversationOf([1, 2], [9]);
  // A later message with an early time, or one that was written again, says nothing.
  const events = [event(7, '2020-01-01T00:00:00Z'), { ...event(8), id: 'e1' }, event(9)];
  assert.ok(fill(pageOf([7, 8, 9], { before: 7, events })));
  assert.deepEqual(texts(), ['m8', 'm2', '…', 'm7', 'm9'], 'the message that was written again keeps its place');
});

test('the gap goes if the page begins directly behind what was there', () => {
  const { fill, texts } = conversationOf([1, 2], [4]);
  fill(pageOf([3, 4], { before: 3 }));
  assert.deepEqual(texts(), ['m1', 'm2', 'm3', 'm4']);
});

test('the gap stays if the edge says that the page is not complete, or is empty', () => {
  for (const page of [pageOf([2, 4, 5], { before: 2, isComplete: false }), pageOf([])]) {
    const { fill, texts } = conversationOf([1, 2], [5]);
    assert.ok(fill(page));
    assert.ok(texts().includes('…'), texts().join());
  }
});

test('a page that lacks what was heard behind the gap is too old to fill it', () => {
  const { fill, texts } = conversationOf([1, 2], [9]);
  assert.equal(fill(pageOf([1, 2, 3], { before: 1 })), false);
  assert.ok(texts().includes('…'), texts().join());
  assert.ok(fill(pageOf([2, 3, 8, 9], { before: 2 })));
  assert.deepEqual(texts(), ['m1', 'm2', 'm3', 'm8', 'm9']);
});

test('without a gap nothing changes', () => {
  const { conversation, fill, texts } = conversationOf([1], []);
  conversation.empty();
  fill(pageOf([1, 2]));
  assert.deepEqual(texts(), []);
});

test('a gap that is trimmed meanwhile takes no other message with it', () => {
  const { conversation, fill, texts } = conversationOf([1], []);
  for (let i = 0; i < 499; i += 1) conversation.record({ ...event(5), id: `n${i}` }, 0, place(5 + i));
  conversation.post('k', 'unsent', 0);
  fill(pageOf([2, 3, 4], { before: 2 }));
  assert.equal(texts().at(-1), 'unsent');
});

test('earlier messages that were deleted later do not come back', () => {
  const { conversation, older, texts } = conversationOf([], []);
  conversation.empty();
  const deletion = { ...event(8), type: 'delete', data: { id: 'e3' } };
  older(pageOf([7, 8], { before: 7, events: [event(7), deletion] }));
  older(pageOf([3, 4]), place(7));
  assert.deepEqual(texts(), ['m4', 'm7']);
});

test('an earlier version of a message does not replace the later one', () => {
  const { conversation, older, texts } = conversationOf([], []);
  conversation.empty();
  conversation.record({ ...event(9), id: 'e3', data: { id: 'e3', text: 'corrected' } }, 0, place(9));
  older(pageOf([3], { events: [{ ...event(3), data: { id: 'e3', text: 'wrong' } }] }));
  assert.deepEqual(texts(), ['corrected']);
});

test('earlier messages come before those that are shown, each once, whatever their times', () => {
  const { conversation, older, texts } = conversationOf([], [5, 6]);
  conversation.post('k', 'unsent', 0);
  assert.equal(older(pageOf([5, 6], { before: 5 })), false);
  assert.equal(older(pageOf([3, 4, 5], { before: 3 }), place(5)), true);
  assert.equal(older(pageOf([1, 2], { before: 1 }), place(3)), true);
  assert.deepEqual(texts(), ['…', 'm1', 'm2', 'm3', 'm4', 'm5', 'm6', 'unsent']);
});

test('earlier messages that reach over a gap close it, unless something is missing among them', () => {
  for (const isComplete of [true, false]) {
    const { older, texts } = conversationOf([1, 2], [9]);
    older(pageOf([7, 8, 9], { before: 7, isComplete }));
    assert.deepEqual(texts(), ['m1', 'm2', '…', 'm7', 'm8', 'm9']);
    older(pageOf([2, 3], { before: 2 }), place(7));
    assert.equal(texts().includes('…'), !isComplete, texts().join());
  }
});

test('earlier messages of before a gap leave it', () => {
  const { older, texts } = conversationOf([5, 6], [9]);
  older(pageOf([1, 2], { before: 1 }), place(5));
  assert.deepEqual(texts(), ['m1', 'm2', 'm5', 'm6', '…', 'm9']);
});

test('an accepted message without an echo stays behind what it is behind', () => {
  const { conversation, older, texts } = conversationOf([], []);
  conversation.empty();
  conversation.record(event(5), 0, place(5));
  conversation.post('k', 'mine', 0);
  conversation.accept('k', 'id');
  conversation.record(event(6), 0, place(6));
  older(pageOf([1, 2]));
  assert.deepEqual(texts(), ['m1', 'm2', 'm5', 'mine', 'm6']);
});

/**
 * What asks an edge for pages.
 * @param {ReturnType<typeof conversationOf>} shown
 * @param {() => Promise<Response>} answer
 * @param {{ id: string } | undefined} [user]
 */
function catchUpOf({ conversation }, answer, user = { id: 'ada' }) {
  let isSignedIn = true;
  const all = () => /** @type {any} */ (conversation.all());
  const fetching = mock.method(globalThis, 'fetch', answer);
  const check = async () => {
    isSignedIn = (await answer()).status !== 401;
    return /** @type {any} */ ({ user: isSignedIn ? user : undefined });
  };
  const catchUp = createCatchUp(
    'https://edge.example',
    'chat',
    () => (isSignedIn ? user?.id : undefined),
    check,
    conversation.record,
    all,
    () => {},
    conversation.deleted,
  );
  const leave = () => {
    isSignedIn = false;
    fetching.mock.restore();
  };
  return { catchUp, fetching, leave };
}

test('what the stream brings behind a later page gets its place', () => {
  const shown = conversationOf([1, 2], [100]);
  const { catchUp, leave } = catchUpOf(shown, async () => Response.json({}));
  shown.fill(pageOf([201, 202], { before: 201 }));
  for (const offset of [151, 152]) {
    shown.conversation.record(event(offset), 0, place(offset));
    catchUp.place();
  }
  assert.deepEqual(shown.texts(), ['m1', 'm2', '…', 'm100', 'm151', 'm152', 'm201', 'm202']);
  assert.ok(!isBehind(shown.conversation.all()));
  leave();
});

test('a message that was deleted before its page came does not come back', () => {
  for (const how of /** @type {const} */ (['fill', 'older'])) {
    const shown = conversationOf([1], [9]);
    const deletion = { ...event(10), type: 'delete', data: { id: 'e3' } };
    shown.conversation.record(deletion, 0, place(10));
    shown[how](pageOf([2, 3, 4], { before: 2 }));
    assert.ok(!shown.texts().includes('m3'), how);
    assert.ok(shown.texts().includes('m4'), how);
    // Written again after that.
    shown[how](pageOf([11], { events: [{ ...event(11), id: 'e3' }] }));
    assert.ok(shown.texts().includes('m11'), how);
  }
});

test('a gap that grows while its page is on its way stays', async () => {
  for (const how of /** @type {const} */ (['fill', 'older'])) {
    const shown = conversationOf([1, 2], []);
    let pages = 0;
    const { catchUp, leave } = catchUpOf(shown, async () => {
      pages += 1;
      // Whatever was heard until now was before the page; this is not.
      if (pages === 1) shown.conversation.markGap(0, place(2));
      return Response.json(pageOf([2, 3], { before: 2 }));
    });
    if (how === 'fill') void catchUp.fill();
    else await catchUp.older('');
    for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.ok(shown.texts().includes('…'), how);
    leave();
  }
});

test('nobody is asked for what is missing once the session has ended', async () => {
  const shown = conversationOf([1, 2], [5]);
  const { catchUp, fetching, leave } = catchUpOf(shown, async () => new Response('', { status: 401 }));
  mock.timers.enable({ apis: ['setTimeout'] });
  const filled = catchUp.fill();
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
  mock.timers.tick(60_000);
  await filled;
  assert.equal(fetching.mock.callCount(), 1);
  mock.timers.reset();
  leave();
});
