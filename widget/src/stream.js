// The server-sent events of one user: opens the EventSource, keeps it open, says how it fares.
//
// EventSource resumes by itself with its last id. When it gives up (any answer but 200), or fails again and again,
// it is replaced after a jittered wait; a new one begins with a snapshot, so nothing is missed and repeats must be
// harmless. Keep-alive comments are invisible to a page, so a connection that died in its sleep looks alive:
// whatever suggests sleep or another network opens a new one.

import { backoffMs } from './backoff.js';

/**
 * @typedef {'connecting' | 'online' | 'reconnecting' | 'offline'} StreamState
 *
 * @typedef {object} StreamOptions
 * @property {string} url
 * @property {(state: StreamState) => void} onState
 * @property {() => void} onSnapshot a new stream begins with its snapshot
 * @property {(cursor: string, event: unknown) => void} onRecord
 * @property {() => void} onReset history before what follows is incomplete
 * @property {(reason: string) => void} onEnd terminal: do not come back with this session
 * @property {() => Promise<boolean>} mayReopen asked before a stream that was refused is tried again
 */

// Planned rotation resumes within this; nobody needs to hear of it.
const GRACE_MS = 3_000;
// EventSource retries at a fixed pace for ever; after so many failures in a row our back-off takes over.
const MAX_FAILURES = 3;
const TICK_MS = 15_000;
// Browsers slow the timers of hidden pages to one a minute; a longer silence means the machine slept.
const SLEPT_MS = 80_000;
const STALE_MS = 45_000;

export class Stream {
  #options;
  /** @type {EventSource | undefined} */
  #source;
  /** @type {AbortController | undefined} */
  #running;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #reopening;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #grace;
  #failures = 0;
  #attempt = 0;
  #activeAt = 0;
  #hiddenAt = 0;

  /** @param {StreamOptions} options */
  constructor(options) {
    this.#options = options;
  }

  connect() {
    if (this.#running) return;
    this.#running = new AbortController();
    const { signal } = this.#running;
    const ticker = this.#watchSleep();
    signal.addEventListener('abort', () => clearInterval(ticker));
    addEventListener('online', () => this.#open(), { signal });
    addEventListener('offline', () => this.#options.onState('offline'), { signal });
    // An open connection keeps a page out of the back/forward cache.
    addEventListener('pagehide', () => this.#close(), { signal });
    addEventListener('pageshow', (event) => event.persisted && this.#open(), { signal });
    document.addEventListener('visibilitychange', () => this.#onVisibility(), { signal });
    this.#options.onState('connecting');
    this.#open();
  }

  disconnect() {
    this.#running?.abort();
    this.#running = undefined;
    this.#failures = this.#attempt = 0;
    this.#close();
    this.#endGrace();
  }

  #close() {
    clearTimeout(this.#reopening);
    this.#source?.close();
    this.#source = undefined;
  }

  #open() {
    this.#close();
    this.#options.onSnapshot();
    const source = new EventSource(this.#options.url, { withCredentials: true });
    this.#source = source;
    source.onopen = () => {
      this.#failures = this.#attempt = 0;
      this.#activeAt = Date.now();
      this.#endGrace();
      this.#options.onState('online');
    };
    source.onmessage = ({ lastEventId, data }) => {
      this.#activeAt = Date.now();
      this.#options.onRecord(lastEventId, parse(data));
    };
    source.addEventListener('reset', () => this.#options.onReset());
    source.addEventListener('end', ({ data }) => {
      this.disconnect();
      this.#options.onEnd(String(Object(parse(data)).reason));
    });
    source.onerror = () => this.#onError(source);
  }

  /** @param {EventSource} source */
  #onError(source) {
    this.#failures += 1;
    this.#grace ??= setTimeout(() => this.#options.onState(navigator.onLine ? 'reconnecting' : 'offline'), GRACE_MS);
    if (source.readyState !== EventSource.CLOSED && this.#failures < MAX_FAILURES) return;
    source.close();
    this.#reopening = setTimeout(() => void this.#reopen(source), backoffMs(this.#attempt, Math.random));
    this.#attempt += 1;
  }

  /** @param {EventSource} source */
  async #reopen(source) {
    const go = await this.#options.mayReopen();
    // Signed out, unmounted, or replaced while asking: then this is no longer the source.
    if (go && this.#source === source) this.#open();
  }

  #endGrace() {
    clearTimeout(this.#grace);
    this.#grace = undefined;
  }

  #watchSleep() {
    let last = Date.now();
    return setInterval(() => {
      const now = Date.now();
      if (now - last > SLEPT_MS) this.#refresh(now);
      last = now;
    }, TICK_MS);
  }

  #onVisibility() {
    const now = Date.now();
    if (document.hidden) this.#hiddenAt = now;
    else if (now - this.#hiddenAt > SLEPT_MS || this.#source?.readyState !== EventSource.OPEN) this.#refresh(now);
  }

  /** @param {number} now */
  #refresh(now) {
    if (this.#source?.readyState !== EventSource.OPEN || now - this.#activeAt > STALE_MS) this.#open();
  }
}

/**
 * @param {string} text
 * @returns {unknown}
 */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
