// What the edge answers: core's own table, as its source has it, and for each row a request that finds it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/stack/place.mjs';
import { DIFFERENCES } from '../journey/difference.mjs';
import { target } from '../journey/stack.mjs';

/** Method and pattern as core's table has them, a path that finds the row, and what a visitor is answered. */
export const SURFACE = /** @type {const} */ ([
  ['GET', '/auth/{provider}/login', '/auth/github/login', 303],
  ['GET', '/auth/{provider}/callback', '/auth/github/callback', 400],
  ['GET', '/auth/session', '/auth/session', 200],
  ['POST', '/auth/handoff', '/auth/handoff', 404],
  ['POST', '/auth/logout', '/auth/logout', 204],
  ['POST', '/auth/{provider}/disconnect', '/auth/github/disconnect', 401],
  ['GET', '/auth/sessions', '/auth/sessions', 401],
  ['DELETE', '/auth/sessions', '/auth/sessions', 401],
  ['DELETE', '/auth/sessions/{id}', '/auth/sessions/x', 401],
  ['GET', '/auth/{provider}/end-session', '/auth/entra/end-session', 303],
  ['GET', '/auth/{provider}/logged-out', '/auth/entra/logged-out', 303],
  ['POST', '/auth/{provider}/backchannel-logout', '/auth/entra/backchannel-logout', 400],
  ['GET', '/auth/{provider}/frontchannel-logout', '/auth/entra/frontchannel-logout', 200],
  ['POST', '/auth/github/webhook', '/auth/github/webhook', 401],
  ['ANY', '/bff/{service}/{*path}', '/bff/github/user', 401],
  ['POST', '/events/{channel}', '/events/chat', 401],
  ['GET', '/stream', '/stream', 401],
  ['POST', '/internal/deliver', '/internal/deliver', 401],
  ['GET', '/assets/{name}', '/assets/chat-widget.js', 200],
  ['GET', '/', '/', 200],
  ['GET', '/healthz', '/healthz', 200],
  ['GET', '/readyz', '/readyz', 200],
]);

/** @typedef {{ method: string, pattern: string, cors: string }} Row */

/** Core's table. @returns {Row[]} */
export function rows() {
  const source = readFileSync(join(ROOT, 'edge/core/src/route.rs'), 'utf8');
  const row = /^ {4}(?<method>[A-Z]+) +"(?<pattern>[^"]+)" +\w+ +\w+ +(?:\([^)]*\)|\w+) +\w+ +(?<cors>\w+) +\w+;$/gm;
  return [...source.matchAll(row)].map(({ groups }) => /** @type {Row} */ ({ ...groups }));
}

const OWN = Object.values(DIFFERENCES).flatMap(({ routesOfItsOwn }) => routesOfItsOwn);

/** Whether the runtime of this run has the route. @param {string} pattern */
export function exists(pattern) {
  return !OWN.includes(pattern) || DIFFERENCES[target].routesOfItsOwn.includes(pattern);
}
