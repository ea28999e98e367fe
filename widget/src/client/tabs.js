// One stream for all tabs of a user, and for all clients of a page: the leader has it, and hands on what it hears.
// Loaded once somebody is signed in. A bundle of its own, so names of what it gets and gives are not shortened.
//
// A lock chooses the leader. The browser frees it when its tab is closed or has crashed, and gives it to one that
// waits; or a tab takes it whose questions the leader does not answer. The new leader's stream goes on after what it
// has heard. Whoever joins takes the lock at once, as does whoever missed something: their stream begins with a
// snapshot, in which all others find what they have heard.
//
// The names of lock and channel hold the user, and a tab leaves them as soon as it knows of another one. A tab that
// takes over asks who is signed in before it hands on anything.

import { createHeartbeat } from './heartbeat.js';
import { surroundings } from './surroundings.js';

/**
 * @typedef {import('./surroundings.js').Surroundings} Surroundings
 *
 * @typedef {[from: string, number: number | undefined, what: string, a?: any, b?: any]} Message from: a leader's term;
 *   number: counts its messages. Those that have none may come from any tab
 */

/** Tabs with another version of these messages have a stream of their own. */
const PROTOCOL = 'causeway-stream-1';
/** Terms that are remembered. More than one is heard while they change. */
const MAX_TERMS = 8;
/** Positions that are remembered. A new leader has heard a little more than the others, or less. */
const MAX_CURSORS = 256;
const AWAY = 'away';
/** A message that is older was held up, in a tab that was suspended. */
const FRESH_MS = 5_000;

/**
 * Hears a user's stream until it is aborted, by whichever tab.
 * @param {string} url of the stream. Tabs that choose other channels have another one
 * @param {string} user id
 * @param {boolean} isNew whether the user was asked for just now, and nothing was heard before
 * @param {AbortSignal} signal with the reason `signed-out` or `user-changed`, the other tabs are told
 * @param {() => Promise<unknown>} check asks the edge who is signed in, and aborts `signal` if it is another user, or
 *   nobody
 * @param {(state: import('./stream.js').StreamState) => void} onState
 * @param {() => void} onSnapshot a new stream starts, with a snapshot
 * @param {(cursor: string, event: unknown) => void} onRecord repeats are possible
 * @param {(reason: string) => void} onReset records may be missing before the next one
 * @param {(reason: unknown) => void} onEnd the session of the stream has ended. `away`: this page could not hear if it
 *   does, as from now on it does not run
 * @param {Surroundings} [given]
 */
