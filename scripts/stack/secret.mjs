// The secrets of one local stack: made once per state directory, readable by its owner only.

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** @typedef {{ sessionKeys: string, bridgeKeys: string, githubClientSecret: string, githubWebhookSecret: string, entraClientSecret: string }} Secrets */

/** @param {string} state @returns {Secrets} */
export function secrets(state) {
  const file = join(state, 'secrets.json');
  if (!existsSync(file)) {
    mkdirSync(state, { recursive: true, mode: 0o700 });
    const made = {
      sessionKeys: keyRing(),
      bridgeKeys: keyRing(),
      githubClientSecret: randomBytes(32).toString('base64url'),
      githubWebhookSecret: randomBytes(32).toString('base64url'),
      entraClientSecret: randomBytes(32).toString('base64url'),
    };
    writeFileSync(file, JSON.stringify(made, undefined, 2), { mode: 0o600 });
  }
  return JSON.parse(readFileSync(file, 'utf8'));
}

/** A key ring of one key, in the form the edge and the bridge read: `id:<32 bytes base64url>`. */
function keyRing() {
  return `local:${randomBytes(32).toString('base64url')}`;
}
