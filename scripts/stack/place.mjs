// Where things are: the checkout, the cache, what cargo built.

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../..');

export const CACHE =
  process.env.CAUSEWAY_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'causeway');

/** A native program of the workspace. CAUSEWAY_PROFILE chooses another cargo profile than `debug`. @param {string} name */
export function cargoProgram(name) {
  return join(process.env.CARGO_TARGET_DIR ?? join(CACHE, 'target'), process.env.CAUSEWAY_PROFILE ?? 'debug', name);
}

/** A program of an npm package. @param {string} name */
export function npmProgram(name) {
  return join(ROOT, 'node_modules/.bin', name);
}