export function listen(
  url,
  user,
  isNew,
  signal,
  check,
  onState,
  onSnapshot,
  onRecord,
  onReset,
  onEnd,
  given = surroundings(),
) {
  const { locks, openChannel, openStream, every, now, page, document } = given;
  const name = `${PROTOCOL} ${url} ${user}`;
  /** @type {BroadcastChannel | undefined} */
  let channel;
  let term = '';
  let sent = 0;
  /** The position with which this tab's next stream begins. */
  let startsAfter = '';
  let isLeading = false;
  let isFollowing = false;
  let isFrozen = false;
  /** Whether others have heard what this tab has not. */
  let isBehind = false;
  /** Positions of the latest records. @type {Set<string>} */
  const cursors = new Set();
  /** The last one. A stream goes on after it; empty: it begins with a snapshot. */
  let cursor = '';
  let endToldMs = -Infinity;
  /**
   * Leaders: the number of their next message, and whether it begins a snapshot. Another leader's latest events may
   * come in between, so a snapshot begins with its first event, not before.
   * @type {Map<string, { next: number, isSnapshot: boolean }>}
   */
  const terms = new Map();
  /** Gives up the lead, or the wait for it. */
  let release = () => {};

  const heartbeat = createHeartbeat({ openChannel: () => openChannel(`${name} ?`), every, now, document }, () =>
    claim(true),
  );
  const stream = openStream({
    url,
    startAfter: (goesOn) => {
      // A snapshot that never came is asked for again: what it would have shown may be missing.
      const position = goesOn && !of(term).isSnapshot ? cursor : startsAfter;
      if (position) hear('resume', position);
      else hear('snapshot');
      // If it fails, the next one begins with a snapshot.
      startsAfter = '';
      return position;
    },
    check,
    onState: (state) => {
      tell('state', state);
      onState(state);
    },
    onRecord: (position, event) => hear('record', position, event),
    onReset: (reason, position) => hear('reset', position, reason),
    onEnd: (reason) => {
      tellEnd(reason);
      onEnd(reason);
    },
  });

  /**
   * @param {string} what
   * @param {any} [a]
   * @param {any} [b]
   */
  function tell(what, a, b) {
    channel?.postMessage([term, sent, what, a, b]);
    sent += 1;
  }

  /**
   * From this tab's own stream.
   * @param {string} what
   * @param {any} [a]
   * @param {any} [b]
   */
  function hear(what, a, b) {
    tell(what, a, b);
    heed(of(term), what, a, b);
  }

  /** @param {string} from a leader's term */
  function of(from) {
    const known = terms.get(from) ?? { next: 0, isSnapshot: false };
    terms.delete(from);
    terms.set(from, known);
    if (terms.size > MAX_TERMS) terms.delete(/** @type {string} */ (terms.keys().next().value));
    return known;
  }

  /**
   * @param {{ isSnapshot: boolean }} from
   * @param {string} what
   * @param {any} a
   * @param {any} b
   */
  function heed(from, what, a, b) {
    if (what === 'state' && !isLeading) onState(a);
    if (what === 'snapshot') from.isSnapshot = true;
    if (what !== 'record' && what !== 'reset') return;
    if (from.isSnapshot) onSnapshot();
    from.isSnapshot = false;
    cursor = a;
    cursors.delete(a);
    cursors.add(a);
    if (cursors.size > MAX_CURSORS) cursors.delete(/** @type {string} */ (cursors.values().next().value));
    if (what === 'record') onRecord(a, b);
    else onReset(b);
  }

  /** @param {unknown} reason why the session has ended */
  function tellEnd(reason) {
    endToldMs = now();
    channel?.postMessage([term, undefined, 'end', reason, endToldMs]);
  }

  /** @param {Message} message */
  function receive([from, number, what, a, b]) {
    if (number === undefined) {
      if (what === 'end') heedEnd(a, b);
      return;
    }
    const leader = of(from);
    // If something is missing before this message, nothing of what follows is heard: it would be out of order.
    if (number !== leader.next || (what === 'resume' && !cursors.has(a))) {
      if (isFollowing || what === 'resume') isBehind = true;
      if (isFollowing) claim(true);
      return;
    }
    leader.next += 1;
    heed(leader, what, a, b);
  }

  /**
   * @param {unknown} reason
   * @param {number} toldMs
   */
  function heedEnd(reason, toldMs) {
    // All others have heard it, too.
    endToldMs = now();
    // The user may have signed in again since.
    const isFresh = now() - toldMs < FRESH_MS;
    onEnd(isFresh || reason !== 'signed_out' ? reason : 'revoked');
    if (reason !== 'signed_out' || !isFresh) void check();
  }

  /** Waits for the lead, or takes it from another tab. @param {boolean} [steal] */
  function claim(steal = false) {
    release();
    isFollowing = !steal;
    const ending = new AbortController();
    /** @type {Promise<void>} */
    const ended = new Promise((resolve) => ending.signal.addEventListener('abort', () => resolve()));
    release = () => {
      ending.abort();
      heartbeat.stop();
      isFollowing = false;
      if (!isLeading) return;
      isLeading = false;
      stream.disconnect();
    };
    if (isFollowing) heartbeat.watch();
    const begin = () => {
      if (ending.signal.aborted) return undefined;
      lead();
      return ended;
    };
    locks.request(name, steal ? { steal } : { signal: ending.signal }, begin).catch((error) => {
      if (ending.signal.aborted) return;
      // Another tab has taken it. Otherwise the browser grants this page no locks.
      if (error.name === 'AbortError') claim(isBehind);
      else if (!isLeading) lead();
    });
  }

  function lead() {
    isLeading = true;
    isFollowing = false;
    term = crypto.randomUUID();
    sent = 0;
    startsAfter = isBehind ? '' : cursor;
    isBehind = false;
    heartbeat.answer();
    stream.connect(isNew);
    isNew = false;
  }

  function join() {
    channel = openChannel(name);
    channel.onmessage = ({ data }) => Array.isArray(data) && receive(/** @type {Message} */ (data));
    isBehind = true;
    claim(true);
  }

  function leave() {
    release();
    channel?.close();
    channel = undefined;
  }

  signal.addEventListener('abort', () => {
    const isTold = now() - endToldMs < FRESH_MS;
    if (signal.reason === 'signed-out' && !isTold) tellEnd('signed_out');
    if (signal.reason === 'user-changed' && !isTold) tellEnd('');
    leave();
  });
  // A page that has a lock or a connection is not kept for the way back to it.
  page.addEventListener(
    'pagehide',
    () => {
      leave();
      onEnd(AWAY);
    },
    { signal },
  );
  page.addEventListener('pageshow', () => channel ?? join(), { signal });
  document.addEventListener(
    'freeze',
    () => {
      isFrozen = true;
      release();
      onEnd(AWAY);
    },
    { signal },
  );
  document.addEventListener(
    'resume',
    () => {
      // What the others have heard meanwhile comes now.
      if (isFrozen && channel) claim(isBehind);
      isFrozen = false;
    },
    { signal },
  );
  if (!signal.aborted) join();
}
