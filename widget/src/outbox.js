// What is still to be said: a bounded queue, one message in flight, in order, each under one idempotency key however
// often it is tried. It lives in memory; a persistent one has the same face.

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

export const MAX_WAITING = 50;

export class Outbox {
  #options;
  #random;
  /** @type {Entry[]} */
  #entries = [];
  /** @type {AbortController | undefined} */
  #running;
  #busy = false;
  /** @type {(() => void) | undefined} */
  #wake;
  #isAsked = false;

  /** @param {OutboxOptions} options */
  constructor(options) {
    this.#options = options;
    this.#random = options.random ?? Math.random;
  }

  connect() {
    this.#running ??= new AbortController();
    void this.#drain();
  }

  disconnect() {
    this.#running?.abort();
    this.#running = undefined;
    this.#wake?.();
  }

  clear() {
    this.#entries = [];
    this.#wake?.();
  }

  /**
   * @param {Entry} entry
   * @returns {boolean} false when too much waits already
   */
  add(entry) {
    if (this.#entries.length >= MAX_WAITING) return false;
    this.#entries.push(entry);
    void this.#drain();
    return true;
  }

  /** The connection is back: do not sit out a wait, unless the server asked for it. */
  wake() {
    if (!this.#isAsked) this.#wake?.();
  }

  async #drain() {
    const running = this.#running;
    if (this.#busy || !running) return;
    this.#busy = true;
    const { signal } = running;
    for (let attempt = 0, entry; !signal.aborted && (entry = this.#entries[0]);) {
      const outcome = await this.#options.send(entry.text, entry.key, signal);
      // Cleared or cut off meanwhile: the answer belongs to nobody any more.
      if (signal.aborted || this.#entries[0] !== entry) continue;
      if (outcome.kind === 'retry' || outcome.kind === 'denied') {
        // Whoever hears of it empties the outbox, if it is true.
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
    this.#busy = false;
    // Reconnected while the old run was ending.
    if (this.#running && this.#running !== running) void this.#drain();
  }

  /**
   * @param {number} ms
   * @param {boolean} isAsked by the server
   */
  async #wait(ms, isAsked) {
    this.#isAsked = isAsked;
    await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve(undefined);
      };
    });
    this.#wake = undefined;
  }
}
