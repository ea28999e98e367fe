// A process that holds event streams for another one, as the open files of a process are limited. It takes messages of
// StreamProcess in streams.mjs, and ends with the process that started it.

import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { inBatches } from './batch.mjs';
import { Listener } from './listener.mjs';

/** Opened at once. */
const BATCH = 25;
const PATIENCE_MS = 15_000;

/** @typedef {{ url: string, headers: Record<string, string> }} Stream */
/** @typedef {{ open: Stream[] } | { count: true }} Order */
/** @typedef {{ alive: number, failure?: string }} Report */

/** @type {Listener[]} */
const listeners = [];

process.on('message', (/** @type {Order} */ order) => {
  const done = 'open' in order ? openAll(order.open) : Promise.resolve('');
  void done.then((failure) => {
    const alive = listeners.filter((listener) => listener.isOpen).length;
    process.send?.(/** @type {Report} */ ({ alive, ...(failure && { failure }) }));
  });
});
await once(process, 'disconnect');
process.exit();

/** Opens streams until one cannot be opened. @param {readonly Stream[]} streams @returns {Promise<string>} why not */
async function openAll(streams) {
  const added = streams.map(({ url, headers }) => new Listener(new URL(url), headers));
  listeners.push(...added);
  try {
    await inBatches(added, BATCH, (listener) => Promise.race([listener.open(() => {}), tooLate()]));
    return '';
  } catch (error) {
    return /** @type {Error} */ (error).message;
  }
}

async function tooLate() {
  await delay(PATIENCE_MS, undefined, { ref: false });
  throw new Error(`no answer within ${PATIENCE_MS / 1000} s`);
}
