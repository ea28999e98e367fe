// The documents of docs/ are valid ones of their kind, have the product's version, and repeat what source and each
// other say.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import specs from '@asyncapi/specs';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';

import { assertRecord, frameMismatches } from '../support/asyncapi.mjs';
import { dereferenced, mismatches, readDocument } from '../support/schema.mjs';
import { arms, source } from './rust-enum.mjs';

/** @typedef {import('../support/schema.mjs').Node} Node */

const [openapi, bridge, asyncapi] = ['openapi', 'openapi-bridge', 'asyncapi'].map((name) =>
  readDocument(`docs/${name}.yaml`),
);

test('both documents of HTTP surfaces are valid OpenAPI 3.1', async () => {
  for (const document of [openapi, bridge]) {
    const { valid, errors } = await new Validator().validate(structuredClone(document));
    assert.ok(valid, JSON.stringify(errors));
    assert.match(document.openapi, /^3\.1\./);
  }
});

test('the document of events is valid AsyncAPI 3.0', () => {
  // The specification's schema brings the meta schema that it is written in.
  const ajv = new Ajv({ strict: false, meta: false, validateSchema: false, logger: false });
  addFormats(ajv);
  const validate = ajv.compile(specs.schemas['3.0.0']);
  assert.ok(validate(asyncapi), JSON.stringify(validate.errors));
});

test('the documents have the version of the product', () => {
  const { version } = JSON.parse(source('package.json'));
  assert.deepEqual(
    [openapi, bridge, asyncapi].map(({ info }) => info.version),
    [version, version, version],
  );
});

test('schemas that several documents have are the same', () => {
  for (const name of ['Event', 'Channel', 'Cursor', 'Subject', 'ResetReason'])
    assert.deepEqual(asyncapi.components.schemas[name], openapi.components.schemas[name], name);
  for (const name of ['Channel', 'Cursor', 'Subject'])
    assert.equal(bridge.components.schemas[name].pattern, openapi.components.schemas[name].pattern, name);
});

test('the document of events has all reasons of resets, ends and dead letters', () => {
  const { schemas } = asyncapi.components;
  const hub = source('edge/protocol/src/hub.rs');
  const [reset = '', end = ''] = hub.split('pub enum EndReason');
  const reasons = (/** @type {string} */ text, /** @type {string} */ method) => [...arms(text, method).values()].sort();
  assert.deepEqual([...schemas.ResetReason.enum].sort(), reasons(reset, 'as_str'));
  assert.deepEqual([...schemas.End.properties.reason.enum].sort(), reasons(end, 'as_str'));
  const others = ['fetcher', 'router/outcome', 'router/park'].map((name) =>
    source(`kafka-bridge/src/outbound/${name}.rs`),
  );
  const elsewhere = [...others.join('\n').matchAll(/const \w+: &str = "(\w+)"/g)].map(([, reason = '']) => reason);
  assert.deepEqual(
    [...schemas.DeadLetterReason.enum].sort(),
    [...reasons(source('kafka-bridge/src/outbound/decode/error.rs'), 'reason'), ...elsewhere].sort(),
  );
});

test('the examples of messages are such messages', () => {
  const { messages } = dereferenced(asyncapi).components;
  const examples = Object.values(/** @type {Record<string, Node>} */ (messages)).flatMap(
    ({ examples: all = [], payload, headers }) =>
      all.map((/** @type {Node} */ example) => [payload, example.payload, headers, example.headers]),
  );
  assert.ok(examples.length > 6);
  for (const [payload, value, headers, given] of examples) {
    assert.deepEqual(mismatches(payload, value), []);
    if (given) assert.deepEqual(mismatches(headers, given), []);
  }
});

const SAID = {
  key: 'github:583231',
  headers: {
    ce_specversion: '1.0',
    ce_id: '2mJ3oV0bqf1o8H9Zc4Xw7QaL',
    ce_type: 'message',
    ce_source: 'http://localhost:8787',
    ce_subject: 'github:583231',
    ce_time: '2026-01-02T03:04:05.678Z',
    'content-type': 'application/json',
  },
  value: '{"text":"hi"}',
};

test('a record that is not described is noticed', () => {
  assertRecord('chat.inbound', SAID);
  const delta = { ...SAID, headers: { ce_type: 'delta' }, value: '{"id":"m1","seq":0,"text":"H"}' };
  assertRecord('chat.outbound', delta);
  assertRecord('chat.outbound', { ...delta, value: null });
  const form = { ...SAID, headers: { ce_type: 'form' }, value: '{"id":"f1","form":{"components":[]}}' };
  assertRecord('chat.outbound', form);
  assertRecord('chat.outbound', { ...SAID, headers: { ce_type: 'typing' }, value: '{}' });
  const answer = { ...SAID, headers: { ...SAID.headers, ce_type: 'form' } };
  assertRecord('chat.inbound', { ...answer, value: '{"form":"f1","submission":{"data":{"name":"Ada"}}}' });
  assertRecord('chat.outbound', { ...SAID, headers: {}, value: '"anything"' });
  /** @type {[string, import('../support/asyncapi.mjs').KafkaRecord, RegExp][]} */
  const bad = [
    ['chat.inbound', { ...SAID, key: 'nobody' }, /must match pattern/],
    ['chat.inbound', { ...SAID, headers: { ...SAID.headers, cookie: 'x' } }, /must NOT have additional properties/],
    ['chat.inbound', { ...SAID, value: '{' }, /not JSON/],
    ['chat.outbound', { ...delta, value: '{"id":"m1","text":"H"}' }, /required property 'seq'/],
    ['chat.outbound', { ...form, value: '{"id":"f1","text":"Who are you?"}' }, /required property 'form'/],
    ['chat.outbound', { ...form, headers: { ce_type: 'typing' }, value: '[]' }, /must be object/],
    ['chat.inbound', { ...answer, value: '{"form":"f1"}' }, /required property 'submission'/],
    ['chat.outbound.dlq', { ...SAID, headers: { dlq_reason: 'mood' } }, /dlq_/],
  ];
  for (const [topic, record, message] of bad) assert.throws(() => assertRecord(topic, record), message);
});

test('a frame that is not described is noticed', () => {
  const event = { channel: 'chat', id: 'a1', type: 'message', time: '2026-01-02T03:04:05Z', data: null };
  const frame = { id: 'v2.chat.1767323045.0.1200', event: undefined, data: JSON.stringify(event) };
  assert.deepEqual(frameMismatches(frame), []);
  assert.deepEqual(frameMismatches({ id: '', event: 'reset', data: '{"reason":"retention"}' }), []);
  assert.match(frameMismatches({ ...frame, id: 'x' }).join(), /pattern/);
  assert.match(frameMismatches({ ...frame, event: 'news' }).join(), /no frame named "news"/);
  assert.match(frameMismatches({ id: undefined, event: 'end', data: '{"reason":"mood"}' }).join(), /allowed values/);
});
