// Messages that wait to be sent: a bounded queue in memory. One message is in flight at a time, in order, and all
// attempts at a message carry the same idempotency key.

import { backoffMs } from './backoff.js';

/**
 * @typedef {{ key: string, text: string }} Entry
 *
 * @typedef {object} OutboxOptions
 * @property {(text: string, key: string, signal: AbortSignal) => Promise<import('./edge.js').Outcome>} send
 * @property {(key: string, id: string) => void} onAccepted
 * @property {(key: string, title?: string) => void} onRejected
 * @property {() => void} onDenied
 * @property {() => number} [random]
 */

export const MAX_ENTRIES = 50;

export class Outbox {
  #options;
  #random;
  /** @type {Entry[]} */
  #entries = [];
  /** @type {AbortController | undefined} */
  #controller;
  #isDraining = false;
  /** @type {(() => void) | undefined} */
  #endWait;
  #isServerDelay = false;

  /** @param {OutboxOptions} options */
  constructor(options) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  connect() {
    this.#controller ??= new AbortController();
    void this.#drain();
  }

  disconnect() {
    this.#controller?.abort();
    this.#controller = undefined;
    this.#endWait?.();
  }

  clear() {
    this.#entries = [];
    this.#endWait?.();
  }

  /**
   * @param {Entry} entry
   * @returns {boolean} false if the outbox is full
   */
  add(entry) {
    if (this.#entries.length >= MAX_ENTRIES) return false;
    this.#entries.push(entry);
    void this.#drain();
    return true;
  }

  /** Ends the current wait, because the connection is back. A delay that the server asked for is kept. */
  retryNow() {
    if (!this.#isServerDelay) this.#endWait?.();
  }

  async #drain() {
    const controller = this.#controller;
    if (this.#isDraining || !controller) return;
    this.#isDraining = true;
    const { signal } = controller;
    for (let attempt = 0, entry; !signal.aborted && (entry = this.#entries[0]);) {
      const outcome = await this.#options.send(entry.text, entry.key, signal);
      // Cleared or disconnected during the request: its outcome no longer matters.
      if (signal.aborted || this.#entries[0] !== entry) continue;
      if (outcome.kind === 'retry' || outcome.kind === 'denied') {
        // The owner checks the session, and clears the outbox if the user has changed.
        if (outcome.kind === 'denied') this.#options.onDenied();
        const afterMs = outcome.kind === 'retry' ? outcome.afterMs : undefined;
        await this.#wait(afterMs ?? backoffMs(attempt, this.#random), afterMs !== undefined);
        attempt += 1;
        continue;
      }
      attempt = 0;
      this.#entries.shift();
      if (outcome.kind === 'accepted') this.#options.onAccepted(entry.key, outcome.id);
      else this.#options.onRejected(entry.key, outcome.title);
    }
    this.#isDraining = false;
    // Reconnected while this run was ending.
    if (this.#controller && this.#controller !== controller) void this.#drain();
  }

  /**
   * @param {number} delayMs
   * @param {boolean} isServerDelay
   */
  async #wait(delayMs, isServerDelay) {
    this.#isServerDelay = isServerDelay;
    await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), delayMs);
      this.#endWait = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
    this.#endWait = undefined;
  }
}
