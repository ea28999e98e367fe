// What a process does, sampled by Linux's perf: the time that it has a processor, outside of the kernel.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { add, call } from '../report/flame.mjs';

const run = promisify(execFile);
/** Samples a second of a busy processor. A prime, so that no timer of the program keeps in step. */
const PER_SECOND = 997;

/**
 * Samples a process while a load runs.
 * @template T @param {number} pid @param {string} folder @param {() => Promise<T>} load
 * @returns {Promise<{ calls: import('../report/flame.mjs').Call, loaded: T }>}
 */
export async function sampled(pid, folder, load) {
  const file = join(folder, 'perf.data');
  const options = ['-q', '-e', 'cpu-clock:u', '-F', String(PER_SECOND), '--call-graph', 'fp'];
  const perf = spawn('perf', ['record', ...options, '-p', String(pid), '-o', file], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(perf, 'exit');
  const loaded = await Promise.race([load(), ended.then(() => undefined)]);
  if (loaded === undefined) throw new Error('perf ended before the load did');
  perf.kill('SIGINT');
  await ended;
  const calls = await callsOf(file);
  rmSync(file, { force: true });
  return { calls, loaded };
}

/** Whether perf is there. */
export const perfIsInstalled = () =>
  run('perf', ['--version']).then(
    () => true,
    () => false,
  );

/** @param {string} file */
async function callsOf(file) {
  const script = spawn('perf', ['script', '-i', file, '-F', 'comm,ip,sym'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const root = call('all');
  /** The functions of a sample, the innermost first. @type {string[]} */
  let stack = [];
  for await (const line of createInterface({ input: script.stdout })) {
    const frame = /^\s+[0-9a-f]+ (.+)$/.exec(line);
    if (frame) stack.push(named(frame[1] ?? ''));
    else if (line === '' && stack.length) {
      add(root, stack.reverse(), 1);
      stack = [];
    }
  }
  if (!root.whole) throw new Error('perf has no sample: it may not be allowed to sample here');
  return root;
}

/** A function's name without what compilers add to it. @param {string} symbol */
const named = (symbol) => symbol.replace(/^wasm\[\d+\]::function\[\d+\]:?:?/, 'wasm ').replace(/::h[0-9a-f]{16}$/, '');
