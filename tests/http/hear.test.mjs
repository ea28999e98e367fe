import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { everyAnswer } from '../journey/record.mjs';
import { target } from '../journey/stack.mjs';
import { ResumingStream, Stream } from '../journey/stream.mjs';
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

test('what a backend writes to Kafka is heard on the stream, as it was written', async () => {
  const { agent, user: ada } = await user('github', 'ada');
  const stream = await (await Stream.open(agent)).opened();
  assert.equal(stream.status, 200);
  assert.match(stream.headers['content-type'] ?? '', /^text\/event-stream/);
  assert.match(stream.headers['cache-control'] ?? '', /no-store/);
  assert.equal(stream.headers['access-control-allow-origin'], stack.hostOrigin);
  const text = unique('hello, page');
  const id = unique('answer');
  await kafka.write({ key: ada.id, value: { id, role: 'assistant', text, n: 1 }, headers: cloudEvent(id, 'delta') });
  await stream.hears(text);
  const index = stream.texts.indexOf(text);
  const event = stream.events[index];
  assert.equal(event?.id, id);
  assert.equal(event?.type, 'delta');
  assert.deepEqual(event?.data, { id, role: 'assistant', text, n: 1 });
  assert.match(stream.lastId, /^v1\.\d+\.\d+\.\d+$/);
  stream.cut();
});

test('plain JSON without CloudEvent headers is heard as a message', async () => {
  const { agent, user: ada } = await user('github', 'ada');
  const stream = await Stream.open(agent);
  const text = unique('plain');
  await kafka.write({ key: ada.id, value: { text } });
  await stream.hears(text);
  assert.equal(stream.events.find((event) => event.data.text === text)?.type, 'message');
  stream.cut();
});

test('a page that opens later is given the history', async () => {
  const { agent, user: ada } = await user('github', 'ada');
  const text = unique('earlier');
  await kafka.write({ key: ada.id, value: { text } });
  const first = await Stream.open(agent);
  await first.hears(text);
  first.cut();
  const second = await Stream.open(agent);
  await second.hears(text);
  assert.equal(second.texts.filter((heard) => heard === text).length, 1);
  second.cut();
});

test('S153: a stream that was cut resumes where it was: nothing lost, nothing twice, and nobody has to sign in again', async () => {
  const { agent, user: ada } = await user('github', 'ada');
  const before = unique('before the cut');
  const during = [unique('during 1'), unique('during 2'), unique('during 3')];
  const afterwards = unique('after');
  const answersBefore = everyAnswer.length;
  const stream = await (await Stream.open(agent)).opened();
  await kafka.write({ key: ada.id, value: { text: before } });
  await stream.hears(before);
  stream.cut();
  for (const text of during) await kafka.write({ key: ada.id, value: { text } });
  const resumed = await Stream.open(agent, stream.lastId);
  await resumed.hears(/** @type {string} */ (during.at(-1)));
  await kafka.write({ key: ada.id, value: { text: afterwards } });
  await resumed.hears(afterwards);
  assert.deepEqual(resumed.texts, [...during, afterwards]);
  assert.deepEqual(
    resumed.frames.filter(({ event }) => event !== undefined),
    [],
  );
  assertNoSignIn(answersBefore);
  resumed.cut();
});

test('a place that cannot be resumed is admitted, and the history follows', async () => {
  const { agent, user: ada } = await user('github', 'ada');
  const text = unique('still there');
  await kafka.write({ key: ada.id, value: { text } });
  for (const [id, reason] of /** @type {const} */ ([
    ['nonsense', 'bad_cursor'],
    ['v1.999.0.12345678', 'out_of_buffer'],
  ])) {
    const stream = await Stream.open(agent, id);
    assert.equal(stream.status, 200, 'never an error');
    assert.deepEqual(await stream.named('reset'), { reason }, id);
    await stream.hears(text);
    stream.cut();
  }
});

test("no user hears what is another's", async () => {
  const [ada, grace] = await Promise.all([user('github', 'ada'), user('entra', 'grace')]);
  const [hersAlone, his] = [unique("for Grace's eyes"), unique('for Ada')];
  const adas = await (await Stream.open(ada.agent)).opened();
  const graces = await (await Stream.open(grace.agent)).opened();
  await kafka.write({ key: grace.user.id, value: { text: hersAlone } });
  await graces.hears(hersAlone);
  await kafka.write({ key: ada.user.id, value: { text: his } });
  await adas.hears(his);
  assert.ok(!adas.texts.includes(hersAlone));
  assert.ok(!graces.texts.includes(his));
  // Nor with the other's place in hand: the id never chooses the user.
  const thief = await Stream.open(ada.agent, graces.lastId);
  await thief.until('an answer', () => thief.frames.length > 0);
  assert.ok(!thief.texts.includes(hersAlone));
  for (const stream of [adas, graces, thief]) stream.cut();
});

