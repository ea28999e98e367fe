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
 * @property {(accepted: { id: string }) => void} resolve
 * @property {(error: unknown) => void} reject
 * @property {AbortController} [controller] aborts its attempts
 *
 * @typedef {object} OutboxOptions
 * @property {(entry: Entry, signal: AbortSignal) => Promise<Outcome>} send
 * @property {() => number} [random]
 */

export const MAX_ENTRIES = 50;
/** The others are left for what the user sends now. */
const MAX_ADOPTED = 25;
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
  /** Called when an entry has left. @type {(() => void)[]} */
  const waiting = [];

  /** Resolves once there is room for an event that is taken over. @returns {Promise<void>} */
  async function room() {
    while (entries.length >= MAX_ADOPTED) await new Promise((resolve) => waiting.push(() => resolve(undefined)));
  }

  /**
   * @param {number} index
   * @param {number} [count]
   */
  function remove(index, count) {
    const removed = entries.splice(index, count ?? entries.length);
    for (const { controller: own } of removed) own?.abort();
    for (const wake of waiting.splice(0)) wake();
    return removed;
  }

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
   * Empties the queue, for good.
   * @param {Error} error
   */
  function clear(error) {
    disconnect();
    for (const { reject } of remove(0)) reject(error);
  }

  /** @param {Entry} entry */
  function add(entry) {
    if (entries.length >= MAX_ENTRIES) return entry.reject(failure('full'));
    entry.controller = new AbortController();
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
    if (index >= 0) remove(index, 1)[0]?.reject(failure('cancelled'));
  }

  /**
   * @param {Entry} entry
   * @param {AbortSignal} connected
   */
  const signalOf = (entry, connected) =>
    AbortSignal.any([connected, entry.controller?.signal].filter((one) => one !== undefined));

  /** @param {AbortSignal} connected */
  async function drain(connected) {
    if (isDraining) return;
    isDraining = true;
    let attempt = 0;
    let blamed = 0;
    for (let entry, last; !connected.aborted && (entry = entries[0]); last = entry) {
      if (entry !== last) attempt = blamed = 0;
      const { id, error, blame = 0, afterMs } = await send(entry, signalOf(entry, connected));
      // Cleared, cancelled or disconnected during the request: its outcome no longer matters.
      if (connected.aborted || entries[0] !== entry) continue;
      blamed += blame;
      if (id || blamed >= MAX_BLAME) {
        remove(0, 1);
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
    room,
    /** Ends the current wait, because the connection is back. A delay that the server asked for is kept. */
    retryNow: () => isServerDelay || endWait?.(),
  };
}
