// The routes of the edge: core's table, read from its source, and for each row a request that reaches it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/stack/path.mjs';
import { RUNTIME_DIFFERENCES } from '../support/runtime-difference.mjs';
import { target } from '../support/stack.mjs';

/**
 * Method and pattern as in core's table, a path that reaches the row, and the status for a visitor without a session.
 */
export const ROUTE_PROBES = /** @type {const} */ ([
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
  ['GET', '/events/{channel}/history', '/events/chat/history', 401],
  ['GET', '/stream', '/stream', 401],
  ['POST', '/internal/deliver', '/internal/deliver', 401],
  ['POST', '/internal/checkpoint', '/internal/checkpoint', 401],
  ['GET', '/assets/{name}', '/assets/chat-widget.js', 200],
  ['GET', '/shell/{widget}', '/shell/chat-widget', 200],
  ['GET', '/', '/', 200],
  ['GET', '/healthz', '/healthz', 200],
  ['GET', '/readyz', '/readyz', 200],
]);

/**
 * @typedef {{ method: string, pattern: string, csrf: string, session: string, limit: string, cache: string,
 * cors: string, handler: string }} Row
 */

/** Reads core's table. @returns {Row[]} */
export function rows() {
  const source = readFileSync(join(ROOT, 'edge/core/src/route.rs'), 'utf8');
  const words = ['csrf', 'session', 'limit', 'cache', 'cors', 'handler'].map((name) => `(?<${name}>\\([^)]*\\)|\\w+)`);
  const row = new RegExp(`^ {4}(?<method>[A-Z]+) +"(?<pattern>[^"]+)" +${words.join(' +')};$`, 'gm');
  return [...source.matchAll(row)].map(({ groups }) => /** @type {Row} */ ({ ...groups }));
}

const RUNTIME_SPECIFIC = Object.values(RUNTIME_DIFFERENCES).flatMap(({ ownRoutes }) => ownRoutes);

/** Whether the runtime of this run has the route. @param {string} pattern */
export function exists(pattern) {
  return !RUNTIME_SPECIFIC.includes(pattern) || RUNTIME_DIFFERENCES[target].ownRoutes.includes(pattern);
}
