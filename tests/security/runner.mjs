// Runs cases one after the other. Each starts with an honest provider, whatever the one before made of it.

import { setMaxListeners } from 'node:events';

import { CannotRun } from './bff.mjs';
import { underWay } from '../support/exchange.mjs';

/** Time limits of an attack, and of its clean-up once it was told to stop: enough to restore a BFF that it changed. */
const LIMITS = { attackMs: 120_000, endMs: 90_000 };

/** How a crash of WebAssembly is logged by Rust and by the two hosts. */
const CRASH = /panicked at|wasm trap|RuntimeError|unreachable executed/;

/** @typedef {{ outcome: import('./case.mjs').Outcome, detail?: string }} Attempt */

/**
 * @param {readonly import('./case.mjs').Case[]} cases @param {string} where
 * @param {import('./bff.mjs').Bff} bff
 * @param {(result: import('./case.mjs').Result, milliseconds: number) => void} report
 */
export async function run(cases, where, bff, report, limits = LIMITS) {
  for (const { id, title, runtime, attack } of cases) {
    if (runtime && bff.running && bff.running.runtime !== runtime) continue;
    const begun = Date.now();
    const crashLinesBefore = crashLines(bff).length;
    bff.provider.reset();
    for (const stub of [bff.upstream, bff.otherUpstream, bff.bridge]) stub.reset();
    const { outcome, detail } = bff.isOvertaken
      ? { outcome: /** @type {const} */ ('cannot run'), detail: 'an earlier attack is still under way' }
      : withCrash(await attempt(bff, () => attack(bff, bff.provider), limits), crashLines(bff).slice(crashLinesBefore));
    bff.mayHold = undefined;
    report({ id, title, kind: 'http', where, outcome, ...(detail && { detail }) }, Date.now() - begun);
  }
}

/**
 * Lines of the BFF's log that report a crash. To a client, a crash looks like any server error.
 * @param {import('./bff.mjs').Bff} bff
 */
export const crashLines = ({ running }) => (running?.log() ?? '').split('\n').filter((line) => CRASH.test(line));

/**
 * An attack that crashed the BFF has failed, whatever the answer was.
 * @param {Attempt} attempt @param {string[]} lines @returns {Attempt}
 */
function withCrash({ outcome, detail }, lines) {
  return lines.length
    ? { outcome: 'failed', detail: [...(detail ? [detail] : []), `the BFF crashed:`, ...lines.slice(0, 5)].join('\n') }
    : { outcome, ...(detail && { detail }) };
}

/**
 * Runs an attack. One that takes too long loses its connections and may open no more, so that it cannot disturb the
 * cases after it.
 * @param {import('./bff.mjs').Bff} bff @param {() => Promise<unknown>} attack
 * @param {{ attackMs: number, endMs: number }} limits
 * @returns {Promise<Attempt>}
 */
async function attempt(bff, attack, { attackMs, endMs }) {
  const stop = new AbortController();
  // Each open request adds a listener.
  setMaxListeners(0, stop.signal);
  const running = underWay.run(stop.signal, async () => attack());
  try {
    await inTime(running, attackMs);
    return { outcome: 'passed' };
  } catch (error) {
    if (error instanceof CannotRun) return { outcome: 'cannot run', detail: error.message };
    if (!(error instanceof Late))
      return { outcome: 'failed', detail: /** @type {Error} */ (error).stack ?? String(error) };
    stop.abort(error);
    const ended = await inTime(
      running.catch(() => {}),
      endMs,
    ).then(
      () => true,
      () => false,
    );
    bff.isOvertaken = !ended;
    return {
      outcome: 'failed',
      detail: `took more than ${attackMs / 1000} s, and ${ended ? 'was stopped' : 'could not be stopped'}`,
    };
  }
}

class Late extends Error {}

/** @param {Promise<unknown>} what @param {number} limitMs */
async function inTime(what, limitMs) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Late('too late')), limitMs)));
  try {
    await Promise.race([what, late]);
  } finally {
    clearTimeout(timer);
  }
}
