// The server-sent events of one user: opens the EventSource, keeps it open and reports its state.
//
// EventSource resumes by itself with its last id. When it gives up (on any status but 200) or keeps failing, it is
// replaced after a jittered wait. A new one starts with a snapshot, so nothing is missed, but records repeat.
//
// Keep-alive comments are invisible to a page, so a connection that was lost while the machine slept looks open. Any
// sign of sleep or of a change of network therefore opens a new one.
//
// The session cookie decides whose stream it is, and another window may have replaced it. After an interruption,
// records are buffered until it is known who is signed in.

import { backoffMs } from './backoff.js';

/**
 * @typedef {'connecting' | 'online' | 'reconnecting' | 'offline'} StreamState
 *
 * @typedef {object} StreamOptions
 * @property {string} url
 * @property {(state: StreamState) => void} onState
 * @property {() => void} onSnapshot a new stream starts, with a snapshot
 * @property {(cursor: string, event: unknown) => void} onRecord
 * @property {() => void} onReset records may be missing before the next one
 * @property {(reason: unknown) => void} onEnd the session of the stream has ended
 * @property {() => Promise<unknown>} check asks the edge who is signed in, and disconnects this stream if the user has
 *   changed or signed out; falsy if the edge did not respond
 */

// A planned rotation resumes within this time and is not reported.
const GRACE_MS = 3_000;
// EventSource retries for ever at a fixed interval. After this many failures in a row, our back-off takes over.
const MAX_FAILURES = 3;
const SLEEP_CHECK_MS = 15_000;
// Browsers slow the timers of hidden pages down to one a minute. A longer pause means that the machine slept.
const MIN_SLEEP_MS = 80_000;
const STALE_MS = 45_000;

export class Stream {
  #options;
  /** @type {EventSource | undefined} */
  #source;
  /** @type {AbortController | undefined} */
  #controller;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #reopenTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #graceTimer;
  /** Whether the session was checked just before this connection was opened. */
  #isUserKnown = false;
  /** Records that arrived while the session is being checked. @type {(() => void)[] | undefined} */
  #buffer;
  #failures = 0;
  #attempt = 0;
  #lastActiveMs = 0;

  /** @param {StreamOptions} options */
  constructor(options) {
    this.#options = options;
  }

  connect() {
    if (this.#controller) return;
    this.#isUserKnown = true;
    this.#controller = new AbortController();
    const { signal } = this.#controller;
    const sleepTimer = this.#watchSleep();
    signal.addEventListener('abort', () => clearInterval(sleepTimer));
    addEventListener('online', () => this.#open(), { signal });
    addEventListener('offline', () => this.#options.onState('offline'), { signal });
    // An open connection keeps a page out of the back/forward cache.
    addEventListener('pagehide', () => this.#close(), { signal });
    addEventListener('pageshow', (event) => event.persisted && this.#open(), { signal });
    document.addEventListener('visibilitychange', () => document.hidden || this.#isOpen || this.#open(), { signal });
    this.#options.onState('connecting');
    this.#open();
  }

  disconnect() {
    this.#controller?.abort();
    this.#controller = undefined;
    this.#failures = this.#attempt = 0;
    this.#close();
    this.#endGrace();
  }

  get #isOpen() {
    return this.#source?.readyState === EventSource.OPEN;
  }

  #close() {
    clearTimeout(this.#reopenTimer);
    this.#source?.close();
    this.#source = undefined;
  }

  #open() {
    this.#close();
    this.#buffer = undefined;
    this.#options.onSnapshot();
    const source = new EventSource(this.#options.url, { withCredentials: true });
    this.#source = source;
    source.onopen = () => {
      this.#lastActiveMs = Date.now();
      if (this.#isUserKnown) this.#goOnline();
      else this.#checkUser(source);
      this.#isUserKnown = false;
    };
    source.onmessage = ({ lastEventId, data }) => {
      this.#lastActiveMs = Date.now();
      this.#deliver(() => this.#options.onRecord(lastEventId, parse(data)));
    };
    source.addEventListener('reset', () => {
      this.#checkUser(source);
      this.#deliver(this.#options.onReset);
    });
    source.addEventListener('end', ({ data }) => {
      source.close();
      this.#options.onEnd(parse(data)?.reason);
      // The same user may have signed in again.
      void this.#check(source, () => this.#reopenLater(source));
    });
    source.onerror = () => {
      this.#isUserKnown = false;
      this.#failures += 1;
      this.#startGrace();
      if (source.readyState === EventSource.CLOSED || this.#failures >= MAX_FAILURES) this.#reopenLater(source);
    };
  }

  /** @param {() => void} callback */
  #deliver(callback) {
    if (this.#buffer) this.#buffer.push(callback);
    else callback();
  }

  /** @param {EventSource} source */
  #checkUser(source) {
    this.#buffer ??= [];
    void this.#check(source, () => this.#goOnline());
  }

  #goOnline() {
    // Interrupted again: its next opening checks again.
    if (!this.#isOpen) return;
    const buffer = this.#buffer ?? [];
    this.#buffer = undefined;
    this.#failures = this.#attempt = 0;
    this.#endGrace();
    this.#options.onState('online');
    for (const callback of buffer) callback();
  }

  /**
   * @param {EventSource} source
   * @param {() => void} next
   */
  async #check(source, next) {
    const isAnswered = await this.#options.check();
    // Signed out, unmounted or replaced during the check.
    if (source !== this.#source) return;
    if (isAnswered) next();
    else this.#reopenLater(source);
  }

  /** @param {EventSource} source */
  #reopenLater(source) {
    source.close();
    this.#startGrace();
    clearTimeout(this.#reopenTimer);
    this.#reopenTimer = setTimeout(
      () => void this.#check(source, () => this.#open()),
      backoffMs(this.#attempt, Math.random),
    );
    this.#attempt += 1;
  }

  #startGrace() {
    this.#graceTimer ??= setTimeout(
      () => this.#options.onState(navigator.onLine ? 'reconnecting' : 'offline'),
      GRACE_MS,
    );
  }

  #endGrace() {
    clearTimeout(this.#graceTimer);
    this.#graceTimer = undefined;
  }

  #watchSleep() {
    let last = Date.now();
    return setInterval(() => {
      const now = Date.now();
      if (now - last > MIN_SLEEP_MS && now - this.#lastActiveMs > STALE_MS) this.#open();
      last = now;
    }, SLEEP_CHECK_MS);
  }
}

/**
 * @param {string} text
 * @returns {any}
 */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
