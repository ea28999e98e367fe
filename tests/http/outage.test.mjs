// Outages: a dependency of the edge does not answer.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { RUNTIME_DIFFERENCES } from '../support/runtime-difference.mjs';
import { assertProblem } from '../support/problem.mjs';
import { externalBrokers, target } from '../support/stack.mjs';
import { Stream } from '../support/stream.mjs';
import { kafka, stack, unique, user } from './stack.mjs';

test('while the bridge is down, events are answered 503 with Retry-After, and no user is signed out', async () => {
  const { browser } = await user('github', 'ada');
  const stream = await (await Stream.open(browser)).opened();
  await stack.parts.bridge.kill();
  try {
    const text = unique('to a killed bridge');
    const answer = await browser.postEvent('message', { text });
    assertProblem(answer, 503);
    assert.ok(
      !(await kafka.read('chat.inbound')).some(({ value }) => value.includes(text)),
      'the event is not in Kafka',
    );
    assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
    assert.equal((await browser.session()).authenticated, true);
    if (RUNTIME_DIFFERENCES[target].streamsOutliveTheBridge) assert.equal(stream.closed, false);
    else await stream.until('the stream ends with the bridge', () => stream.closed);
  } finally {
    await stack.parts.bridge.start();
    stream.cut();
  }
});

test(
  'while Kafka does not answer, events are answered 503 with Retry-After, and a client that obeys it succeeds',
  { skip: externalBrokers && 'an external Kafka must not be stopped' },
  async () => {
    const { browser } = await user('github', 'ada');
    // Stopped, not killed: connections stay open and get no answer, the worst failure.
    stack.parts.kafka.signal('SIGSTOP');
    try {
      const begun = Date.now();
      const answer = await browser.postEvent('message', { text: unique('to a stopped broker') });
      assertProblem(answer, 503);
      assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
      assert.ok(Date.now() - begun < 16_000, `answered after ${Date.now() - begun} ms`);
    } finally {
      stack.parts.kafka.signal('SIGCONT');
    }
    const text = unique('to a resumed broker');
    const key = { 'Idempotency-Key': randomUUID() };
    let answer = await browser.postEvent('message', { text }, key);
    while (answer.status !== 202) {
      assertProblem(answer, 503);
      await sleep(Number(answer.headers['retry-after']) * 1000);
      answer = await browser.postEvent('message', { text }, key);
    }
  },
);
