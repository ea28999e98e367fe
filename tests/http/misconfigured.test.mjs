import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { edgePart } from '../../scripts/stack/part/edge.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { Agent } from '../journey/agent.mjs';
import { target } from '../journey/stack.mjs';
import { stack } from './stack.mjs';

test('a misconfigured edge serves nothing, and its log names every key but no value', async () => {
  const ports = await freePorts();
  const weak = `weak:${Buffer.alloc(32, 7).toString('base64url')}`;
  /** @type {Record<string, string | undefined>} */
  const variables = { SESSION_KEYS: weak, BRIDGE_KEYS: undefined, ENTRA_AUTHORITY: 'http://login.example' };
  if (target === 'spin') variables.REDIS_URL = 'localhost:6379';
  const keys = Object.keys(variables);
  const edge = edgePart({
    target,
    state: join(stack.state, 'misconfigured'),
    ports,
    secrets: stack.secrets,
    variables,
    unready: true,
  });
  await edge.start();
  try {
    const agent = new Agent({ edgeOrigin: `http://localhost:${ports.edge}`, hostOrigin: stack.hostOrigin });
    for (const path of ['/', '/auth/session', '/auth/github/login', '/bff/github/user', '/stream', '/assets/chat-widget.js', '/readyz', '/nowhere']) {
      const answer = await agent.call(path);
      assert.equal(answer.status, 503, path);
      assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/);
      for (const key of keys) assert.ok(!answer.text.includes(key), 'visitors learn nothing of the inside');
    }
    const log = readFileSync(edge.log, 'utf8');
    for (const key of keys) assert.ok(log.includes(key), `${key} is named`);
    assert.ok(!log.includes(weak.slice(5)), 'no value is shown');
  } finally {
    await edge.stop();
  }
});
