import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { assertProblem } from '../support/problem.mjs';
import { everyAnswer } from '../support/record.mjs';
import { target } from '../support/stack.mjs';
import { ResumingStream, Stream } from '../support/stream.mjs';
import { deliveries, kafka, stack, unique, user } from './stack.mjs';

/** @param {string} id @param {string} [type] */
const cloudEvent = (id, type = 'message') => ({
  ce_id: id,
  ce_type: type,
  ce_source: '/tests',
  ce_specversion: '1.0',
  ce_time: new Date().toISOString(),
  'content-type': 'application/json',
});

test('a record that a backend writes to Kafka arrives on the stream unchanged', async () => {
  const { browser, user: ada } = await user('github', 'ada');
  const stream = await (await Stream.open(browser)).opened();
  assert.equal(stream.status, 200);
  assert.match(stream.headers['content-type'] ?? '', /^text\/event-stream/);
  assert.match(stream.headers['cache-control'] ?? '', /no-store/);
  assert.equal(stream.headers['access-control-allow-origin'], stack.hostOrigin);
  const text = unique('hello, page');
  const id = unique('answer');
  await kafka.write({ key: ada.id, value: { id, role: 'assistant', text, n: 1 }, headers: cloudEvent(id, 'delta') });
  await stream.receives(text);
  const index = stream.texts.indexOf(text);
  const event = stream.events[index];
  assert.equal(event?.id, id);
  assert.equal(event?.type, 'delta');
  assert.deepEqual(event?.data, { id, role: 'assistant', text, n: 1 });
  assert.match(stream.lastId, /^v2\.chat\.\d+\.\d+\.\d+$/);
  stream.cut();
});

test('plain JSON without CloudEvent headers arrives as a message', async () => {
  const { browser, user: ada } = await user('github', 'ada');
  const stream = await Stream.open(browser);
  const text = unique('plain');
  await kafka.write({ key: ada.id, value: { text } });
  await stream.receives(text);
  assert.equal(stream.events.find((event) => event.data.text === text)?.type, 'message');
  stream.cut();
});

test('a stream that opens later begins with the history', async () => {
  const { browser, user: ada } = await user('github', 'ada');
  const text = unique('earlier');
  await kafka.write({ key: ada.id, value: { text } });
  const first = await Stream.open(browser);
  await first.receives(text);
  first.cut();
  const second = await Stream.open(browser);
  await second.receives(text);
  assert.equal(second.texts.filter((received) => received === text).length, 1);
  second.cut();
});

test('S153: a stream that was cut resumes where it was: nothing lost or repeated, and no new sign-in', async () => {
  const { browser, user: ada } = await user('github', 'ada');
  const before = unique('before the cut');
  const during = [unique('during 1'), unique('during 2'), unique('during 3')];
  const afterResume = unique('after');
  const answersBefore = everyAnswer.length;
  const stream = await (await Stream.open(browser)).opened();
  await kafka.write({ key: ada.id, value: { text: before } });
  await stream.receives(before);
  stream.cut();
  for (const text of during) await kafka.write({ key: ada.id, value: { text } });
  const resumed = await Stream.open(browser, stream.lastId);
  await resumed.receives(/** @type {string} */ (during.at(-1)));
  await kafka.write({ key: ada.id, value: { text: afterResume } });
  await resumed.receives(afterResume);
  assert.deepEqual(resumed.texts, [...during, afterResume]);
  assert.deepEqual(
    resumed.frames.filter(({ event }) => event !== undefined),
    [],
  );
  assertNoSignIn(answersBefore);
  resumed.cut();
});

test('a cursor that cannot be resumed brings a reset event, and the history follows', async () => {
  const { browser, user: ada } = await user('github', 'ada');
  const text = unique('still there');
  await kafka.write({ key: ada.id, value: { text } });
  for (const [id, reason] of /** @type {const} */ ([
    ['nonsense', 'bad_cursor'],
    ['v1.999.0.12345678', 'bad_cursor'],
    ['v2.chat.999.0.12345678', 'out_of_buffer'],
  ])) {
    const stream = await Stream.open(browser, id);
    assert.equal(stream.status, 200, 'never an error');
    assert.deepEqual(await stream.named('reset'), { reason }, id);
    await stream.receives(text);
    stream.cut();
  }
});

