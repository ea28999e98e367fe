// What tabs.js needs of the browser. Where a page gets no locks or channels, as in old browsers, without TLS and in
// sandboxed frames, it is alone, and has a stream of its own.

import { createStream } from './stream.js';

/**
 * @typedef {object} Surroundings
 * @property {Pick<LockManager, 'request'>} locks
 * @property {(name: string) => BroadcastChannel} openChannel
 * @property {typeof createStream} openStream
 * @property {(ms: number, callback: () => void) => () => void} every repeats a call, until what it returns is called
 * @property {() => number} now
 * @property {EventTarget} page
 * @property {Document} document
 */

/** Grants every request at once. @type {any} */
const ALONE = {
  request: async (
    /** @type {string} */ _name,
    /** @type {unknown} */ _options,
    /** @type {() => unknown} */ callback,
  ) => callback(),
};

/** Reaches nobody. @type {any} */
const SILENT = { postMessage() {}, close() {} };

/** @returns {Surroundings} */
export function surroundings() {
  const common = { openStream: createStream, every, now: () => Date.now(), page: globalThis, document };
  const { locks } = navigator;
  try {
    openChannel('').close();
    if (locks) return { locks, openChannel, ...common };
  } catch {
    // The browser gives this page no channel.
  }
  return { locks: ALONE, openChannel: () => SILENT, ...common };
}

/** @param {string} name */
const openChannel = (name) => new BroadcastChannel(name);

/**
 * @param {number} ms
 * @param {() => void} callback
 */
function every(ms, callback) {
  const timer = setInterval(callback, ms);
  return () => clearInterval(timer);
}