test('two tabs of one user hear the same', async () => {
  const { agent, user: ada } = await user('github', 'ada');
  const tabs = await Promise.all([Stream.open(agent), Stream.open(agent)]);
  const text = unique('to every tab');
  await kafka.write({ key: ada.id, value: { text } });
  await Promise.all(tabs.map((tab) => tab.hears(text)));
  for (const tab of tabs) tab.cut();
});

test('what cannot be delivered is set aside, and what follows is heard', async () => {
  const { agent, user: ada } = await user('github', 'ada');
  const stream = await (await Stream.open(agent)).opened();
  const text = unique('after the poison');
  await kafka.write({ key: ada.id, value: { text: 'x'.repeat(300 * 1024) } });
  await kafka.write({ key: 'no subject at all', value: { text: 'to nobody' } });
  await kafka.write({ key: ada.id, value: { text } });
  await stream.hears(text);
  const deadline = Date.now() + 10_000;
  let dead = await kafka.read('chat.outbound.dlq');
  while (dead.length < 2 && Date.now() < deadline) {
    await delay(200);
    dead = await kafka.read('chat.outbound.dlq');
  }
  assert.ok(dead.length >= 2, `${dead.length} dead letters`);
  stream.cut();
});

/** Nobody was sent to a provider, nor told to go, by any answer from this one on. @param {number} from */
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
 * Writes answers without a pause while something fails, and returns what a page that resumes has heard of them.
 * @param {number} count @param {() => Promise<void>} fail begins once the first answers are written
 */
async function hearThrough(count, fail) {
  const { agent, user: ada } = await user('github', 'ada');
  const answersBefore = everyAnswer.length;
  const follower = new ResumingStream(agent);
  const texts = Array.from({ length: count }, (_, index) => unique(`answer ${index}`));
  const writer = kafka.writer({ key: ada.id });
  try {
    let isOver = false;
    let writtenDuringFault = 0;
    const fault = follower
      .until('the first answers are heard', () => follower.texts.includes(texts[20] ?? ''))
      .then(fail)
      .finally(() => (isOver = true));
    // It is awaited once all is written; until then a failure is nobody's.
    fault.catch(() => {});
    for (const text of texts) {
      writer.write({ text });
      if (!isOver) writtenDuringFault++;
      await delay(5);
    }
    await fault;
    await writer.end();
    await follower.until('everything is heard', () => follower.texts.includes(texts.at(-1) ?? ''));
    assert.ok(writtenDuringFault > 40, `only ${writtenDuringFault} answers were written during the fault`);
    return {
      heard: follower.texts.filter((text) => texts.includes(text)),
      texts,
      resumes: follower.resumes,
      answersBefore,
    };
  } finally {
    follower.stop();
    writer.kill();
  }
}

test('a bridge that is killed while answers are written loses none and doubles none', async () => {
  const { heard, texts } = await hearThrough(400, async () => {
    for (let times = 0; times < 3; times++) {
      await stack.parts.bridge.kill();
      await stack.parts.bridge.start();
    }
  });
  assert.deepEqual(heard, texts);
});

test('deliveries whose acknowledgement is lost are repeated, and heard once', async () => {
  const lostBefore = deliveries.lost;
  const { heard, texts } = await hearThrough(400, async () => {
    for (let times = 0; times < 3; times++) {
      deliveries.toLose = 1;
      while (deliveries.toLose > 0) await delay(10);
    }
  });
  assert.equal(deliveries.lost - lostBefore, 3);
  assert.deepEqual(heard, texts);
});

test('S153: an edge that is killed while answers are written loses none and doubles none, and nobody has to sign in again', async () => {
  const { heard, texts, resumes, answersBefore } = await hearThrough(500, () =>
    stack.parts.edge.kill().then(() => stack.parts.edge.start()),
  );
  assert.deepEqual(heard, texts);
  assert.ok(resumes > 0, 'the page had to resume');
  assertNoSignIn(answersBefore);
});

test(
  'a Redis that restarts while answers are written loses none and doubles none',
  { skip: target !== 'spin' && 'there is no Redis on this target' },
  async () => {
    const { heard, texts } = await hearThrough(400, async () => {
      for (let times = 0; times < 2; times++) {
        await stack.parts.redis.kill();
        await stack.parts.redis.start();
      }
    });
    assert.deepEqual(heard, texts);
  },
);
