// The server-sent events of one user: opens the EventSource, keeps it open and reports its state. tabs.js decides which
// tab does so.
//
// EventSource resumes by itself with its last id. When it gives up (on any status but 200) or keeps failing, it is
// replaced after a jittered wait. A new one starts with a snapshot, so nothing is missed, but records repeat.
//
// A connection that is lost without a word looks open. The edge writes a sign of life (`ping`) at the beginning, and
// where nothing else is to be told, so silence, or any sign of sleep or of a change of network, opens a new one.
//
// The session cookie decides whose stream it is, and another window may have replaced it. After an interruption,
// records are buffered until it is known who is signed in.

import { backoffMs } from './backoff.js';

/**
 * @typedef {'online' | 'reconnecting' | 'offline'} StreamState
 *
 * @typedef {object} StreamOptions
 * @property {string} url
 * @property {(goesOn: boolean) => string} startAfter the position that a new stream goes on after. Empty: it begins
 *   with a snapshot. goesOn: it takes the place of one that fell silent
 * @property {(state: StreamState) => void} onState
 * @property {(cursor: string, event: unknown) => void} onRecord
 * @property {(reason: string, cursor: string) => void} onReset records may be missing before the next one
 * @property {(reason: unknown) => void} onEnd the session of the stream has ended
 * @property {() => Promise<unknown>} check asks the edge who is signed in, and disconnects this stream if the user has
 *   changed or signed out; falsy if the edge did not respond
 */

// A planned rotation resumes within this time and is not reported.
const GRACE_MS = 3_000;
// EventSource retries for ever at a fixed interval. After this many failures in a row, our back-off takes over.
const MAX_FAILURES = 3;
const CHECK_MS = 15_000;
// Browsers slow the timers of hidden pages down to one a minute. A longer pause means that the machine slept.
const MIN_SLEEP_MS = 80_000;
/** Three signs of life. */
const STALE_MS = 45_000;
/** Silence is allowed to last twice as long each time that a new stream falls silent at once, too. */
const MAX_STALE_MS = 360_000;
/** A stream that is heard after this time goes on. What comes before may be no more than its beginning. */
const BEGINNING_MS = 10_000;

/** @param {StreamOptions} options */
export function createStream({ url, startAfter, onState, onRecord, onReset, onEnd, check }) {
  /** @type {EventSource | undefined} */
  let source;
  /** @type {AbortController | undefined} */
  let controller;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let reopenTimer;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let graceTimer;
  /** Whether the session was checked just before this connection was opened. */
  let isUserKnown = false;
  /** Records that arrived while the session is being checked. @type {(() => void)[] | undefined} */
  let buffer;
  let failures = 0;
  let attempt = 0;
  let openedMs = 0;
  let lastActiveMs = 0;
  let staleMs = STALE_MS;

  const isOpen = () => source?.readyState === EventSource.OPEN;

  /** @param {boolean} isNew whether the user was asked for just now, and nothing was heard before */
  function connect(isNew) {
    if (controller) return;
    isUserKnown = isNew;
    controller = new AbortController();
    const { signal } = controller;
    const timer = watchSilence();
    signal.addEventListener('abort', () => clearInterval(timer));
    addEventListener('online', () => open(), { signal });
    addEventListener('offline', () => onState('offline'), { signal });
    document.addEventListener('visibilitychange', () => document.hidden || isOpen() || open(), { signal });
    // Another tab had a stream until now.
    if (!isNew) startGrace();
    open();
  }

  function disconnect() {
    controller?.abort();
    controller = undefined;
    failures = attempt = 0;
    close();
    endGrace();
  }

  function close() {
    clearTimeout(reopenTimer);
    source?.close();
    source = undefined;
  }

  function open(goesOn = false) {
    close();
    buffer = undefined;
    openedMs = lastActiveMs = Date.now();
    const position = startAfter(goesOn);
    const address = new URL(url);
    if (position) address.searchParams.set('last_event_id', position);
    const opened = (source = new EventSource(address, { withCredentials: true }));
    opened.onopen = () => {
      lastActiveMs = Date.now();
      if (isUserKnown) goOnline();
      else checkUser(opened);
      isUserKnown = false;
    };
    // The browser opens it again with the same query: the position there counts, although the edge no longer has it.
    let isPositionLost = false;
    opened.addEventListener('ping', hear);
    opened.onmessage = ({ lastEventId, data }) => {
      hear();
      isPositionLost = false;
      deliver(() => onRecord(lastEventId, parse(data)));
    };
    opened.addEventListener('reset', ({ lastEventId, data }) => {
      hear();
      isPositionLost = Boolean(position && !lastEventId);
      checkUser(opened);
      deliver(() => onReset(parse(data)?.reason, lastEventId));
    });
    opened.addEventListener('end', ({ data }) => {
      opened.close();
      onEnd(parse(data)?.reason);
      // The same user may have signed in again.
      void checkThen(opened, () => reopenLater(opened));
    });
    opened.onerror = () => {
      isUserKnown = false;
      failures += 1;
      startGrace();
      if (isPositionLost || opened.readyState === EventSource.CLOSED || failures >= MAX_FAILURES) reopenLater(opened);
    };
  }

  function hear() {
    lastActiveMs = Date.now();
    if (lastActiveMs - openedMs > BEGINNING_MS) staleMs = STALE_MS;
  }

  /** @param {() => void} callback */
  function deliver(callback) {
    if (buffer) buffer.push(callback);
    else callback();
  }

  /** @param {EventSource} opened */
  function checkUser(opened) {
    buffer ??= [];
    void checkThen(opened, goOnline);
  }

  function goOnline() {
    // Interrupted again: its next opening checks again.
    if (!isOpen()) return;
    const callbacks = buffer ?? [];
    buffer = undefined;
    failures = attempt = 0;
    endGrace();
    onState('online');
    for (const callback of callbacks) callback();
  }

  /**
   * @param {EventSource} opened
   * @param {() => void} next
   */
  async function checkThen(opened, next) {
    const isAnswered = await check();
    // Signed out, unmounted or replaced during the check.
    if (opened !== source) return;
    if (isAnswered) next();
    else reopenLater(opened);
  }

  /** @param {EventSource} opened */
  function reopenLater(opened) {
    opened.close();
    startGrace();
    clearTimeout(reopenTimer);
    reopenTimer = setTimeout(() => void checkThen(opened, () => open()), backoffMs(attempt));
    attempt += 1;
  }

  function startGrace() {
    graceTimer ??= setTimeout(() => onState(navigator.onLine ? 'reconnecting' : 'offline'), GRACE_MS);
  }

  function endGrace() {
    clearTimeout(graceTimer);
    graceTimer = undefined;
  }

  function watchSilence() {
    let last = Date.now();
    return setInterval(() => {
      const now = Date.now();
      const hasSlept = now - last > MIN_SLEEP_MS;
      last = now;
      if (hasSlept) staleMs = STALE_MS;
      if (source?.readyState === EventSource.CLOSED || now - lastActiveMs <= staleMs) return;
      staleMs = Math.min(2 * staleMs, MAX_STALE_MS);
      // The new one may hang as well.
      startGrace();
      isUserKnown = false;
      open(true);
    }, CHECK_MS);
  }

  return { connect, disconnect };
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
