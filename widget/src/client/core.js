// What every front end needs of the client: who is signed in, the live stream, events that are sent. It decides what a
// change in one part means for the others. Above all: nothing of one user is shown or sent in the session of another.
//
// It takes note of its page (address, visibility, network) and shows nothing.

import { insist, load } from './bundle.js';
import { createFeed } from './feed.js';
import { createRequest, failure } from './request.js';
import { createSession } from './session.js';

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
 * @property {boolean} [isKept] whether what was heard is kept while a session has expired. The same user then hears
 *   only what is new
 * @property {(info: SessionInfo) => void} [onSession] whenever the edge has told who is signed in. If it is another
 *   user than before, what was shown must go; the new user's events come after this call
 * @property {(event: Unsent, sent: Promise<{ id: string }>, id: string) => void} [onUnsent] an event that the user
 *   could not send before the page was left, or before their session ended, and that is sent now; id: that of its echo
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

/** A stream that is opened later than this after the edge has told who is signed in needs a new answer. */
const MAX_LOAD_MS = 1_000;

/**
 * @param {string} origin of the edge
 * @param {import('./request.js').Request} [request] made here: minified, one of the caller's could keep what that knows
 */
export function createCore(origin, request = createRequest(origin)) {
  /** @type {Set<Subscription>} */
  const subscriptions = new Set();
  /** @type {State} */
  let state = 'connecting';
  /** The latest answer. @type {SessionInfo | undefined} */
  let known;
  /** Whose events are heard. @type {string | undefined} */
  let hearer;
  /** When their session expires. Never, if it was ended: what was shown must then go. */
  let endsMs = Infinity;
  /** Sends what the user sends. @type {Promise<import('./sender.js').Sender> | undefined} */
  let sender;
  /** Ends that, and the stream. @type {AbortController | undefined} */
  let ending;
  /** Ends the stream, while there is one. @type {AbortController | undefined} */
  let listening;
  /** Resolves once what should be deleted is. @type {Promise<void> | undefined} */
  let pruned;
  /** The first events wait for it together, so they keep their order. @type {Promise<unknown> | undefined} */
  let ready;
  const { check, hasAnswer, overrule, watch, unwatch } = createSession(origin, request, onInfo, onUnreachable);

  /** @param {(subscription: Subscription) => void} callback */
  function each(callback) {
    for (const subscription of [...subscriptions]) callback(subscription);
  }

  function streamUrl() {
    const lists = [...subscriptions].map(({ channels }) => channels);
    // A stream that chooses no channel hears all.
    const names = lists.every(({ length }) => length) ? new Set(lists.flat()) : [];
    // Sorted: tabs with the same address share a stream.
    return `${origin}/stream?${new URLSearchParams([...names].sort().map((name) => ['channel', name]))}`;
  }

  const loadTabs = () => load('./tabs.js', () => import('./tabs.js'));

  /**
   * Hears the user's stream, or hears it anew, from a snapshot on: what is heard has changed.
   * @param {import('./types.js').User} user
   * @param {boolean} isNew whether the user was asked for just now, and nothing was heard before
   */
  async function listen(user, isNew) {
    listening?.abort();
    listening = new AbortController();
    // There is a sender for every user.
    const { signal: userSignal } = /** @type {AbortController} */ (ending);
    const signal = AbortSignal.any([listening.signal, userSignal]);
    const begunMs = Date.now();
    if (isNew) setState('connecting');
    const bundle = await insist(loadTabs, signal, onUnreachable);
    bundle?.listen(
      streamUrl(),
      user.id,
      isNew && Date.now() - begunMs < MAX_LOAD_MS,
      signal,
      check,
      setState,
      () => each(({ feed }) => feed.snapshot()),
      (cursor, event) => each(({ feed }) => feed.record(cursor, event)),
      (reason) => each(({ feed }) => feed.gap(reason)),
      (reason) => {
        endsMs = reason === 'expired' ? 0 : Infinity;
        if (reason === 'signed_out') void onSignedOut();
      },
    );
  }

  /** @param {State} next */
  function setState(next) {
    if (next === state) return;
    state = next;
    if (next === 'online') sender?.then((opened) => opened.hurry()).catch(() => {});
    each(({ options }) => options.onState?.(next));
  }

  /**
   * @param {SessionInfo} info
   * @param {boolean} [isSignOut] whether the user signed out
   * @returns {Promise<void> | undefined} resolves once nothing of a user who signed out is kept
   */
  function onInfo(info, isSignOut) {
    const before = known?.user;
    const { user } = info;
    info.expired = !user && !isSignOut && Date.now() >= endsMs;
    if (!info.expired) endsMs = Date.now() + (info.expires_in ?? Infinity) * 1000;
    known = info;
    if (user?.id !== before?.id || isSignOut) {
      ending?.abort(isSignOut ? 'signed-out' : 'user-changed');
      sender = listening = undefined;
      const isSame = user ? user.id === hearer : info.expired;
      each(({ feed, options }) => (isSame && options.isKept) || feed.clear());
      if (!isSame) hearer = user?.id;
    }
    // A user who was signed in until now, and did not sign out on this page.
    if (!user) setState(!isSignOut && (before || state === 'ended') ? 'ended' : 'signed-out');
    each(({ options }) => options.onSession?.(info));
    if (!user) return prune(isSignOut && before);
    senderOf(user);
    if (subscriptions.size && !listening) void listen(user, true);
    return undefined;
  }

  function onSignedOut() {
    const info = { authenticated: false, providers: known?.providers ?? [], handoff: known?.handoff };
    // For whoever waits for an answer, which may be older.
    overrule(info);
    return onInfo(info, true);
  }

  function onUnreachable() {
    setState(navigator.onLine ? 'reconnecting' : 'offline');
  }

  /** What waits to be sent is in memory only. */
  const onUnkept = () => each(({ options }) => options.onUnkept?.());
  const loadSender = () => load('./sender.js', () => import('./sender.js'));

  /**
   * Deletes unsent events that are too old, and all of a user who has signed out.
   * @param {import('./types.js').User | false | undefined} user
   */
  function prune(user) {
    return (pruned = Promise.all([loadSender(), pruned])
      .then(
        ([sender]) => sender.prune(user ? `${origin} ${user.id}` : ''),
        // There is no storage, or it can't be reached.
      )
      .catch(() => {}));
  }

  /** @param {import('./types.js').User} user who is signed in */
  function senderOf(user) {
    if (!sender) {
      ending = new AbortController();
      sender = openSender(user, ending.signal);
      // Whoever sends learns of it.
      sender.catch(() => {});
    }
    return sender;
  }

  /**
   * @param {import('./types.js').User} user
   * @param {AbortSignal} signal aborted when another user is signed in, or nobody
   */
  async function openSender(user, signal) {
    const bundle = await insist(loadSender, signal, onUnkept);
    if (!bundle) throw failure('user-changed');
    return bundle.createSender(
      origin,
      user,
      request,
      signal,
      // Another user may have signed in while there was no stream. The check then aborts `signal`.
      async () => (state === 'online' || (await check())) && !signal.aborted,
      check,
      (...event) => each(({ options }) => options.onUnsent?.(...event)),
      onUnkept,
    );
  }

  return {
    /** Origin of the edge. */
    origin,

    check,

    /** The edge's latest answer about who is signed in. */
    info: () => known,

    /**
     * Ends the session, and lets the browser sign out of the provider, too, if that is possible.
     * @param {unknown} [stay] whether the page is not to be left
     * @returns {Promise<void>} rejects if the session may still exist
     */
    logout: async (stay) =>
      (await load('./departure.js', () => import('./departure.js'))).logout(origin, request, onSignedOut, stay),

    /** The user has signed out elsewhere, after this page's session had expired. */
    forget: onSignedOut,

    /**
     * Sends an event, again and again until it is accepted or rejected, and after those that wait already.
     * @param {string} channel
     * @param {string} type
     * @param {unknown} data
     * @param {string} [key] idempotency key
     * @param {AbortSignal} [signal] takes it back while it is unknown who is signed in
     * @param {(id: string) => unknown} [expect] told the id that its echo will have. With it, the event is kept if it
     *   fails: `onUnsent` tells it in the next pages, until it is sent again with its key, or cancelled
     * @returns {Promise<{ id: string }>} once Kafka has it. Rejects if it is refused, fails again and again, is
     *   cancelled, or if the user changes
     */
    async send(channel, type, data, key = crypto.randomUUID(), signal, expect) {
      // What can't be sent fails here, not at each attempt. The caller may change its data later.
      const event = { key, channel, ...JSON.parse(JSON.stringify({ type, data })), addedAt: Date.now() };
      if (!known) await (ready ??= check());
      ready = undefined;
      signal?.throwIfAborted();
      if (!known) throw failure('unavailable');
      if (!known.user) throw failure('signed-out');
      return (await senderOf(known.user)).send(event, expect);
    },

    /**
     * Takes back an event that was not accepted yet, or gives up one that failed.
     * @param {string} key
     */
    cancel: (key) => void sender?.then((opened) => opened.cancel(key)).catch(() => {}),

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
        if (hasAnswer() && known) onSession?.(known);
      });
      if (subscriptions.size > 1) {
        if (listening && known?.user) void listen(known.user, false);
      } else {
        loadTabs().catch(() => {});
        watch();
      }
      return () => {
        if (!subscriptions.delete(subscription) || subscriptions.size) return;
        unwatch();
        listening?.abort();
        listening = undefined;
        state = 'connecting';
      };
    },
  };
}