test('a client that missed more than the buffer holds gets all of it once, and history pages back', async (t) => {
  const { browser, user: ada } = await user('github', 'ada');
  const stream = await Stream.open(browser);
  const first = unique('the last before');
  await kafka.write({ key: ada.id, value: { text: first } });
  await stream.receives(first);
  stream.cut();
  const name = unique('missed');
  const missed = Array.from({ length: 2600 }, (_, n) => `${name} ${n}`);
  const [oldest, newest] = [`${name} 0`, `${name} after all`];
  const writer = kafka.writer({ key: ada.id });
  for (const text of missed) writer.write({ text });
  await writer.end();
  const level = await Stream.open(browser);
  await level.receives(/** @type {string} */ (missed.at(-1)));
  // While a stream is behind, a buffer keeps what it was not sent. What comes then finds the buffer too full.
  for (const text of [`${name} after them`, newest]) {
    await kafka.write({ key: ada.id, value: { text } });
    await level.receives(text);
    missed.push(text);
  }
  level.cut();
  const buffered = await Stream.open(browser);
  await buffered.receives(newest);
  assert.ok(!buffered.texts.includes(oldest), 'the first have left the buffer');
  buffered.cut();

  const beganAt = performance.now();
  const resumed = await Stream.open(browser, stream.lastId);
  await resumed.receives(newest);
  const tookMs = Math.round(performance.now() - beganAt);
  t.diagnostic(`${missed.length} records in ${tookMs} ms`);
  assert.deepEqual(resumed.texts, missed);
  assert.deepEqual(
    resumed.frames.filter(({ event }) => event !== undefined),
    [],
    'nothing is missing, so nothing is reset',
  );
  resumed.cut();

  /** @type {string[]} */
  let found = [];
  /** @type {string | null} */
  let before = '';
  for (let pages = 0; found.length < missed.length; pages += 1) {
    assert.ok(before !== null && pages < 60, `after ${found.length} of them`);
    const query = new URLSearchParams({ limit: '200', ...(before === '' ? {} : { before }) });
    const answer = await browser.call(`/events/chat/history?${query}`);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['cache-control'], 'no-store');
    const page = JSON.parse(answer.text);
    assert.equal(page.complete, true);
    found = [...page.events.map((/** @type {any} */ event) => event.data.text), ...found];
    before = page.before;
  }
  assert.deepEqual(found.slice(-missed.length), missed);
});

test('history answers bad input with a problem', async () => {
  const { browser } = await user('github', 'ada');
  for (const query of ['limit=0', 'limit=201', 'limit=x', 'before=nonsense', 'before=v2.other.1.0.1']) {
    assert.equal(assertProblem(await browser.call(`/events/chat/history?${query}`), 400).code, 'bad-request', query);
  }
  assertProblem(await browser.call('/events/nowhere/history'), 404);
});

test("no user receives another user's records", async () => {
  const [ada, grace] = await Promise.all([user('github', 'ada'), user('entra', 'grace')]);
  const [hersAlone, his] = [unique("for Grace's eyes"), unique('for Ada')];
  const adas = await (await Stream.open(ada.browser)).opened();
  const graces = await (await Stream.open(grace.browser)).opened();
  await kafka.write({ key: grace.user.id, value: { text: hersAlone } });
  await graces.receives(hersAlone);
  await kafka.write({ key: ada.user.id, value: { text: his } });
  await adas.receives(his);
  assert.ok(!adas.texts.includes(hersAlone));
  assert.ok(!graces.texts.includes(his));
  // Nor with the other user's cursor: Last-Event-ID never chooses the user.
  const thief = await Stream.open(ada.browser, graces.lastId);
  await thief.until('an answer', () => thief.frames.length > 0);
  assert.ok(!thief.texts.includes(hersAlone));
  for (const stream of [adas, graces, thief]) stream.cut();
});

test('two tabs of one user receive the same records', async () => {
  const { browser, user: ada } = await user('github', 'ada');
  const tabs = await Promise.all([Stream.open(browser), Stream.open(browser)]);
  const text = unique('to every tab');
  await kafka.write({ key: ada.id, value: { text } });
  await Promise.all(tabs.map((tab) => tab.receives(text)));
  for (const tab of tabs) tab.cut();
});

test('a poison record is dead-lettered, and the records after it are delivered', async () => {
  const { browser, user: ada } = await user('github', 'ada');
  const stream = await (await Stream.open(browser)).opened();
  const text = unique('after the poison record');
  await kafka.write({ key: ada.id, value: { text: 'x'.repeat(300 * 1024) } });
  await kafka.write({ key: 'no subject at all', value: { text: 'to nobody' } });
  await kafka.write({ key: ada.id, value: { text } });
  await stream.receives(text);
  const deadline = Date.now() + 10_000;
  let deadLetters = await kafka.read('chat.outbound.dlq');
  while (deadLetters.length < 2 && Date.now() < deadline) {
    await delay(200);
    deadLetters = await kafka.read('chat.outbound.dlq');
  }
  assert.ok(deadLetters.length >= 2, `${deadLetters.length} dead letters`);
  stream.cut();
});

