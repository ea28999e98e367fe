// Outages: a dependency of the edge does not answer.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { edgePart } from '../../scripts/stack/part/edge.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { EdgeBrowser } from '../support/edge-browser.mjs';
import { RUNTIME_DIFFERENCES } from '../support/runtime-difference.mjs';
import { assertProblem } from '../support/problem.mjs';
import { authorizeAt } from '../support/sign-in.mjs';
import { externalBrokers, target } from '../support/stack.mjs';
import { Stream } from '../support/stream.mjs';
import { kafka, stack, unique, user } from './stack.mjs';

/** How long a put takes. The edge gives up after five seconds. */
const HANGS_MS = 8_000;
/** A module in front of the Worker, whose key-value store hangs at each change. */
const HANGING_STORE = `
import Edge from './worker/index.js';
export * from './worker/index.js';

const hang = () => new Promise((resolve) => setTimeout(resolve, ${HANGS_MS}));
let store;

export default {
  fetch(request, env, context) {
    const reads = ['get', 'getWithMetadata', 'list'].map((name) => [name, (...args) => env.SESSIONS[name](...args)]);
    store ??= { ...Object.fromEntries(reads), put: hang, delete: hang };
    return Edge.fetch(request, { ...env, SESSIONS: store }, context);
  },
};
`;

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

if (target === 'workers') {
  // On Spin nothing outside of the host can make its store hang.
  test('while the key-value store hangs, a sign-in does not wait for it, and the session works', async () => {
    const { edge: port } = await freePorts();
    const edge = edgePart({
      target,
      state: join(stack.state, 'hanging-store'),
      ports: { ...stack.ports, edge: port },
      secrets: stack.secrets,
      // The provider knows the stack's redirect URI.
      variables: { PUBLIC_ORIGIN: stack.edgeOrigin },
      entry: HANGING_STORE,
    });
    await edge.start();
    try {
      const browser = new EdgeBrowser({ edgeOrigin: `http://localhost:${port}`, hostOrigin: stack.hostOrigin });
      const { callback } = await authorizeAt(browser, 'github', 'ada');
      callback.port = String(port);
      const begunAt = Date.now();
      assert.equal((await browser.visit(callback)).status, 303);
      const took = Date.now() - begunAt;
      assert.ok(took < HANGS_MS / 2, `the callback took ${took} ms`);
      assert.equal((await browser.session()).authenticated, true);
      assert.equal((await browser.call('/bff/github/user')).status, 200);
      assert.equal((await browser.call('/auth/logout', { method: 'POST' })).status, 204);
      assert.ok(Date.now() - begunAt < HANGS_MS, 'nor does anything after it');
    } finally {
      await edge.stop();
    }
  });
}
