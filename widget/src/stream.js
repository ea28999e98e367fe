// The server-sent events of one user: opens the EventSource, keeps it open, says how it fares.
//
// EventSource resumes by itself with its last id. When it gives up (any answer but 200), or fails again and again,
// it is replaced after a jittered wait; a new one begins with a snapshot, so nothing is missed and repeats must be
// harmless. Keep-alive comments are invisible to a page, so a connection that died in its sleep looks alive:
// whatever suggests sleep or another network opens a new one.
//
// The session cookie decides whose stream it is, and another window may have changed it: what a stream says after it
// was interrupted is held back until it is known who is signed in.

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
 * @property {(reason: unknown) => void} onEnd the session it was opened in is over
 * @property {() => Promise<unknown>} check asks who is signed in, and disconnects this stream if that is nobody or
 *   somebody else; falsy when there is no answer for now
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
  /** Whether the session was asked for just now. */
  #isFresh = false;
  /** What came while the session is asked for. @type {(() => void)[] | undefined} */
  #held;
  #failures = 0;
  #attempt = 0;
  #activeAt = 0;

  /** @param {StreamOptions} options */
  constructor(options) {
    this.#options = options;
  }

  connect() {
    if (this.#running) return;
    this.#isFresh = true;
    this.#running = new AbortController();
    const { signal } = this.#running;
    const ticker = this.#watchSleep();
    signal.addEventListener('abort', () => clearInterval(ticker));
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
    this.#running?.abort();
    this.#running = undefined;
    this.#failures = this.#attempt = 0;
    this.#close();
    this.#endGrace();
  }

  get #isOpen() {
    return this.#source?.readyState === EventSource.OPEN;
  }

  #close() {
    clearTimeout(this.#reopening);
    this.#source?.close();
    this.#source = undefined;
  }

  #open() {
    this.#close();
    this.#held = undefined;
    this.#options.onSnapshot();
    const source = new EventSource(this.#options.url, { withCredentials: true });
    this.#source = source;
    source.onopen = () => {
      this.#activeAt = Date.now();
      if (this.#isFresh) this.#accept();
      else this.#verify(source);
      this.#isFresh = false;
    };
    source.onmessage = ({ lastEventId, data }) => {
      this.#activeAt = Date.now();
      this.#show(() => this.#options.onRecord(lastEventId, parse(data)));
    };
    source.addEventListener('reset', () => {
      this.#verify(source);
      this.#show(this.#options.onReset);
    });
    source.addEventListener('end', ({ data }) => {
      source.close();
      this.#options.onEnd(parse(data)?.reason);
      // The same user may have signed in anew.
      void this.#check(source, () => this.#giveUp(source));
    });
    source.onerror = () => {
      this.#isFresh = false;
      this.#failures += 1;
      this.#startGrace();
      if (source.readyState === EventSource.CLOSED || this.#failures >= MAX_FAILURES) this.#giveUp(source);
    };
  }

  /** @param {() => void} show */
  #show(show) {
    if (this.#held) this.#held.push(show);
    else show();
  }

  /** @param {EventSource} source */
  #verify(source) {
    this.#held ??= [];
    void this.#check(source, () => this.#accept());
  }

  #accept() {
    // Broken again meanwhile: its next opening asks again.
    if (!this.#isOpen) return;
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#failures = this.#attempt = 0;
    this.#endGrace();
    this.#options.onState('online');
    for (const show of held) show();
  }

  /**
   * @param {EventSource} source
   * @param {() => void} next
   */
  async #check(source, next) {
    const isKnown = await this.#options.check();
    // Signed out, unmounted, or replaced while asking.
    if (source !== this.#source) return;
    if (isKnown) next();
    else this.#giveUp(source);
  }

  /** @param {EventSource} source */
  #giveUp(source) {
    source.close();
    this.#startGrace();
    clearTimeout(this.#reopening);
    this.#reopening = setTimeout(
      () => void this.#check(source, () => this.#open()),
      backoffMs(this.#attempt, Math.random),
    );
    this.#attempt += 1;
  }

  #startGrace() {
    this.#grace ??= setTimeout(() => this.#options.onState(navigator.onLine ? 'reconnecting' : 'offline'), GRACE_MS);
  }

  #endGrace() {
    clearTimeout(this.#grace);
    this.#grace = undefined;
  }

  #watchSleep() {
    let last = Date.now();
    return setInterval(() => {
      const now = Date.now();
      if (now - last > SLEPT_MS && now - this.#activeAt > STALE_MS) this.#open();
      last = now;
    }, TICK_MS);
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
