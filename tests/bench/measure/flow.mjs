// Flows of several requests that depend on each other, which no load generator can send: a number of them at a time,
// each begun when one has ended.

import { performance } from 'node:perf_hooks';

import { percentile } from './statistic.mjs';

/** @param {readonly number[]} times of the requests or flows, in milliseconds, at least one */
export function latencies(times) {
  const sorted = times.toSorted((a, b) => a - b);
  return { p50Ms: percentile(sorted, 50), p99Ms: percentile(sorted, 99) };
}

/** @param {readonly number[]} times @param {number} percent */
export const percentileOf = (times, percent) =>
  percentile(
    times.toSorted((a, b) => a - b),
    percent,
  );

/**
 * @param {(index: number) => Promise<unknown>} flow
 * @param {{ concurrency: number, seconds: number, mayFail?: boolean }} options `mayFail` counts flows that fail
 * @returns {Promise<import('./round.mjs').Sample>}
 */
export async function flows(flow, { concurrency, seconds, mayFail = false }) {
  const begin = performance.now();
  const end = begin + seconds * 1000;
  /** @type {number[]} */
  const times = [];
  /** @type {string[]} */
  const failures = [];
  let index = 0;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      do {
        const started = performance.now();
        try {
          await flow(index++);
          times.push(performance.now() - started);
        } catch (error) {
          if (!mayFail) throw error;
          failures.push(/** @type {Error} */ (error).message);
        }
      } while (performance.now() < end);
    }),
  );
  const perSecond = times.length / ((performance.now() - begin) / 1000);
  const failedPercent = (100 * failures.length) / (times.length + failures.length);
  const [first] = failures;
  return {
    figures: { perSecond, ...latencies(times), failedPercent },
    raw: `${[...times, ...failures].join('\n')}\n`,
    ...(first && { note: `${failures.length} failed; the first: ${first}.` }),
  };
}
