// What every front end needs of the client: who is signed in, the live stream, events that are sent. It decides what a
// change in one part means for the others. Above all: nothing of one user is shown or sent in the session of another.
//
// It takes note of its page (address, visibility, network) and shows nothing.

import { backoffMs, retryAfterMs } from './backoff.js';
import { createFeed } from './feed.js';
import { arrival, endArrival } from './handoff.js';
import { MAX_BLAME, createOutbox } from './outbox.js';
import { failure, jsonOf, problemOf } from './request.js';
import { createStream } from './stream.js';

/**
 * @typedef {import('./types.js').SessionInfo} SessionInfo
 * @typedef {import('./feed.js').CausewayEvent} CausewayEvent
 *
 * @typedef {'connecting' | 'online' | 'reconnecting' | 'offline' | 'signed-out' | 'ended'} State
 *   signed-out: nobody is signed in; ended: a session ended that was not ended here
 *
 * @typedef {object} SubscribeOptions
 * @property {string[]} [channels] default: all
 * @property {(event: CausewayEvent, cursor: string) => void} [onEvent] an event, each once, in order
 * @property {(reason: string) => void} [onGap] events may be missing before the next one. `history` may have them
 * @property {(state: State) => void} [onState]
 * @property {(info: SessionInfo) => void} [onSession] whenever the edge has told who is signed in. If it is another
 *   user than before, what was shown must go; the new user's events come after this call
 * @property {(event: Unsent, sent: Promise<{ id: string }>) => void} [onUnsent] an event that an earlier page of the
 *   user could not send, and that is sent now
 * @property {ReturnType<typeof createFeed>} [feed] set by `subscribe`: what was heard. Subscribed again with the same
 *   options, a front end hears only what is new, or of a gap
 * @property {() => void} [onUnkept] the browser keeps no data: what waits to be sent is lost with the page
 *
 * @typedef {import('./store.js').Unsent} Unsent
 *
 * @typedef {{ channels: string[], options: SubscribeOptions, feed: ReturnType<typeof createFeed> }} Subscription
 *
 * @typedef {ReturnType<typeof createCore>} Core
 */

/** Blame of an answer such as 500, which may be due to the event itself: five of them reject it. */
const ANSWER_BLAME = 30;

/**
 * @param {string} origin of the edge
 * @param {import('./request.js').Request} request
 */
