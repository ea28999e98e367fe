import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';

import { createConversation } from '../src/conversation.js';

const TIME = '2026-01-02T03:04:05Z';
let offset = 0;
const placeOf = (/** @type {number} */ n) => `v2.chat.7.0.${n}`;
/** @type {ReturnType<typeof createConversation>} */
let conversation;

/**
 * @param {string} type
 * @param {unknown} data
 */
function receive(type, data) {
  offset += 1;
  return conversation.record({ id: `e${offset}`, type, time: TIME, data }, 0, placeOf(offset));
}

/**
 * What a page of the user sent, as the server repeats it.
 * @param {string} id
 * @param {unknown} data
 * @param {string} [type]
 */
function receiveEcho(id, data, type = 'message') {
  offset += 1;
  return conversation.record({ id, type, time: TIME, echo: true, data }, 0, placeOf(offset));
}

function transcript() {
  return conversation.all().map(({ role, text, state }) => `${role} ${state}: ${text}`);
}

beforeEach(() => {
  conversation = createConversation();
});

describe('a streamed answer', () => {
  test('grows with each delta and is completed by the message', () => {
    receive('delta', { id: 'a', seq: 0, text: 'Hel' });
    receive('delta', { id: 'a', seq: 1, text: 'lo' });
    assert.deepEqual(transcript(), ['assistant streaming: Hello']);
    assert.equal(receive('message', { id: 'a', role: 'assistant', text: 'Hello!' })?.text, 'Hello!');
    assert.deepEqual(transcript(), ['assistant done: Hello!']);
  });

  test('applies each delta once, and marks missing ones', () => {
    for (const seq of [0, 0, 1, 0, 3, 1, 4]) receive('delta', { id: 'a', seq, text: String(seq) });
    assert.deepEqual(transcript(), ['assistant streaming: 01…34']);
  });

  test('marks a missing beginning', () => {
    receive('delta', { id: 'a', seq: 4, text: 'end' });
    assert.deepEqual(transcript(), ['assistant streaming: …end']);
  });

  test('ignores a delta that arrives after the message', () => {
    receive('message', { id: 'a', text: 'whole' });
    receive('delta', { id: 'a', seq: 0, text: 'wh' });
    assert.deepEqual(transcript(), ['assistant done: whole']);
  });

  test('resumes after it stalled', () => {
    receive('delta', { id: 'a', seq: 0, text: 'x' });
    conversation.stall();
    assert.deepEqual(transcript(), ['assistant stalled: x']);
    receive('delta', { id: 'a', seq: 1, text: 'y' });
    assert.deepEqual(transcript(), ['assistant streaming: xy']);
  });
});

