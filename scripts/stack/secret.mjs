// The secrets of one local stack: created once per state directory, readable by the owner only.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @typedef {{ sessionKeys: string, bridgeKeys: string, githubClientSecret: string, githubWebhookSecret: string,
 * entraClientSecret: string, redisPassword: string }} Secrets
 */

/** @param {string} state @returns {Secrets} */
export function secrets(state) {
  const file = join(state, 'secrets.json');
  mkdirSync(state, { recursive: true, mode: 0o700 });
  const random = () => randomBytes(32).toString('base64url');
  const fresh = {
    sessionKeys: keyRing(),
    bridgeKeys: keyRing(),
    githubClientSecret: random(),
    githubWebhookSecret: random(),
    entraClientSecret: random(),
    redisPassword: random(),
  };
  // A directory from an older version lacks some.
  const all = { ...fresh, ...(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}) };
  writeFileSync(file, JSON.stringify(all, undefined, 2), { mode: 0o600 });
  return all;
}

/** A key ring of one key, as the edge and the bridge read it: `id:<32 bytes base64url>`. @param {string} [id] */
export function keyRing(id = 'local') {
  return `${id}:${randomBytes(32).toString('base64url')}`;
}
