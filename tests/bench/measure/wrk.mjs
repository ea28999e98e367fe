// Load by wrk: a fixed number of connections, each of which sends its next request when the last one is answered.

import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const MILLISECONDS = Object.freeze({ us: 0.001, ms: 1, s: 1000, m: 60_000 });

/**
 * @typedef {object} Load
 * @property {string} url
 * @property {Record<string, string>} [headers]
 * @property {number} [connections]
 * @property {number} [bodyBytes] each request is a POST with a body of so many bytes
 * @property {string} [script] in Lua, which makes the requests
 * @property {boolean} [mayFail] answers of 400 and more are counted, and are no error
 * @property {string} state directory for the script of a POST
 */

/** The figures of a load. Kept in one place, so that all rows name them alike. */
export const FIGURES = Object.freeze([
  { key: 'perSecond', label: 'requests/s', unit: '', digits: 0 },
  { key: 'p50Ms', label: 'p50', unit: 'ms', digits: 2 },
  { key: 'p99Ms', label: 'p99', unit: 'ms', digits: 2 },
]);

/** @param {Load} load @param {number} seconds @returns {Promise<import('./round.mjs').Sample>} */
export async function wrk(load, seconds) {
  const { stdout } = await run('wrk', argumentsOf(load, seconds), { maxBuffer: 1 << 24 });
  const failed = stdout.match(/Non-2xx or 3xx responses: (\d+)|Socket errors: .*/);
  if (failed && !load.mayFail) throw new Error(`${load.url}: ${failed[0]}\n${stdout}`);
  const requests = Number(stdout.match(/^ *(\d+) requests in/m)?.[1]);
  // 256 connections of a slow contestant may not get one within a short check.
  if (load.mayFail && requests === 0)
    return { figures: { perSecond: 0 }, raw: stdout, note: `no answer within ${seconds} s.` };
  const failedPercent = (100 * Number(failed?.[1] ?? 0)) / requests;
  const perSecond = Number(stdout.match(/^Requests\/sec: +([\d.]+)$/m)?.[1]);
  const [p50Ms, p99Ms] = [percentile(stdout, 50), percentile(stdout, 99)];
  if (!(perSecond > 0 && p50Ms > 0 && p99Ms > 0))
    throw new Error(`the report of wrk lacks figures that are needed:\n${stdout}`);
  return { figures: { perSecond, p50Ms, p99Ms, failedPercent }, raw: stdout };
}

/** The command for the report, without what differs between contestants. @param {Load} load */
export function wrkCommand({ connections = 16, bodyBytes, script }) {
  const isScripted = bodyBytes !== undefined || script !== undefined;
  return `wrk -t1 -c${connections} --latency${isScripted ? ' -s post.lua' : ''} URL`;
}

/** @param {Load} load @param {number} seconds */
function argumentsOf({ url, headers = {}, connections = 16, bodyBytes, script, state }, seconds) {
  const sent = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
  const file = bodyBytes === undefined ? script : postScript(state, bodyBytes);
  const scripted = file === undefined ? [] : ['-s', file];
  return ['-t1', `-c${connections}`, `-d${seconds}s`, '--timeout', '10s', '--latency', ...scripted, ...sent, url];
}

/** @param {string} state @param {number} bytes */
function postScript(state, bytes) {
  const file = join(state, `post-${bytes}.lua`);
  writeFileSync(file, `wrk.method = "POST"\nwrk.body = string.rep("x", ${bytes})\n`);
  return file;
}

/** @param {string} report @param {number} percent */
function percentile(report, percent) {
  const [, value = '', unit = ''] = report.match(new RegExp(`^ +${percent}% +([\\d.]+)(us|ms|s|m) *$`, 'm')) ?? [];
  return Number(value) * (MILLISECONDS[/** @type {keyof typeof MILLISECONDS} */ (unit)] ?? Number.NaN);
}