export function createCore(origin, request) {
  /** @type {Set<Subscription>} */
  const subscriptions = new Set();
  /** @type {State} */
  let state = 'connecting';
  /** The latest answer. @type {SessionInfo | undefined} */
  let known;
  /** Listens to the page while anyone is subscribed. @type {AbortController | undefined} */
  let watch;
  /** Keeps the user's unsent events. @type {Promise<import('./store.js').Store | void> | undefined} */
  let store;
  /** The latest check of the session. @type {Promise<SessionInfo | undefined> | undefined} */
  let checked;
  /** @type {AbortController | undefined} */
  let checking;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let checkTimer;
  let failedChecks = 0;
  /** Whether the edge has answered a check since someone subscribed. */
  let isAnswered = false;

  const stream = createStream({
    url: streamUrl,
    onState: setState,
    onSnapshot: () => each(({ feed }) => feed.snapshot()),
    onRecord: (cursor, event) => each(({ feed }) => feed.record(cursor, event)),
    onReset: (reason) => each(({ feed }) => feed.gap(reason)),
    onEnd: (reason) => reason === 'signed_out' && onSignedOut(),
    check,
  });
  const outbox = createOutbox({ send: post });

  /** @param {(subscription: Subscription) => void} callback */
  function each(callback) {
    for (const subscription of [...subscriptions]) callback(subscription);
  }

  function streamUrl() {
    const lists = [...subscriptions].map(({ channels }) => channels);
    // A stream that chooses no channel hears all.
    const names = lists.every(({ length }) => length) ? new Set(lists.flat()) : [];
    return `${origin}/stream?${new URLSearchParams([...names].map((name) => ['channel', name]))}`;
  }

  /** @param {State} next */
  function setState(next) {
    if (next === state) return;
    state = next;
    if (next === 'online') outbox.retryNow();
    each(({ options }) => options.onState?.(next));
  }

  /**
   * @param {SessionInfo} info
   * @param {boolean} [isSignOut] whether the user signed out
   */
  function onInfo(info, isSignOut) {
    const before = known?.user;
    known = info;
    const { user } = info;
    if (user?.id !== before?.id) {
      stream.disconnect();
      each(({ feed }) => feed.clear());
      outbox.clear(failure('user-changed'));
      void store?.then((kept) => kept?.close());
      store = undefined;
    }
    // A user who was signed in until now, and did not sign out on this page.
    if (!user) setState((before && !isSignOut) || state === 'ended' ? 'ended' : 'signed-out');
    each(({ options }) => options.onSession?.(info));
    if (!user) return;
    store ??= openStore(user).catch(() => each(({ options }) => options.onUnkept?.()));
    outbox.connect();
    if (subscriptions.size) stream.connect();
  }

  /**
   * Asks the edge who is signed in. A pending request may predate the change that prompted this one, so the new request
   * replaces it, and callers that wait for the old request get the new result.
   * @returns {Promise<SessionInfo | undefined>} undefined if the edge did not respond
   */
  function check() {
    endCheck();
    checking = new AbortController();
    return (checked = askWho(checking.signal));
  }

  function endCheck() {
    clearTimeout(checkTimer);
    checking?.abort();
    checked = undefined;
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<SessionInfo | undefined>}
   */
  async function askWho(signal) {
    const info = await fetchInfo(signal).catch(() => undefined);
    if (signal.aborted) return checked;
    if (info) {
      isAnswered = true;
      onInfo(info);
    } else if (watch && !isAnswered) {
      // The first check is repeated until the edge responds.
      checkTimer = setTimeout(() => void check(), backoffMs(failedChecks));
      failedChecks += 1;
      setState(navigator.onLine ? 'reconnecting' : 'offline');
    }
    return info;
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<SessionInfo>}
   */
  async function fetchInfo(signal) {
    const isRedeemed = arrival && (await (await import('./arrival.js')).arrive(origin, request, arrival));
    const info = await jsonOf(await request('/auth/session', {}, signal));
    // The session cookie has reached the edge, so the browser does not block it.
    if (info.authenticated) endArrival();
    else info.problem = isRedeemed ? 'blocked' : arrival?.problem;
    return info;
  }

  function onSignedOut() {
    // Its answer may be older.
    endCheck();
    onInfo({ authenticated: false, providers: known?.providers ?? [], handoff: known?.handoff }, true);
  }

  /** @param {import('./types.js').User} user */
  async function openStore(user) {
    const store = await import('./store.js');
    return store.openStore(`${origin} ${user.id}`, (event, expired) => {
      const sent = expired ?? enqueue(event, user);
      each(({ options }) => options.onUnsent?.(event, sent));
    });
  }

  /**
   * @param {import('./store.js').Unsent} event
   * @param {import('./types.js').User} user
   * @returns {Promise<{ id: string }>}
   */
  function enqueue(event, user) {
    const sent = new Promise((resolve, reject) => outbox.add({ event, user, resolve, reject }));
    void store?.then((open) => open?.keep(event, sent));
    return sent;
  }

  /**
   * @param {import('./outbox.js').Entry} entry
   * @param {AbortSignal} signal
   * @returns {Promise<import('./outbox.js').Outcome>}
   */
  async function post({ event, user }, signal) {
    const { channel, type, data, key } = event;
    // Another user may have signed in while there was no stream. The check then clears the outbox and aborts `signal`.
    if (state !== 'online' && !(await check())) return {};
    await (await store)?.mark(event);
    try {
      const response = await request(
        `/events/${encodeURIComponent(channel)}`,
        {
          method: 'POST',
          // The edge rejects the event in any other user's session.
          headers: { 'Content-Type': 'application/json', 'Idempotency-Key': key, 'X-Causeway-User': user.id },
          body: JSON.stringify({ type, data }),
        },
        signal,
      );
      const { ok, status, headers } = response;
      if (ok) return { id: (await response.json().catch(() => ({}))).id ?? key };
      // The session has ended, or is another user's.
      if (status === 401 || status === 409) void check();
      const isUnavailable = status === 503 || status === 429;
      const mayRepeat = status >= 500 || [401, 408, 409].includes(status);
      return {
        error: await problemOf(response),
        blame: isUnavailable ? 1 : mayRepeat ? ANSWER_BLAME : MAX_BLAME,
        afterMs: retryAfterMs(headers.get('Retry-After')),
      };
    } catch {
      return {};
    }
  }

  return {
    /** Origin of the edge. */
    origin,

    check,

    /** The edge's latest answer about who is signed in. */
    info: () => known,

    /**
     * Ends the session, and lets the browser sign out of the provider, too, if that is possible.
     * @returns {Promise<void>} rejects if the session may still exist
     */
    logout: async () => (await import('./departure.js')).logout(origin, request, onSignedOut),

    /**
     * Sends an event, again and again until it is accepted or rejected, and after those that wait already.
     * @param {string} channel
     * @param {string} type
     * @param {unknown} data
     * @param {string} [key] idempotency key
     * @returns {Promise<{ id: string }>} once Kafka has it. Rejects if it is refused, fails again and again, is
     *   cancelled, or if the user changes
     */
    async send(channel, type, data, key = crypto.randomUUID()) {
      const user = (known ?? (await check()))?.user;
      if (!user) throw failure('signed-out');
      return enqueue({ key, channel, type, data, addedAt: Date.now() }, user);
    },

    cancel: outbox.cancel,

    /**
     * Hears the user's events, as long as anyone is signed in.
     * @param {SubscribeOptions} options
     * @returns {() => void} ends it; safe to call again
     */
    subscribe(options) {
      const { channels = [], onEvent, onGap, onState, onSession } = options;
      const feed = (options.feed ??= createFeed(channels, onEvent, onGap));
      const subscription = { channels, options, feed };
      subscriptions.add(subscription);
      // Not at once: whoever subscribes is not ready before this returns.
      queueMicrotask(() => {
        if (!subscriptions.has(subscription)) return;
        onState?.(state);
        if (isAnswered && known) onSession?.(known);
      });
      if (watch) {
        stream.reopen();
      } else {
        const { signal } = (watch = new AbortController());
        // The user may have signed in, signed out or switched accounts in another window.
        const recheck = () => document.hidden || void check();
        document.addEventListener('visibilitychange', recheck, { signal });
        addEventListener('focus', recheck, { signal });
        void check();
      }
      return () => {
        if (!subscriptions.delete(subscription) || subscriptions.size) return;
        watch?.abort();
        watch = undefined;
        isAnswered = false;
        endCheck();
        stream.disconnect();
        state = 'connecting';
      };
    },
  };
}
