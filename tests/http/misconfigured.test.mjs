import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { edgePart } from '../../scripts/stack/part/edge.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { Agent } from '../journey/agent.mjs';
import { assertProblem } from '../journey/problem.mjs';
import { target } from '../journey/stack.mjs';
import { stack } from './stack.mjs';
import { SURFACE } from './surface.mjs';

const WEAK_KEY = Buffer.alloc(32, 7).toString('base64url');

/**
 * Starts an edge with these variables instead of the stack's, and asks it for everything there is.
 * @param {{ name: string, variables: Record<string, string | undefined>, manifest?: (text: string) => string, hidden?: string[] }} wrong
 * each variable is a wrong one; `hidden` are texts that no log shows
 */
async function assertClosed({ name, variables, manifest, hidden = [] }) {
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
  await edge.start();
  try {
    const agent = new Agent({ edgeOrigin: `http://localhost:${ports.edge}`, hostOrigin: stack.hostOrigin });
    for (const [method, , path] of [...SURFACE, /** @type {const} */ (['GET', '', '/nowhere'])]) {
      const answer = await agent.call(path, { method: method === 'ANY' ? 'GET' : method });
      assert.equal(assertProblem(answer, 503).code, 'misconfigured', path);
      for (const key of keys) assert.ok(!answer.text.includes(key), 'visitors learn nothing of the inside');
    }
    const log = readFileSync(edge.log, 'utf8');
    for (const key of keys) assert.match(log, new RegExp(`"${key} `), `${key} is named`);
    for (const text of hidden) assert.ok(!log.includes(text), 'no value is shown');
  } finally {
    await edge.stop();
  }
}

test('a misconfigured edge serves nothing, and its log names every key but no value', async () => {
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
  test('S135: on Workers, a key that means nothing closes the edge and is named: it may be a mistyped limit', async () => {
    await assertClosed({ name: 'misconfigured-unknown', variables: { REVOCATION_BOUND: '0', SESSION_HOUR: '1' } });
  });
}

if (target === 'spin') {
  test("on Spin, what would void the list of hosts closes the edge, of a provider's that is not used, too", async () => {
    await assertClosed({
      name: 'misconfigured-hosts',
      variables: {
        BRIDGE_URL: 'https://bridge.example/with-a-path',
        GITHUB_URL: '',
        GRAPH_URL: 'no-url-at-all',
        REDIS_ADDRESS: 'redis://elsewhere.example:6379',
      },
      // Spin itself shows them: what is in the list is no secret.
    });
  });

  test('on Spin, a Redis address that is none closes the edge, and nothing of it is shown', async () => {
    await assertClosed({
      name: 'misconfigured-redis',
      variables: { REDIS_URL: 'http://user:hidden-password@redis.example' },
      hidden: ['hidden-password'],
    });
  });

  test('on Spin, a variable that cannot be read is not taken for one that is not set', async () => {
    await assertClosed({
      name: 'misconfigured-unreadable',
      variables: { SESSION_HOURS: undefined },
      // What a provider of variables that is down amounts to.
      manifest: (text) => text.replace(/^session_hours = \{ default = "" \}$/m, 'session_hours = { required = true }'),
    });
  });
}
