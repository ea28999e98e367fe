// Paths: the checkout, the cache, built programs.

import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../..');

export const CACHE =
  process.env.CAUSEWAY_CACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'causeway');

/**
 * A native program of the workspace, built with the cargo profile CAUSEWAY_PROFILE (`dev` without it).
 * @param {string} name
 */
export function cargoProgram(name) {
  const profile = process.env.CAUSEWAY_PROFILE || 'dev';
  // Cargo's one profile whose folder has another name.
  const folder = profile === 'dev' ? 'debug' : profile;
  return join(process.env.CARGO_TARGET_DIR ?? join(CACHE, 'target'), folder, name);
}

/** A program of an npm package. @param {string} name */
export function npmProgram(name) {
  return join(ROOT, 'node_modules/.bin', name);
}
