// Who is signed in, according to the edge. The first check is repeated until the edge responds; later checks are made
// whenever the user may have changed.

import { backoffMs } from './backoff.js';

/** @typedef {import('./edge.js').SessionInfo} SessionInfo */

export class Session {
  #fetch;
  #onInfo;
  #onUnreachable;
  /** @type {AbortController | undefined} */
  #controller;
  /** @type {Promise<SessionInfo | undefined> | undefined} */
  #latest;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #attempt = 0;
  #isKnown = false;

  /**
   * @param {(signal: AbortSignal) => Promise<SessionInfo | undefined>} fetch
   * @param {(info: SessionInfo) => void} onInfo
   * @param {() => void} onUnreachable
   */
  constructor(fetch, onInfo, onUnreachable) {
    this.#fetch = fetch;
    this.#onInfo = onInfo;
    this.#onUnreachable = onUnreachable;
  }

  disconnect() {
    clearTimeout(this.#timer);
    this.#controller?.abort();
    this.#latest = undefined;
  }

  /**
   * Asks the edge who is signed in. A pending request may predate the change that prompted this one, so the new request
   * replaces it, and callers that wait for the old request get the new result.
   * @returns {Promise<SessionInfo | undefined>} undefined if the edge did not respond
   */
  check() {
    this.disconnect();
    this.#controller = new AbortController();
    return (this.#latest = this.#request(this.#controller.signal));
  }

  /** @param {AbortSignal} signal */
  async #request(signal) {
    const info = await this.#fetch(signal).catch(() => undefined);
    if (signal.aborted) return this.#latest;
    if (info) {
      this.#isKnown = true;
      this.#onInfo(info);
    } else if (!this.#isKnown) {
      this.#timer = setTimeout(() => void this.check(), backoffMs(this.#attempt, Math.random));
      this.#attempt += 1;
      this.#onUnreachable();
    }
    return info;
  }
}
