// An example backend in Node: answers what users say in a channel, piece by piece and then as a whole.
//
//     npm ci
//     node backend.mjs
//
// ../README.md has the settings, docs/backends.md the contract.

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import {
  compatibilityPartitioner,
  Consumer,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka';

import { sign } from './signature.mjs';

const { CHANNEL = 'chat', KAFKA_BROKERS = '127.0.0.1:9092', SIGNING_KEY } = process.env;
const { KAFKA_SASL_USERNAME: username, KAFKA_SASL_PASSWORD: password = '', KAFKA_SSL_CA } = process.env;
const FORM = {
  components: [
    { type: 'textfield', key: 'name', label: 'Your name', input: true, validate: { required: true } },
    { type: 'button', key: 'submit', label: 'Send', action: 'submit', input: true },
  ],
};

/** @typedef {import('@platformatic/kafka').Message<string, string, string, string>} KafkaRecord */

const kafka = {
  clientId: 'example-backend',
  bootstrapBrokers: KAFKA_BROKERS.split(','),
  ...(username && {
    tls: KAFKA_SSL_CA ? { ca: readFileSync(KAFKA_SSL_CA) } : {},
    tlsServerName: true,
    sasl: { mechanism: /** @type {const} */ ('SCRAM-SHA-512'), username, password },
  }),
};
const producer = new Producer({
  ...kafka,
  idempotent: true,
  // Hashes keys as Java's client does, so that a user's records are in the partition where the bridge looks for them.
  partitioner: compatibilityPartitioner,
  serializers: stringSerializers,
});
const consumer = new Consumer({
  ...kafka,
  groupId: `${CHANNEL}-node`,
  autocommit: false,
  deserializers: stringDeserializers,
});

/**
 * Writes an event to the user of the record `to`.
 * @param {KafkaRecord} to @param {string} type @param {string} id @param {object} data
 */
async function send(to, type, id, data) {
  const traceparent = to.headers.get('traceparent');
  const headers = {
    ce_specversion: '1.0',
    ce_id: id,
    ce_type: type,
    ce_source: '/example/node',
    ce_time: new Date().toISOString(),
    'content-type': 'application/json',
    ...(traceparent && { traceparent }),
  };
  const value = JSON.stringify(data);
  const signature = SIGNING_KEY && { 'causeway-signature': sign(SIGNING_KEY, CHANNEL, to.key, headers, value) };
  const message = { topic: `${CHANNEL}.outbound`, key: to.key, headers: { ...headers, ...signature }, value };
  await producer.send({ messages: [message] });
}

/**
 * The ids derive from that of the answered event. A browser ignores what it has already.
 * @param {KafkaRecord} to @param {...string} pieces
 */
async function answer(to, ...pieces) {
  const id = `${to.headers.get('ce_id')}.answer`;
  for (const [seq, text] of pieces.entries()) {
    await send(to, 'delta', `${id}.${seq}`, { id, seq, text });
    await delay(30); // As long as a model may take.
  }
  await send(to, 'message', id, { id, role: 'assistant', text: pieces.join('') });
}

/** @param {KafkaRecord} record @param {any} data whatever the user sent; what is of no known form is ignored */
async function react(record, data) {
  const type = record.headers.get('ce_type');
  const name = data?.submission?.data?.name;
  if (type === 'message' && data?.text === 'form') {
    const id = `${record.headers.get('ce_id')}.form`;
    await send(record, 'form', id, { id, role: 'assistant', text: 'Who are you?', form: FORM });
  } else if (type === 'message' && typeof data?.text === 'string') {
    await answer(record, 'You wrote ', `${data.text.split(/\s+/).filter(Boolean).length} `, 'words.');
  } else if (type === 'form' && typeof name === 'string') {
    await answer(record, 'Thank you, ', `${name}.`);
  } else if (type === 'delete' && typeof data?.id === 'string') {
    // A backend that keeps messages deletes it there first, if it is one of this user.
    await send(record, 'delete', `${record.headers.get('ce_id')}.deletion`, { id: data.id });
  }
}

/** The latest ids: Kafka may hold an event twice. @type {Set<string>} */
const answered = new Set();

/** @param {KafkaRecord} record */
async function handle(record) {
  const id = record.headers.get('ce_id');
  if (!id || !record.key || answered.has(id)) return;
  await react(record, parse(record.value));
  answered.add(id);
  const [oldest = ''] = answered;
  if (answered.size > 10_000) answered.delete(oldest);
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const records = await consumer.consume({ topics: [`${CHANNEL}.inbound`], mode: 'committed', fallbackMode: 'earliest' });
process.once('SIGTERM', () => void records.close());
for await (const record of records) {
  await handle(record);
  await record.commit();
}
// Leaves the group, so that the others need not wait for its session to end.
await consumer.close();
await producer.close();
