// Each example backend keeps the contract of docs/backends.md, on a real Kafka and behind the real bridge.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { backend, languages, missing } from './language.mjs';
import { brokers, edge, kafka, secure, signingKey, state } from './stack.mjs';

/**
 * In a topic of three partitions, the partitioner of Java's client and the default ones of librdkafka and of Node's
 * client choose three different ones for this key.
 */
const USER = 'github:583242';
/** A JVM that compiles its program while others start takes its time. */
const ANSWER_MS = 60_000;

describe('example backends', { concurrency: true }, () => {
  for (const language of languages) {
    describe(`in ${language}`, { concurrency: 1, skip: missing(language) || false }, () => keepsTheContract(language));
  }
});

/** @param {string} language */
function keepsTheContract(language) {
  const program = backend(language, { state, kafka: { KAFKA_BROKERS: brokers }, channel: language, signingKey });
  const say = (/** @type {string} */ type, /** @type {unknown} */ data) => edge.say(language, USER, type, data);
  const records = () => kafka.read(`${language}.outbound`);
  /** @type {import('../support/stream.mjs').Stream} */
  let stream;
  /** The whole message with this id, once the stream has it. @param {string} id @param {string} [type] */
  const hears = async (id, type = 'message') => {
    const find = () => stream.events.find((event) => event.type === type && event.data?.id === id);
    try {
      await stream.until(`the ${type} ${id} arrives`, () => find() !== undefined, ANSWER_MS);
    } catch (error) {
      throw new Error(`there is no answer. The program's log:\n${program.tail()}`, { cause: error });
    }
    return find();
  };

  before(async () => {
    stream = await edge.listen(USER, language);
  });
  after(async () => {
    stream.cut();
    await program.stop();
  });

  test('what was said before it started is answered in pieces and then as a whole', async () => {
    const { id, traceparent } = await say('message', { text: 'What is new?' });
    await program.start();
    const whole = await hears(`${id}.answer`);
    assert.deepEqual(whole?.data, { id: `${id}.answer`, role: 'assistant', text: 'You wrote 3 words.' });
    const pieces = stream.events.filter((event) => event.type === 'delta' && event.data.id === `${id}.answer`);
    assert.deepEqual(
      pieces.map((event) => event.data.seq),
      [0, 1, 2],
    );
    assert.equal(pieces.map((event) => event.data.text).join(''), 'You wrote 3 words.');
    const written = (await records()).filter(({ headers }) => headers.ce_id?.startsWith(`${id}.answer`));
    for (const { headers } of written) assert.equal(headers.traceparent, traceparent);
  });

  test('its records are in the partition of the echo', async () => {
    assert.equal(new Set((await records()).map(({ partition }) => partition)).size, 1);
  });

  test('an event is answered once, though Kafka holds it twice', async () => {
    const { id } = await say('message', { text: 'Twice' });
    await hears(`${id}.answer`);
    const inbound = await kafka.read(`${language}.inbound`);
    const { headers = {}, value = '' } = inbound.find((record) => record.headers.ce_id === id) ?? {};
    await kafka.write({ topic: `${language}.inbound`, key: USER, headers, value: JSON.parse(value) });
    const next = await say('message', { text: 'And now?' });
    await hears(`${next.id}.answer`);
    assertOnce(await records(), `${id}.answer`);
  });

  test('what no backend expects is ignored', async () => {
    const topic = `${language}.inbound`;
    const strange = {
      message: [null, 'text', { text: 5 }],
      form: [5, {}, { submission: { data: { name: [] } } }],
      delete: [null, {}, { id: 5 }],
      other: [{}],
    };
    const written = Object.entries(strange).flatMap(([type, values]) =>
      values.map((value, index) =>
        kafka.write({ topic, key: USER, headers: { ce_id: `strange-${type}-${index}`, ce_type: type }, value }),
      ),
    );
    await Promise.all([...written, kafka.write({ topic, key: USER, value: { text: 'Without headers' } })]);
    const broken = kafka.writer({ topic, key: USER, headers: { ce_id: 'strange-json', ce_type: 'message' } });
    broken.child.stdin.write('{"text":\n');
    await broken.end();
    const { id } = await say('message', { text: 'Are you there?' });
    await hears(`${id}.answer`);
    assert.deepEqual(
      (await records()).filter(({ headers }) => headers.ce_id?.startsWith('strange')),
      [],
    );
  });

  test('it asks by a form and reacts to the answer', async () => {
    const { id } = await say('message', { text: 'form' });
    const { text, form } = (await hears(`${id}.form`, 'form'))?.data ?? {};
    assert.equal(text, 'Who are you?');
    assert.ok(form.components.some((/** @type {{ key: string }} */ { key }) => key === 'name'));
    const answer = await say('form', { form: `${id}.form`, submission: { data: { name: 'Zoë 🦊' } } });
    assert.equal((await hears(`${answer.id}.answer`))?.data.text, 'Thank you, Zoë 🦊.');
  });

  test('it deletes what a user asks it to', async () => {
    const said = await say('message', { text: 'Forget this' });
    await hears(`${said.id}.answer`);
    const { id } = await say('delete', { id: said.id });
    const ofBackend = (/** @type {any} */ event) => event.type === 'delete' && !event.echo;
    await stream.until('the deletion arrives', () => stream.events.some(ofBackend), ANSWER_MS);
    const deletion = stream.events.find(ofBackend);
    assert.deepEqual([deletion?.id, deletion?.data], [`${id}.deletion`, { id: said.id }]);
  });

  test('its records are signed, and without a signature they would not be delivered', async () => {
    await kafka.write({ topic: `${language}.outbound`, key: USER, value: { id: 'forged', text: 'Forged' } });
    const { id } = await say('message', { text: 'Is that you?' });
    await hears(`${id}.answer`);
    const reasons = await deadLetters(`${language}.outbound.dlq`);
    assert.deepEqual(reasons, ['unsigned']);
    assert.ok(!stream.texts.includes('Forged'));
  });

  test('after a restart it answers what it missed, and nothing again', async () => {
    await program.stop();
    const { id } = await say('message', { text: 'While you were away' });
    await program.start();
    await hears(`${id}.answer`);
    const all = await records();
    for (const { headers } of all) if (headers.ce_id) assertOnce(all, headers.ce_id);
  });

  test('it connects by TLS and a password, and does not sign where no signature is demanded', async (context) => {
    const channel = `${language}-open`;
    const open = backend(language, { state, kafka: secure, channel });
    const heard = await edge.listen(USER, channel);
    context.after(() => Promise.all([open.stop(), heard.cut()]));
    const { id } = await edge.say(channel, USER, 'message', { text: 'Hello' });
    await open.start();
    await heard.until('the answer', () => heard.events.some((event) => event.data?.id === `${id}.answer`), ANSWER_MS);
    const written = (await kafka.read(`${channel}.outbound`)).filter(({ headers }) => !headers.ce_causewayecho);
    assert.ok(written.length > 0);
    for (const { headers } of written) assert.equal(headers['causeway-signature'], undefined);
  });
}

/** @param {import('../support/kafka.mjs').KafkaRecord[]} records @param {string} id */
function assertOnce(records, id) {
  assert.equal(records.filter(({ headers }) => headers.ce_id === id).length, 1, `${id} was written more than once`);
}

/** Why records of a topic were not delivered, once there is such a record. @param {string} topic */
async function deadLetters(topic) {
  const signal = AbortSignal.timeout(20_000);
  for (;;) {
    signal.throwIfAborted();
    // The bridge creates the topic with the first dead letter.
    const letters = await kafka.read(topic).catch(() => []);
    if (letters.length) return letters.map(({ headers }) => headers.dlq_reason);
  }
}
