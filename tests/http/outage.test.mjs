// Bad times: what the edge needs does not answer.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { DIFFERENCES } from '../journey/difference.mjs';
import { assertProblem } from '../journey/problem.mjs';
import { externalBrokers, target } from '../journey/stack.mjs';
import { Stream } from '../journey/stream.mjs';
import { kafka, stack, unique, user } from './stack.mjs';

test('while the bridge is down the user is told to try again, and nobody is signed out', async () => {
  const { agent } = await user('github', 'ada');
  const stream = await (await Stream.open(agent)).opened();
  await stack.parts.bridge.kill();
  try {
    const text = unique('to a dead bridge');
    const answer = await agent.post('message', { text });
    assertProblem(answer, 503);
    assert.ok(
      !(await kafka.read('chat.inbound')).some(({ value }) => value.includes(text)),
      'nothing of it is in Kafka',
    );
    assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
    assert.equal((await agent.session()).authenticated, true);
    if (DIFFERENCES[target].streamsOutliveTheBridge) assert.equal(stream.closed, false);
    else await stream.until('the stream ends with the bridge', () => stream.closed);
  } finally {
    await stack.parts.bridge.start();
    stream.cut();
  }
});

test(
  'while Kafka is silent the user is told to try again',
  { skip: externalBrokers && 'this Kafka is not ours to stop' },
  async () => {
    const { agent } = await user('github', 'ada');
    // Stopped, not killed: connections stay open and nothing answers, the worst way to fail.
    stack.parts.kafka.signal('SIGSTOP');
    try {
      const begun = Date.now();
      const answer = await agent.post('message', { text: unique('to a silent broker') });
      assertProblem(answer, 503);
      assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
      assert.ok(Date.now() - begun < 16_000, `answered after ${Date.now() - begun} ms`);
    } finally {
      stack.parts.kafka.signal('SIGCONT');
    }
  },
);
