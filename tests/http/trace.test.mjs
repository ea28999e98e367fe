import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';

import { Stream } from '../support/stream.mjs';
import { collector, kafka, unique, user } from './stack.mjs';

test('one trace leads from a posted event over its record to the answer on the stream', async () => {
  const { browser, user: ada } = await user('github', 'ada');
  const stream = await (await Stream.open(browser)).opened();
  const [trace, widgetsSpan] = [randomBytes(16), randomBytes(8)];
  const [question, answer] = [unique('a traced question'), unique('a traced answer')];
  const traceparent = `00-${trace.toString('hex')}-${widgetsSpan.toString('hex')}-01`;
  assert.equal((await browser.postEvent('message', { text: question }, { traceparent })).status, 202);

  const record = (await kafka.read('chat.inbound')).find(({ value }) => value.includes(question));
  const [, recordsTrace, span = ''] = record?.headers.traceparent?.split('-') ?? [];
  assert.equal(recordsTrace, trace.toString('hex'));
  assert.notEqual(span, widgetsSpan.toString('hex'), 'the record names the span of its writing');

  const headers = { traceparent: record?.headers.traceparent ?? '' };
  await kafka.write({ key: ada.id, value: { text: answer }, headers });
  await stream.receives(answer);
  const frame = stream.frames.find(({ data }) => data?.includes(answer));
  assert.equal(JSON.parse(frame?.data ?? '{}').traceparent, headers.traceparent);
  stream.cut();

  // The spans: two records of the event, the delivery of its echo, and that of the answer.
  await collector.until('all spans arrive', () => collector.count(trace) >= 4);
  assert.equal(collector.count(widgetsSpan), 2, 'the parent of both records of the event');
  assert.equal(collector.count(Buffer.from(span, 'hex')), 2, 'the span of the record, and the parent of the delivery');
  for (const name of ['send chat.inbound', 'send chat.outbound', 'deliver chat.outbound'])
    assert.ok(collector.count(name) > 0, name);
  for (const secret of [ada.id, question, answer]) assert.equal(collector.count(secret), 0, 'no span names a user');
});