describe('a message of the user', () => {
  test('is one entry from sending through acceptance to its echo', () => {
    conversation.post('k', 'hi', 1);
    assert.deepEqual(transcript(), ['user sending: hi']);
    conversation.accept('k', 'in-1');
    assert.deepEqual(transcript(), ['user sent: hi']);
    receive('message', { id: 'in-1', role: 'user', text: 'hi' });
    assert.deepEqual(transcript(), ['user done: hi']);
    assert.equal(conversation.all()[0]?.key, 'k');
  });

  test('is one entry if its echo arrives before the acceptance', () => {
    conversation.post('k', 'hi', 1);
    receive('message', { id: 'in-1', role: 'user', text: 'hi' });
    conversation.accept('k', 'in-1');
    assert.deepEqual(transcript(), ['user done: hi']);
  });

  test("is one entry if the server's echo and a backend's repeat both arrive", () => {
    conversation.post('k', 'hi', 1);
    conversation.accept('k', 'in-1');
    receiveEcho('in-1', { text: 'hi' });
    receive('message', { id: 'in-1', role: 'user', text: 'hi' });
    assert.deepEqual(transcript(), ['user done: hi']);
    assert.equal(conversation.all()[0]?.key, 'k');
  });

  test('is one entry if its echo overtakes the acceptance', () => {
    conversation.post('k', 'hi', 1);
    receiveEcho('in-1', { text: 'hi' });
    conversation.accept('k', 'in-1');
    assert.deepEqual(transcript(), ['user done: hi']);
  });

  test("is the user's own if another page sent it, whatever its data says", () => {
    receiveEcho('in-1', { text: 'from a phone' });
    receive('message', { id: 'a', text: 'answer' });
    receiveEcho('in-2', { id: 'a', role: 'assistant', text: 'not an answer' });
    receiveEcho('in-3', { id: 'a', seq: 0, text: 'nor a piece of one' }, 'delta');
    assert.deepEqual(transcript(), ['user done: from a phone', 'assistant done: answer', 'user done: not an answer']);
  });

  test('is not lost if another tab sends the same text', () => {
    conversation.post('k', 'hi', 1);
    receive('message', { id: 'other', role: 'user', text: 'hi' });
    conversation.accept('k', 'mine');
    receive('message', { id: 'mine', role: 'user', text: 'hi' });
    assert.deepEqual(transcript(), ['user done: hi', 'user done: hi']);
  });

  test('is not mistaken for another one with the same text', () => {
    conversation.post('k', 'ok', 1);
    conversation.expect('k', 'mine');
    receiveEcho('other', { text: 'ok' });
    assert.deepEqual(transcript(), ['user done: ok', 'user sending: ok']);
    receiveEcho('mine', { text: 'ok' });
    assert.deepEqual(transcript(), ['user done: ok', 'user sending: ok'], 'only the answer tells of acceptance');
    conversation.accept('k', 'mine');
    assert.deepEqual(transcript(), ['user done: ok', 'user done: ok']);
    assert.equal(conversation.all()[1]?.key, 'k');
  });

  test('that failed is the one whose echo comes all the same, and can be sent again', () => {
    conversation.post('k', 'hi', 1);
    conversation.expect('k', 'in-1');
    conversation.fail('k', 'Gateway timeout');
    receive('message', { id: 'a', text: 'one' });
    assert.equal(receiveEcho('in-1', { text: 'hi' })?.key, 'k');
    assert.equal(receive('message', { id: 'in-1', role: 'user', text: 'hi' }), undefined, 'it is told once');
    receive('message', { id: 'b', text: 'two' });
    assert.deepEqual(transcript(), ['assistant done: one', 'user failed: hi', 'assistant done: two']);
    assert.equal(conversation.all()[1]?.problem, 'Gateway timeout');
    // Where its echo is.
    conversation.post('k', 'hi', 2);
    conversation.expect('k', 'in-1');
    assert.deepEqual(transcript(), ['assistant done: one', 'user sending: hi', 'assistant done: two']);
    conversation.accept('k', 'in-1');
    assert.deepEqual(transcript(), ['assistant done: one', 'user done: hi', 'assistant done: two']);
  });

  test('that fails after its echo came has failed, also if that is told after a reload', () => {
    conversation.post('k', 'hi', 1);
    conversation.expect('k', 'in-1');
    receiveEcho('in-1', { text: 'hi' });
    conversation.fail('k', 'Too large');
    assert.deepEqual(transcript(), ['user failed: hi']);
    conversation.empty();
    receiveEcho('in-1', { text: 'hi' });
    receive('message', { text: 'after it' });
    conversation.post('k', 'hi', 1);
    conversation.expect('k', 'in-1');
    conversation.fail('k', 'Too large');
    assert.deepEqual(transcript(), ['user failed: hi', 'assistant done: after it']);
    assert.deepEqual(
      conversation.unsent().map(({ key }) => key),
      ['k'],
    );
  });

  test('that is sent by another tab by now stays where its echo is', () => {
    for (const key of ['k', 'other']) conversation.post(key, key, 1);
    conversation.expect('k', 'in-1');
    receiveEcho('in-1', { text: 'k' });
    for (const key of ['k', 'other']) conversation.take(key, true);
    assert.deepEqual(transcript(), ['user done: k']);
  });

  test('whose echo came is there once when it is taken up again', () => {
    conversation.post('k', 'hi', 1);
    conversation.expect('k', 'in-1');
    receiveEcho('in-1', { text: 'hi' });
    conversation.post('k', 'hi', 1);
    conversation.expect('k', 'in-1');
    assert.deepEqual(transcript(), ['user sending: hi']);
    conversation.accept('k', 'in-1');
    assert.deepEqual(transcript(), ['user done: hi']);
  });

  test('is sent again as the same entry', () => {
    conversation.post('k', 'hi', 1);
    conversation.post('other', 'there', 1);
    conversation.fail('k');
    conversation.post('k', 'hi', 2);
    assert.deepEqual(transcript(), ['user sending: there', 'user sending: hi']);
  });

  test('moves to its place in the stream when its echo arrives', () => {
    conversation.post('k1', 'one', 1);
    conversation.post('k2', 'two', 1);
    conversation.accept('k1', 'in-1');
    conversation.accept('k2', 'in-2');
    receive('message', { id: 'in-1', role: 'user', text: 'one' });
    receive('message', { id: 'a', text: 'answer to one' });
    receive('message', { id: 'in-2', role: 'user', text: 'two' });
    assert.deepEqual(transcript(), ['user done: one', 'assistant done: answer to one', 'user done: two']);
  });

  test('precedes its answer even if the backend does not echo it', () => {
    conversation.post('k', 'hi', 1);
    conversation.accept('k', 'in-1');
    receive('message', { text: 'hello' });
    assert.deepEqual(transcript(), ['user sent: hi', 'assistant done: hello']);
  });

  test('can be sent again after it failed', () => {
    conversation.post('k', 'hi', 1);
    conversation.fail('k', 'Forbidden');
    assert.deepEqual(transcript(), ['user failed: hi']);
    assert.equal(conversation.all()[0]?.problem, 'Forbidden');
    assert.equal(conversation.take('k'), 'hi');
    assert.deepEqual(transcript(), []);
  });

  test('can be taken back until the server has it', () => {
    for (const key of ['waiting', 'accepted']) conversation.post(key, key, 1);
    conversation.accept('accepted', 'in-1');
    assert.equal(conversation.take('waiting'), 'waiting');
    assert.equal(conversation.take('accepted'), '');
    assert.equal(conversation.take('unknown'), '');
    assert.deepEqual(transcript(), ['user sent: accepted']);
  });

  test('is known as unsent until it is accepted', () => {
    for (const key of ['sent', 'sending', 'failed']) conversation.post(key, key, 1);
    conversation.accept('sent', 'in-1');
    conversation.fail('failed');
    assert.deepEqual(
      conversation.unsent().map(({ text }) => text),
      ['sending', 'failed'],
    );
    conversation.empty();
    assert.deepEqual(transcript(), []);
  });
});