/** No answer from this index on asked for a sign-in or led to a provider. @param {number} from */
function assertNoSignIn(from) {
  const answers = everyAnswer.slice(from);
  assert.ok(
    answers.filter(({ url, status }) => new URL(url).pathname === '/stream' && status === 200).length > 1,
    'the stream was opened again',
  );
  assert.deepEqual(
    answers
      .filter(
        ({ status, headers, url }) =>
          status === 401 || headers.location !== undefined || /\/(?:authorize|login|callback)\b/.test(url),
      )
      .map(({ status, url }) => `${status} ${url}`),
    [],
  );
}

/**
 * Writes answers continuously during a fault, and returns which of them a page that resumes has received. The page must
 * not be told that it may have missed some.
 * @param {number} count @param {() => Promise<void>} fail causes the fault, once the first answers have arrived
 */
async function receiveDuring(count, fail) {
  const { browser, user: ada } = await user('github', 'ada');
  const answersBefore = everyAnswer.length;
  const follower = new ResumingStream(browser);
  const texts = Array.from({ length: count }, (_, index) => unique(`answer ${index}`));
  const writer = kafka.writer({ key: ada.id });
  try {
    let hasEnded = false;
    let writtenDuringFault = 0;
    const fault = follower
      .until('the first answers arrive', () => follower.texts.includes(texts[20] ?? ''))
      .then(fail)
      .finally(() => (hasEnded = true));
    // Awaited once everything is written. Until then a rejection would be unhandled.
    fault.catch(() => {});
    for (const text of texts) {
      writer.write({ text });
      if (!hasEnded) writtenDuringFault++;
      await delay(5);
    }
    await fault;
    await writer.end();
    await follower.until('everything arrives', () => follower.texts.includes(texts.at(-1) ?? ''));
    assert.deepEqual(follower.resets, [], 'nothing may be missing');
    assert.ok(writtenDuringFault > 40, `only ${writtenDuringFault} answers were written during the fault`);
    return {
      browser,
      received: follower.texts.filter((text) => texts.includes(text)),
      texts,
      resumes: follower.resumes,
      answersBefore,
    };
  } finally {
    follower.stop();
    writer.kill();
  }
}

test('a bridge that is killed while answers are written loses and repeats none', async () => {
  const { received, texts } = await receiveDuring(400, async () => {
    for (let times = 0; times < 3; times++) {
      await stack.parts.bridge.kill();
      await stack.parts.bridge.start();
    }
  });
  assert.deepEqual(received, texts);
});

test('deliveries whose acknowledgement is lost are repeated, and arrive once', async () => {
  const lostBefore = deliveries.droppedAnswers;
  const { received, texts } = await receiveDuring(400, async () => {
    for (let times = 0; times < 3; times++) {
      deliveries.answersToDrop = 1;
      while (deliveries.answersToDrop > 0) await delay(10);
    }
  });
  assert.equal(deliveries.droppedAnswers - lostBefore, 3);
  assert.deepEqual(received, texts);
});

test('S153: an edge that is killed while answers are written loses and repeats none, and no new sign-in', async () => {
  const { received, texts, resumes, answersBefore } = await receiveDuring(500, () =>
    stack.parts.edge.kill().then(() => stack.parts.edge.start()),
  );
  assert.deepEqual(received, texts);
  assert.ok(resumes > 0, 'the page had to resume');
  assertNoSignIn(answersBefore);
});

test(
  'a Redis that restarts while answers are written loses and repeats none',
  { skip: target !== 'spin' && 'there is no Redis on this target' },
  async () => {
    const { browser, received, texts } = await receiveDuring(400, async () => {
      for (let times = 0; times < 2; times++) {
        await stack.parts.redis.kill();
        await stack.parts.redis.start();
      }
    });
    assert.deepEqual(received, texts);
    // What came before the restarts is still in the buffer.
    const later = await Stream.open(browser);
    await later.receives(texts.at(-1) ?? '');
    assert.deepEqual(
      later.texts.filter((text) => texts.includes(text)),
      texts,
    );
    later.cut();
  },
);
