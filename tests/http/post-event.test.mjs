import assert from 'node:assert/strict';
import { test } from 'node:test';

import { sendBytes } from '../support/exchange.mjs';
import { kafka, stack, unique, user } from './stack.mjs';

/** The records on chat.inbound with this text. @param {string} text */
async function inboundRecords(text) {
  return (await kafka.read('chat.inbound')).filter(({ value }) => JSON.parse(value)?.text === text);
}

test("a posted event is a CloudEvent in Kafka, with the session's user as its subject", async () => {
  const { browser, user: ada } = await user('github', 'ada');
  const text = unique('hello, Kafka');
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const answer = await browser.postEvent('message', { text }, { traceparent });
  assert.equal(answer.status, 202, answer.text);
  const { id } = JSON.parse(answer.text);

  const [record, ...more] = await inboundRecords(text);
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
  assert.equal(record.headers.traceparent?.split('-')[1], traceparent.split('-')[1], 'the trace is continued');
});

test('a body cannot name another user as its subject', async () => {
  const { browser, user: ada } = await user('github', 'ada');
  const { user: grace } = await user('github', 'grace');
  const text = unique('I am Grace');
  const answer = await browser.call('/events/chat', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ce_subject: grace.id, 'ce-subject': grace.id },
    body: JSON.stringify({ type: 'message', subject: grace.id, id: 'chosen', data: { text, subject: grace.id } }),
  });
  assert.equal(answer.status, 202, answer.text);
  const [record] = await inboundRecords(text);
  assert.equal(record?.key, ada.id);
  assert.equal(record?.headers.ce_subject, ada.id);
  assert.notEqual(record?.headers.ce_id, 'chosen');
  for (const spoof of [{ key: grace.id }, { partition: 0 }, { headers: { ce_subject: grace.id } }]) {
    const rejected = await browser.call('/events/chat', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ type: 'message', data: { text: unique('spoof') }, ...spoof }),
    });
    assert.equal(rejected.status, 400, `${JSON.stringify(spoof)}: ${rejected.text}`);
  }
});

test('S139: no header of a request becomes a header of a record, but traceparent', async () => {
  const { browser, user: ada } = await user('github', 'ada');
  const trace = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const evil = 'ce_subject: evil';
  /** @type {[string, string | string[]][]} */
  const attempts = [
    ...['%0d%0a', '\\r\\n', ', ', '; ', '\t', '\u0085', '\u00ff'].flatMap((between) =>
      [
        ['Idempotency-Key', 'key'],
        ['traceparent', trace],
        ['tracestate', 'a=b'],
      ].map(([name = '', value = '']) => /** @type {[string, string]} */ ([name, `${value}${between}${evil}`])),
    ),
    ['Idempotency-Key', ['one', evil]],
    ['traceparent', [trace, evil]],
    ['traceparent', evil],
    ['tracestate', ['a=b', evil]],
    ['traceparent', trace.toUpperCase()],
    ['traceparent', `${trace}-evil`],
  ];
  const sent = await Promise.all(
    attempts.map(async ([name, value]) => {
      const text = unique('in a header');
      const answer = await browser.call('/events/chat', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', [name]: value },
        body: JSON.stringify({ type: 'message', data: { text } }),
      });
      return { text, why: `${name}: ${JSON.stringify(value)}`, status: answer.status };
    }),
  );
  // A line break within a header, which no library writes.
  const byHand = unique('by hand');
  const body = JSON.stringify({ type: 'message', data: { text: byHand } });
  const head = Object.entries({
    ...browser.scriptHeaders(),
    Host: new URL(stack.edgeOrigin).host,
    Cookie: browser.cookieHeader,
    'Content-Type': 'application/json',
    'Content-Length': String(Buffer.byteLength(body)),
    Connection: 'close',
  });
  for (const name of ['Idempotency-Key', 'traceparent', 'tracestate']) {
    for (const between of ['\r', '\n', '\r\n ', '\0']) {
      const lines = [...head, [name, `x${between}${evil}`]].map(([each, value]) => `${each}: ${value}\r\n`);
      await sendBytes(stack.edgeOrigin, `POST /events/chat HTTP/1.1\r\n${lines.join('')}\r\n${body}`);
    }
  }
  const records = (await kafka.read('chat.inbound')).map((record) => ({
    ...record,
    text: JSON.parse(record.value)?.text,
  }));
  for (const { text, why, status } of sent) {
    assert.ok(status === 202 || (status >= 400 && status < 500), `${why}: ${status}`);
    assert.equal(records.filter((record) => record.text === text).length, status === 202 ? 1 : 0, why);
  }
  const texts = new Set([byHand, ...sent.map(({ text }) => text)]);
  for (const {
    key,
    text,
    headers: { traceparent, ...rest },
  } of records.filter((record) => texts.has(record.text))) {
    const why = sent.find((each) => each.text === text)?.why ?? text;
    assert.deepEqual([key, rest.ce_subject], [ada.id, ada.id], why);
    assert.deepEqual(
      Object.keys(rest).sort(),
      ['ce_id', 'ce_source', 'ce_specversion', 'ce_subject', 'ce_time', 'ce_type', 'content-type'],
      why,
    );
    assert.match(traceparent ?? '', /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/, why);
    assert.doesNotMatch(JSON.stringify(rest), /evil/, why);
  }
});

test('a message that is sent repeatedly with one Idempotency-Key is written once', async () => {
  const { browser } = await user('github', 'ada');
  const text = unique('only once');
  const key = unique('key');
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => browser.postEvent('message', { text }, { 'Idempotency-Key': key })),
  );
  answers.push(await browser.postEvent('message', { text }, { 'Idempotency-Key': key }));
  assert.deepEqual(
    answers.map(({ status }) => status),
    answers.map(() => 202),
  );
  assert.equal(new Set(answers.map(({ text: body }) => JSON.parse(body).id)).size, 1);
  assert.equal((await inboundRecords(text)).length, 1);
});

test("one user's messages stay in order, on one partition", async () => {
  const { browser } = await user('entra', 'grace');
  const texts = Array.from({ length: 10 }, (_, index) => unique(`step ${index}`));
  for (const text of texts) assert.equal((await browser.postEvent('message', { text })).status, 202);
  const records = (await kafka.read('chat.inbound')).filter(({ value }) => texts.includes(JSON.parse(value)?.text));
  assert.equal(new Set(records.map(({ partition }) => partition)).size, 1);
  assert.deepEqual(
    records.map(({ value }) => JSON.parse(value)?.text),
    texts,
  );
});
