import assert from 'node:assert/strict';
import { test } from 'node:test';

import { kafka, stack, unique, user } from './stack.mjs';

/** The records on chat.inbound with that text. @param {string} text */
async function said(text) {
  return (await kafka.read('chat.inbound')).filter(({ value }) => JSON.parse(value).text === text);
}

test('what a user says is a CloudEvent in Kafka, under the name of the session', async () => {
  const { agent, user: ada } = await user('github', 'ada');
  const text = unique('hello, Kafka');
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const answer = await agent.post('message', { text }, { traceparent });
  assert.equal(answer.status, 202, answer.text);
  const { id } = JSON.parse(answer.text);

  const [record, ...more] = await said(text);
  assert.deepEqual(more, []);
  assert.ok(record);
  assert.equal(record.key, ada.id);
  assert.equal(record.headers.ce_id, id);
  assert.equal(record.headers.ce_type, 'message');
  assert.equal(record.headers.ce_source, stack.edgeOrigin);
  assert.equal(record.headers.ce_subject, ada.id);
  assert.equal(record.headers.ce_specversion, '1.0');
  assert.equal(record.headers['content-type'], 'application/json');
  assert.ok(Math.abs(Date.now() - Date.parse(record.headers.ce_time ?? '')) < 60_000, record.headers.ce_time);
  assert.equal(record.headers.traceparent?.split('-')[1], traceparent.split('-')[1], 'the trace goes on');
});

test('a body cannot claim to be of somebody else', async () => {
  const { agent, user: ada } = await user('github', 'ada');
  const { user: grace } = await user('github', 'grace');
  const text = unique('I am Grace');
  const answer = await agent.call('/events/chat', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ce_subject: grace.id, 'ce-subject': grace.id },
    body: JSON.stringify({ type: 'message', subject: grace.id, key: grace.id, id: 'chosen', data: { text, subject: grace.id } }),
  });
  if (answer.status === 202) {
    const [record] = await said(text);
    assert.equal(record?.key, ada.id);
    assert.equal(record?.headers.ce_subject, ada.id);
    assert.notEqual(record?.headers.ce_id, 'chosen');
  } else {
    assert.equal(answer.status, 400, answer.text);
    assert.deepEqual(await said(text), []);
  }
});

test('a message sent twice with one Idempotency-Key is one message', async () => {
  const { agent } = await user('github', 'ada');
  const text = unique('only once');
  const key = unique('key');
  const answers = await Promise.all(Array.from({ length: 5 }, () => agent.post('message', { text }, { 'Idempotency-Key': key })));
  answers.push(await agent.post('message', { text }, { 'Idempotency-Key': key }));
  assert.deepEqual(answers.map(({ status }) => status), answers.map(() => 202));
  assert.equal(new Set(answers.map(({ text: body }) => JSON.parse(body).id)).size, 1);
  assert.equal((await said(text)).length, 1);
});

test("one user's messages stay in order, on one partition", async () => {
  const { agent } = await user('entra', 'grace');
  const texts = Array.from({ length: 10 }, (_, index) => unique(`step ${index}`));
  for (const text of texts) assert.equal((await agent.post('message', { text })).status, 202);
  const records = (await kafka.read('chat.inbound')).filter(({ value }) => texts.includes(JSON.parse(value).text));
  assert.equal(new Set(records.map(({ partition }) => partition)).size, 1);
  assert.deepEqual(records.map(({ value }) => JSON.parse(value).text), texts);
});
