// Loads a bundle on demand.

import { backoffMs } from './backoff.js';

/** What is loaded, or being loaded, by path. @type {Record<string, Promise<any> | undefined>} */
const bundles = {};

/**
 * Loads a bundle once. If that fails, the next call tries again.
 * @template T
 * @param {string} path beside the bundle that asks for it
 * @param {() => Promise<T>} first imports it by its plain path, which bundlers understand
 * @returns {Promise<T>}
 */
export function load(path, first) {
  return (bundles[path] ??= first()
    // Browsers remember that a module failed, under its address.
    .catch(() => import(`${path}?${Date.now()}`))
    .catch((error) => {
      bundles[path] = undefined;
      throw error;
    }));
}

/**
 * Loads a bundle that a user can't do without, however often that fails.
 * @template T
 * @param {() => Promise<T>} attempt
 * @param {AbortSignal | undefined} signal
 * @param {() => void} onFailure
 * @returns {Promise<T | undefined>} undefined if it is aborted
 */
export async function insist(attempt, signal, onFailure) {
  for (let failures = 0; ; failures += 1) {
    const bundle = await attempt().catch(onFailure);
    if (signal?.aborted) return undefined;
    if (bundle) return bundle;
    await new Promise((resolve) => {
      setTimeout(resolve, backoffMs(failures));
    });
  }
}
