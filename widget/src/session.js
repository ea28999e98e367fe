// Who is signed in, as the edge says it. Asked at the start until there is an answer, and again whenever something
// suggests a change.

import { backoffMs } from './backoff.js';

/** @typedef {import('./edge.js').SessionInfo} SessionInfo */

export class Session {
  #ask;
  #onAnswer;
  #onUnreachable;
  /** @type {AbortController | undefined} */
  #running;
  /** @type {Promise<SessionInfo | undefined> | undefined} */
  #pending;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #attempt = 0;
  #isKnown = false;

  /**
   * @param {(signal: AbortSignal) => Promise<SessionInfo>} ask
   * @param {(info: SessionInfo) => void} onAnswer
   * @param {() => void} onUnreachable
   */
  constructor(ask, onAnswer, onUnreachable) {
    this.#ask = ask;
    this.#onAnswer = onAnswer;
    this.#onUnreachable = onUnreachable;
  }

  connect() {
    this.#running = new AbortController();
    void this.check();
  }

  disconnect() {
    this.#running?.abort();
    this.#running = undefined;
    clearTimeout(this.#timer);
  }

  /**
   * Asks the edge; callers at the same time share the question.
   * @returns {Promise<SessionInfo | undefined>} undefined when there is no answer for now
   */
  check() {
    clearTimeout(this.#timer);
    this.#pending ??= this.#once().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #once() {
    const signal = this.#running?.signal;
    if (!signal) return undefined;
    try {
      const info = await this.#ask(signal);
      if (signal.aborted) return undefined;
      this.#isKnown = true;
      this.#onAnswer(info);
      return info;
    } catch {
      if (signal.aborted) return undefined;
      if (!this.#isKnown) {
        this.#timer = setTimeout(() => void this.check(), backoffMs(this.#attempt, Math.random));
        this.#attempt += 1;
        this.#onUnreachable();
      }
      return undefined;
    }
  }
}
