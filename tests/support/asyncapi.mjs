// Kafka records and frames of the stream, compared with docs/asyncapi.yaml.

import assert from 'node:assert/strict';

import { dereferenced, mismatches, readDocument } from './schema.mjs';

/** @typedef {Pick<import('./kafka.mjs').KafkaRecord, 'key' | 'headers'> & { value: string | null }} KafkaRecord */
/** @typedef {import('./schema.mjs').Node} Node */

const document = dereferenced(readDocument('docs/asyncapi.yaml'));

/** Fails unless the document describes a record of this topic. @param {string} topic @param {KafkaRecord} record */
export function assertRecord(topic, record) {
  const { key, headers, value } = record;
  const name = messageName(topic, record);
  /** @type {Node} */
  const message = document.components.messages[name];
  const found = mismatches(message.headers, headers);
  // A dead letter has the key and the value that the record had, whatever they are.
  if (name !== 'deadLetter') {
    const keys = mismatches(message.bindings.kafka.key, key);
    found.push(...keys, ...valueMismatches(message.payload, value));
  }
  const what = `docs/asyncapi.yaml does not describe a record of ${topic} as "${name}"`;
  assert.equal(found.length, 0, `${what}: ${JSON.stringify(record).slice(0, 500)}\n  ${found.join('\n  ')}`);
}

/** @param {Node} schema @param {string | null} value */
function valueMismatches(schema, value) {
  try {
    return mismatches(schema, value === null ? null : JSON.parse(value));
  } catch {
    return ['the value is not JSON'];
  }
}

/** Which message of the document a record is. @param {string} topic @param {KafkaRecord} record */
function messageName(topic, { headers, value }) {
  if (topic.endsWith('.dlq')) return 'deadLetter';
  if (topic.endsWith('.inbound')) return headers.ce_type === 'form' ? 'formAnswer' : 'said';
  // Anybody may write that header. The bridge's own records have a source as well.
  if (headers.ce_causewayecho === 'true' && headers.ce_source) return 'echo';
  if (value === null) return 'tombstone';
  const type = headers['content-type'] ?? '';
  if (/^application\/cloudevents\+json\b/.test(type)) return 'structured';
  if (/^application\/cloudevents-batch\+json\b/.test(type)) return 'batch';
  if (!Object.keys(headers).some((name) => name.startsWith('ce_'))) return 'plain';
  const { ce_type: kind = 'message' } = headers;
  return ['message', 'delta', 'form', 'delete', 'typing'].includes(kind) ? kind : 'other';
}

/** How a frame of the stream differs from what the document says. @param {import('./stream.mjs').Frame} frame */
export function frameMismatches({ data, ...fields }) {
  const message = document.channels.stream.messages[fields.event ?? 'event'];
  if (!message) return [`there is no frame named "${fields.event}"`];
  const present = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
  return [...mismatches(message.headers, present), ...valueMismatches(message.payload, data)];
}
