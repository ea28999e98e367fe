// Runs cases one after the other: each finds an honest provider and leaves one behind.

import { CannotRun } from './bff.mjs';

const CASE_TIMEOUT_MS = 120_000;

/**
 * @param {readonly import('./case.mjs').Case[]} cases @param {string} where
 * @param {import('./bff.mjs').Bff} bff
 * @param {(result: import('./case.mjs').Result, milliseconds: number) => void} report
 */
export async function run(cases, where, bff, report) {
  for (const { id, title, attack } of cases) {
    const begun = Date.now();
    bff.provider.reset();
    for (const stub of [bff.upstream, bff.otherUpstream, bff.bridge]) stub.reset();
    const { outcome, detail } = await attempt(() => attack(bff, bff.provider));
    bff.mayHold = undefined;
    report({ id, title, where, outcome, ...(detail && { detail }) }, Date.now() - begun);
  }
}

/** @param {() => Promise<unknown>} attack @returns {Promise<{ outcome: import('./case.mjs').Outcome, detail?: string }>} */
async function attempt(attack) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`took more than ${CASE_TIMEOUT_MS / 1000} s`)), CASE_TIMEOUT_MS)));
  try {
    await Promise.race([attack(), late]);
    return { outcome: 'passed' };
  } catch (error) {
    if (error instanceof CannotRun) return { outcome: 'cannot run', detail: error.message };
    return { outcome: 'failed', detail: /** @type {Error} */ (error).stack ?? String(error) };
  } finally {
    clearTimeout(timer);
  }
}
