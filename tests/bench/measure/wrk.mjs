// Load by wrk, which sends requests without a pause.

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

const CONNECTIONS = 16;
const SECONDS = 10;
const WARM_UP_SECONDS = 5;
const MILLISECONDS = Object.freeze({ us: 0.001, ms: 1, s: 1000, m: 60_000 });

/**
 * Runs before anything is measured, until compilers and caches have settled.
 * @param {string} url @param {Record<string, string>} headers
 */
export async function warmUp(url, headers) {
  await wrk(url, headers, WARM_UP_SECONDS);
}

/** @param {string} url @param {Record<string, string>} headers */
export async function load(url, headers) {
  const report = await wrk(url, headers, SECONDS);
  const failed = report.match(/Non-2xx or 3xx responses: \d+|Socket errors: .*/);
  if (failed) throw new Error(`${url}: ${failed[0]}`);
  const perSecond = Number(report.match(/^Requests\/sec: +([\d.]+)$/m)?.[1]);
  const [, p99 = '', unit = ''] = report.match(/^ +99% +([\d.]+)(us|ms|s|m)$/m) ?? [];
  const p99Ms = Number(p99) * (MILLISECONDS[/** @type {keyof typeof MILLISECONDS} */ (unit)] ?? Number.NaN);
  if (!(perSecond > 0 && p99Ms > 0)) throw new Error(`the report of wrk has no such figures:\n${report}`);
  return { perSecond, p99Ms };
}

/** @param {string} url @param {Record<string, string>} headers @param {number} seconds */
async function wrk(url, headers, seconds) {
  const sent = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const { stdout } = await run('wrk', ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '--latency', ...sent, url]);
  return stdout;
}
