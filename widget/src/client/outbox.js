// Events that wait to be sent: a bounded queue in memory. One event is in flight at a time, in order, and all attempts
// at an event carry the same idempotency key.
//
// An event that fails alone must not hold up those behind it for ever. So after some answers that blame the event it is
// rejected. While the service says that it is unavailable, everything waits, but for no longer than the edge remembers
// idempotency keys.

import { backoffMs } from './backoff.js';
import { failure } from './request.js';

/**
 * @typedef {object} Outcome of an attempt
 * @property {string} [id] the event was accepted
 * @property {Error} [error] there was an answer, and it was none of success
 * @property {number} [blame] how much of MAX_BLAME that is; MAX_BLAME: the event is rejected
 * @property {number} [afterMs] delay that the server asked for
 *
 * @typedef {object} Entry
 * @property {import('./store.js').Unsent} event
 * @property {import('./types.js').User} user the author
 * @property {(accepted: { id: string }) => void} resolve
 * @property {(error: unknown) => void} reject
 *
 * @typedef {object} OutboxOptions
 * @property {(entry: Entry, signal: AbortSignal) => Promise<Outcome>} send
 * @property {() => number} [random]
 */

export const MAX_ENTRIES = 50;
/** One for each answer that blames the service: with the back-off these are about ten minutes. */
export const MAX_BLAME = 150;

/** @param {OutboxOptions} options */
export function createOutbox({ send, random }) {
  /** @type {Entry[]} */
  const entries = [];
  /** @type {AbortController | undefined} */
  let controller;
  let isDraining = false;
  /** @type {(() => void) | undefined} */
  let endWait;
  let isServerDelay = false;

  function connect() {
    controller ??= new AbortController();
    void drain(controller.signal);
  }

  function disconnect() {
    controller?.abort();
    controller = undefined;
    endWait?.();
  }

  /**
   * Empties the queue. Another user's events must not be sent in this one's name.
   * @param {Error} error
   */
  function clear(error) {
    disconnect();
    for (const { reject } of entries.splice(0)) reject(error);
  }

  /** @param {Entry} entry */
  function add(entry) {
    if (entries.length >= MAX_ENTRIES) return entry.reject(failure('full'));
    entries.push(entry);
    if (controller) void drain(controller.signal);
  }

  /**
   * Takes back an event that was not accepted yet.
   * @param {string} key
   */
  function cancel(key) {
    const index = entries.findIndex(({ event }) => event.key === key);
    if (!index) endWait?.();
    if (index >= 0) entries.splice(index, 1)[0]?.reject(failure('cancelled'));
  }

  /** @param {AbortSignal} connected */
  async function drain(connected) {
    if (isDraining) return;
    isDraining = true;
    let attempt = 0;
    let blamed = 0;
    for (let entry, last; !connected.aborted && (entry = entries[0]); last = entry) {
      if (entry !== last) attempt = blamed = 0;
      const { id, error, blame = 0, afterMs } = await send(entry, connected);
      // Cleared, cancelled or disconnected during the request: its outcome no longer matters.
      if (connected.aborted || entries[0] !== entry) continue;
      blamed += blame;
      if (id || blamed >= MAX_BLAME) {
        entries.shift();
        if (id) entry.resolve({ id });
        else entry.reject(error);
        continue;
      }
      await wait(afterMs ?? backoffMs(attempt, random), afterMs !== undefined);
      attempt += 1;
    }
    isDraining = false;
    // Reconnected while this run was ending.
    if (controller && controller.signal !== connected) void drain(controller.signal);
  }

  /**
   * @param {number} delayMs
   * @param {boolean} isDemanded
   */
  async function wait(delayMs, isDemanded) {
    isServerDelay = isDemanded;
    await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), delayMs);
      endWait = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
    endWait = undefined;
  }

  return {
    connect,
    clear,
    add,
    cancel,
    /** Ends the current wait, because the connection is back. A delay that the server asked for is kept. */
    retryNow: () => isServerDelay || endWait?.(),
  };
}
