// A route that exists on one runtime exists on the other: both are compared to this one table.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { ROOT } from '../../scripts/stack/place.mjs';
import { Agent } from '../journey/agent.mjs';
import { DIFFERENCES } from '../journey/difference.mjs';
import { target } from '../journey/stack.mjs';
import { stack } from './stack.mjs';

/** The pattern as core's table has it, and a request that finds it, made by a visitor. */
const SURFACE = /** @type {const} */ ([
  ['GET', '/auth/{provider}/login', '/auth/github/login', 303],
  ['GET', '/auth/{provider}/callback', '/auth/github/callback', 400],
  ['GET', '/auth/session', '/auth/session', 200],
  ['POST', '/auth/logout', '/auth/logout', 204],
  ['ANY', '/bff/{service}/{*path}', '/bff/github/user', 401],
  ['POST', '/events/{channel}', '/events/chat', 401],
  ['GET', '/stream', '/stream', 401],
  ['POST', '/internal/deliver', '/internal/deliver', 401],
  ['GET', '/assets/{name}', '/assets/chat-widget.js', 200],
  ['GET', '/', '/', 200],
  ['GET', '/healthz', '/healthz', 200],
  ['GET', '/readyz', '/readyz', 200],
]);

const OWN = Object.values(DIFFERENCES).flatMap(({ routesOfItsOwn }) => routesOfItsOwn);

test("this table is core's", () => {
  const source = readFileSync(join(ROOT, 'edge/core/src/route.rs'), 'utf8');
  const rows = [...source.matchAll(/^ {4}(GET|POST|PUT|PATCH|DELETE|ANY) +"([^"]+)" .*;$/gm)].map(([, method, pattern]) => `${method} ${pattern}`);
  assert.deepEqual(rows.sort(), SURFACE.map(([method, pattern]) => `${method} ${pattern}`).sort());
});

for (const [method, pattern, path, status] of SURFACE) {
  const exists = !OWN.includes(pattern) || DIFFERENCES[target].routesOfItsOwn.includes(pattern);
  test(`${method} ${pattern} ${exists ? 'exists' : 'is another runtime\'s'}`, async () => {
    const answer = await new Agent(stack).call(path, {
      method: method === 'ANY' ? 'GET' : method,
      // What the navigations and EventSource cannot send is not sent.
      headers: pattern.startsWith('/auth/{') ? { Origin: undefined, 'X-CSRF': undefined, 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' } : {},
    });
    assert.equal(answer.status, exists ? status : 404, answer.text);
  });
}
