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
 * @param {{ concurrency: number, seconds: number }} options
 * @returns {Promise<import('./round.mjs').Sample>}
 */
export async function flows(flow, { concurrency, seconds }) {
  const begin = performance.now();
  const end = begin + seconds * 1000;
  /** @type {number[]} */
  const times = [];
  let index = 0;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      do {
        const started = performance.now();
        await flow(index++);
        times.push(performance.now() - started);
      } while (performance.now() < end);
    }),
  );
  const perSecond = times.length / ((performance.now() - begin) / 1000);
  return { figures: { perSecond, ...latencies(times) }, raw: `${times.join('\n')}\n` };
}
