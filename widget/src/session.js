// Who is signed in, as the edge says it. Asked at the start until there is an answer, and again whenever something
// suggests a change.

import { backoffMs } from './backoff.js';

/** @typedef {import('./edge.js').SessionInfo} SessionInfo */

export class Session {
  #ask;
  #onAnswer;
  #onUnreachable;
  /** @type {AbortController | undefined} */
  #question;
  /** @type {Promise<SessionInfo | undefined> | undefined} */
  #answer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #attempt = 0;
  #isKnown = false;

  /**
   * @param {(signal: AbortSignal) => Promise<SessionInfo | undefined>} ask
   * @param {(info: SessionInfo) => void} onAnswer
   * @param {() => void} onUnreachable
   */
  constructor(ask, onAnswer, onUnreachable) {
    this.#ask = ask;
    this.#onAnswer = onAnswer;
    this.#onUnreachable = onUnreachable;
  }

  disconnect() {
    clearTimeout(this.#timer);
    this.#question?.abort();
    this.#answer = undefined;
  }

  /**
   * Asks the edge. An answer that was under way may be from before the change that made somebody ask again, so the
   * new question takes the place of the old, and whoever waits for that hears the new answer.
   * @returns {Promise<SessionInfo | undefined>} undefined when there is no answer for now
   */
  check() {
    this.disconnect();
    this.#question = new AbortController();
    return (this.#answer = this.#once(this.#question.signal));
  }

  /** @param {AbortSignal} signal */
  async #once(signal) {
    const info = await this.#ask(signal).catch(() => undefined);
    if (signal.aborted) return this.#answer;
    if (info) {
      this.#isKnown = true;
      this.#onAnswer(info);
    } else if (!this.#isKnown) {
      this.#timer = setTimeout(() => void this.check(), backoffMs(this.#attempt, Math.random));
      this.#attempt += 1;
      this.#onUnreachable();
    }
    return info;
  }
}
