// Limits that an operator sets, on both runtimes.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { edgePart } from '../../scripts/stack/part/edge.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { EdgeBrowser } from '../support/edge-browser.mjs';
import { assertProblem } from '../support/problem.mjs';
import { target } from '../support/stack.mjs';
import { stack } from './stack.mjs';

const LIMIT = 2;
/** What an operator adds to wrangler.toml: Cloudflare's limiters have limits of their own. */
const LIMITER = `
[[ratelimits]]
name = "LOGIN_RATE_${LIMIT}"
namespace_id = "1004"
simple = { limit = ${LIMIT}, period = 60 }
`;

test('a limit that is set holds, for each address', async () => {
  const { edge: port } = await freePorts();
  const edge = edgePart({
    target,
    state: join(stack.state, 'rate-setting'),
    ports: { ...stack.ports, edge: port },
    secrets: stack.secrets,
    variables: { LOGIN_STEPS_PER_MINUTE: String(LIMIT), CLIENT_ADDRESS_HEADER: 'X-Real-IP' },
    manifest: (text) => (target === 'workers' ? text + LIMITER : text),
  });
  await edge.start();
  try {
    const browser = new EdgeBrowser({ edgeOrigin: `http://localhost:${port}`, hostOrigin: stack.hostOrigin });
    const login = (/** @type {string} */ address) =>
      browser.visit('/auth/github/login?return_to=/', { headers: { Accept: undefined, 'X-Real-IP': address } });
    assert.equal((await login('198.51.100.7')).status, 303);
    // Twice the limit passes if a minute ends in between.
    for (let step = 2; step <= 2 * LIMIT; step++) await login('198.51.100.7');
    const rejected = await login('198.51.100.7');
    assert.equal(assertProblem(rejected, 429).code, 'too-many-requests');
    assert.match(rejected.headers['retry-after'] ?? '', /^[1-9]\d*$/);
    assert.equal((await login('198.51.100.8')).status, 303, 'another address has a count of its own');
  } finally {
    await edge.stop();
  }
});