describe('the stream', () => {
  test('may repeat records without duplicating messages', () => {
    const records = /** @type {const} */ ([
      ['delta', { id: 'a', seq: 0, text: 'x' }],
      ['message', { id: 'a', text: 'x' }],
      ['message', { id: 'b', text: 'y' }],
    ]);
    for (const [type, data] of [...records, ...records]) receive(type, data);
    assert.deepEqual(transcript(), ['assistant done: x', 'assistant done: y']);
  });

  test('shows one gap if history is incomplete', () => {
    receive('message', { id: 'a', text: 'x' });
    conversation.markGap(1);
    conversation.markGap(1);
    receive('message', { id: 'b', text: 'y' });
    assert.deepEqual(transcript(), ['assistant done: x', 'gap done: ', 'assistant done: y']);
  });

  test('deletes a message, also one that is still streamed', () => {
    receive('message', { id: 'a', text: 'x' });
    receive('delta', { id: 'b', seq: 0, text: 'y' });
    conversation.post('k', 'mine', 1);
    conversation.accept('k', 'in-1');
    receiveEcho('e', { id: 'a' }, 'delete');
    for (const data of [null, { id: 'unknown' }, { id: ['a'] }]) receive('delete', data);
    assert.equal(transcript().length, 3, 'neither the user nor malformed records delete anything');
    for (const id of ['a', 'b', 'in-1']) receive('delete', { id });
    assert.deepEqual(transcript(), []);
  });

  test('brings forms, with or without a text', () => {
    receive('form', { id: 'f', form: { components: [] } });
    receive('message', { id: 'g', text: 'Please fill in', form: {} });
    assert.deepEqual(transcript(), ['assistant done: ', 'assistant done: Please fill in']);
    assert.deepEqual(
      conversation.all().map(({ form }) => form),
      [{ components: [] }, {}],
    );
  });

  test('brings the answers to forms, for the forms that are here', () => {
    const submission = { data: { name: 'Ada' } };
    receive('form', { id: 'f', form: { components: [] } });
    receive('form', { id: 'g', form: { components: [] } });
    receiveEcho('in-1', { form: 'f', submission }, 'form');
    receiveEcho('in-2', { form: 'gone', submission }, 'form');
    // Neither the backend nor a message answers a form.
    receive('form', { form: 'g', submission });
    receiveEcho('in-3', { form: 'g', submission, text: 'hi' });
    assert.deepEqual(
      conversation
        .all()
        .map(({ id, answer }) => [id, answer])
        .slice(0, 2),
      [
        ['f', { form: 'f', submission }],
        ['g', undefined],
      ],
    );
  });

  test('brings forms whose answers are being sent already', () => {
    const data = { form: 'f', submission: {}, sent: Promise.resolve() };
    receiveEcho('', data, 'form');
    receive('form', { id: 'f', form: { components: [] } });
    assert.equal(conversation.all()[0]?.answer, data);
    conversation.empty();
    receive('form', { id: 'f', form: { components: [] } });
    assert.equal(conversation.all()[0]?.answer, undefined, "it was another user's");
  });

  test('may contain malformed records', () => {
    for (const data of [null, 1, 'text', [], {}, { text: 1 }, { id: 7, text: null }, { id: '', seq: 0 }]) {
      receive('message', data);
      receive('delta', data);
    }
    for (const seq of [-1, 0.5, '0', NaN, 2 ** 60]) receive('delta', { id: 'a', seq, text: 'x' });
    for (const event of [undefined, null, 'x', [], { type: 'message' }]) conversation.record(event, 0);
    receive('form', { id: 'f', text: 'unknown type' });
    assert.deepEqual(transcript(), []);
  });

  test('defaults the id of a message to that of its event, and its role to assistant', () => {
    receive('message', { text: 'plain' });
    assert.deepEqual(transcript(), ['assistant done: plain']);
    assert.equal(conversation.all()[0]?.id, `e${offset}`);
  });

  test('says that an answer is on its way, until the backend says something else', () => {
    const typing = (/** @type {number} */ ageMs, /** @type {boolean} */ echo = false) =>
      conversation.record({ id: 't', type: 'typing', time: TIME, echo, data: {} }, Date.parse(TIME) + ageMs);
    typing(0);
    typing(0);
    receiveEcho('in-1', { text: 'hi' });
    assert.deepEqual(transcript(), ['assistant streaming: ', 'user done: hi']);
    receive('delta', { id: 'a', seq: 0, text: 'Hel' });
    assert.deepEqual(transcript(), ['user done: hi', 'assistant streaming: Hel']);
    typing(3_600_000);
    typing(0, true);
    assert.equal(transcript().length, 2, 'neither an old one nor one of a page counts');
  });

  test('forgets that an answer was on its way if none comes', () => {
    conversation.record({ id: 't', type: 'typing', time: TIME, data: {} }, Date.parse(TIME));
    conversation.stall();
    assert.deepEqual(transcript(), []);
  });

  test('brings attachments, with or without a text', () => {
    const attachments = [{ name: 'Bill.pdf', url: 'https://files.example/1' }];
    receive('message', { text: 'Here it is', attachments });
    receive('message', { attachments });
    receiveEcho('in-1', { text: 'mine', attachments });
    assert.deepEqual(transcript(), ['assistant done: Here it is', 'assistant done: ', 'user done: mine']);
    for (const message of conversation.all()) assert.equal(message.attachments, attachments);
  });

  test('numbers each change anew, and nothing else', () => {
    const changes = () => conversation.all().map(({ change }) => change);
    receive('message', { id: 'a', text: 'one' });
    receive('delta', { id: 'b', seq: 0, text: 'tw' });
    const before = changes();
    receive('delta', { id: 'b', seq: 1, text: 'o' });
    receive('delta', { id: 'b', seq: 1, text: 'o' });
    assert.equal(changes()[0], before[0]);
    assert.notEqual(changes()[1], before[1]);
    assert.equal(new Set([...before, ...changes()]).size, 3);
  });

  test('keeps at most about 20 million characters', () => {
    const text = 'x'.repeat(200_000);
    for (let i = 0; i < 300; i += 1) receive('message', { text: `${i} ${text}` });
    const all = conversation.all();
    const characters = all.reduce((sum, message) => sum + message.text.length, 0);
    assert.ok(characters < 42_000_000 && all.length >= 99, `${all.length} messages, ${characters} characters`);
    assert.match(all.at(-1)?.text ?? '', /^299 /);
  });

  test('keeps at most 10 000 messages', () => {
    for (let i = 0; i < 10_200; i += 1) receive('message', { id: `m${i}`, text: String(i) });
    assert.equal(conversation.all().length, 10_000);
    assert.equal(conversation.all().at(-1)?.text, '10199');
  });
});
