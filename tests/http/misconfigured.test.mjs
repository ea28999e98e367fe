import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { edgePart } from '../../scripts/stack/part/edge.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { EdgeBrowser } from '../support/edge-browser.mjs';
import { assertProblem } from '../support/problem.mjs';
import { target } from '../support/stack.mjs';
import { stack } from './stack.mjs';
import { ROUTE_PROBES } from './route-probe.mjs';

const WEAK_KEY = Buffer.alloc(32, 7).toString('base64url');

/**
 * Starts an edge with these variables instead of the stack's, and asserts that each route answers 503. Where
 * `mayRefuse` is set, a runtime that ends at the start, with the wrong variables in its log, passes as well.
 * @param {{ name: string, variables: Record<string, string | undefined>, manifest?: (text: string) => string,
 * hidden?: string[], mayRefuse?: boolean }} wrong each variable is wrong; `hidden` are texts that the log must not
 * contain
 */
async function assertClosed({ name, variables, manifest, hidden = [], mayRefuse = false }) {
  const keys = Object.keys(variables);
  const ports = await freePorts();
  const edge = edgePart({
    target,
    state: join(stack.state, name),
    ports,
    secrets: stack.secrets,
    variables,
    manifest,
    unready: true,
  });
  try {
    await edge.start();
  } catch (error) {
    if (!mayRefuse || !/ ended with code [1-9]/.test(String(error))) throw error;
    const log = edge.output();
    for (const key of keys) assert.match(log, new RegExp(`\\b${key}\\b`, 'i'), `${key} is named`);
    for (const text of hidden) assert.ok(!log.includes(text), 'no value is logged');
    return;
  }
  try {
    const browser = new EdgeBrowser({ edgeOrigin: `http://localhost:${ports.edge}`, hostOrigin: stack.hostOrigin });
    for (const [method, , path] of [...ROUTE_PROBES, /** @type {const} */ (['GET', '', '/nowhere'])]) {
      const answer = await browser.call(path, { method: method === 'ANY' ? 'GET' : method });
      assert.equal(assertProblem(answer, 503).code, 'misconfigured', path);
      for (const key of keys) assert.ok(!answer.text.includes(key), 'visitors learn nothing of the configuration');
    }
    const log = readFileSync(edge.log, 'utf8');
    for (const key of keys) assert.match(log, new RegExp(`"${key} `), `${key} is named`);
    for (const text of hidden) assert.ok(!log.includes(text), 'no value is logged');
  } finally {
    await edge.stop();
  }
}

test('a misconfigured edge serves nothing, and its log names every wrong key but no value', async () => {
  await assertClosed({
    name: 'misconfigured',
    variables: {
      SESSION_KEYS: `weak:${WEAK_KEY}`,
      BRIDGE_KEYS: undefined,
      ENTRA_AUTHORITY: 'http://login.example',
      PUBLIC_ORIGIN: '',
    },
    hidden: [WEAK_KEY, 'login.example'],
  });
});

if (target === 'workers') {
  test('S135: on Workers, an unknown key closes the edge and is named: it may be a mistyped limit', async () => {
    await assertClosed({ name: 'misconfigured-unknown', variables: { REVOCATION_BOUND: '0', SESSION_HOUR: '1' } });
  });

  test('on Workers, a limit without a rate limiter of that limit closes the edge and is named', async () => {
    await assertClosed({ name: 'misconfigured-rate', variables: { EVENTS_PER_MINUTE: '120' } });
  });
}

if (target === 'spin') {
  test('on Spin, an address that would void the allowed hosts closes the edge, even if it is unused', async () => {
    await assertClosed({
      name: 'misconfigured-hosts',
      variables: {
        BRIDGE_URL: 'https://bridge.example/with-a-path',
        GITHUB_URL: '',
        GRAPH_URL: 'no-url-at-all',
        REDIS_ADDRESS: 'redis://elsewhere.example:6379',
      },
      // Spin itself prints the list of allowed hosts, which is not secret.
    });
  });

  test('on Spin, an invalid Redis address closes the edge and is not logged', async () => {
    await assertClosed({
      name: 'misconfigured-redis',
      variables: { REDIS_URL: 'http://user:hidden-password@redis.example' },
      hidden: ['hidden-password'],
    });
  });

  test('on Spin, an unreadable variable does not count as unset', async () => {
    await assertClosed({
      name: 'misconfigured-unreadable',
      variables: { SESSION_HOURS: undefined },
      // The effect of a variables provider that is down.
      manifest: (text) => text.replace(/^session_hours = \{ default = "" \}$/m, 'session_hours = { required = true }'),
      // The Spin CLI does not start an application whose required variable has no value.
      mayRefuse: true,
    });
  });
}
