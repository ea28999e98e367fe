// The edge's protocol without a face, for any front end; the widget is built on its core.
//
//     const client = createClient({ edge: 'https://edge.example' });
//     client.subscribe({ channels: ['orders'], onEvent: ({ type, data }) => show(type, data) });
//     await client.send('orders', 'cancel', { order: 7 });

import { accounts } from './account.js';
import { load } from './bundle.js';
import { createCore } from './core.js';
import { openPopup } from './popup.js';
import { answered, createRequest, failure, jsonOf } from './request.js';

/**
 * @typedef {import('./types.js').SessionInfo} SessionInfo
 * @typedef {import('./types.js').OwnSession} OwnSession
 * @typedef {import('./types.js').LoginOptions} LoginOptions
 * @typedef {import('./core.js').State} State
 * @typedef {import('./core.js').SubscribeOptions} SubscribeOptions
 * @typedef {import('./feed.js').CausewayEvent} CausewayEvent
 *
 * @typedef {object} SendOptions
 * @property {string} [key] idempotency key, 10 minutes valid; default: a random one
 * @property {AbortSignal} [signal] takes back an event that was not accepted yet
 *
 * @typedef {{ events: CausewayEvent[], ids: string[], before: string | null, complete: boolean }} HistoryPage
 *   events: the newest last; ids: the place of each, which `onEvent` calls its cursor; before: asks for the page before
 *   this one; complete: whether none of its time is missing
 *
 * @typedef {ReturnType<typeof createClient>} Client
 */

/** @param {{ edge: string | URL }} options edge: its origin */
export function createClient({ edge }) {
  const { origin } = new URL(edge);
  const request = createRequest(origin);

  const { check, info, send, cancel, subscribe, logout } = createCore(origin, request);
  const ask = answered(request);

  /**
   * @param {string} provider
   * @param {LoginOptions} [options]
   * @param {boolean} [isConnect] whether the session gets another account
   */
  async function depart(provider, options, isConnect) {
    const popup = options?.popup ? openPopup(origin) : undefined;
    try {
      const [answer, { connect, login }] = await Promise.all([
        info() ?? check(),
        load('./departure.js', () => import('./departure.js')),
      ]);
      return await (isConnect ? connect : login)(origin, check, answer?.handoff, provider, options, popup);
    } catch (error) {
      popup?.close();
      throw error;
    }
  }

  return {
    /** Origin of the edge. */
    origin,

    /**
     * Hears the user's events, as long as anyone is signed in. All subscriptions of a client share one stream.
     * @param {SubscribeOptions} options
     * @returns {() => void} ends it; safe to call again
     */
    subscribe: ({ onEvent, onGap, onState, onSession, onUnsent, onUnkept, channels }) =>
      subscribe({
        channels,
        onEvent: guard(onEvent),
        onGap: guard(onGap),
        onState: guard(onState),
        onSession: guard(onSession),
        onUnsent: guard(onUnsent),
        onUnkept: guard(onUnkept),
      }),

    /**
     * Asks the edge who is signed in.
     * @returns {Promise<SessionInfo>} rejects if the edge does not respond
     */
    async session() {
      const answer = await check();
      if (!answer) throw failure('unavailable');
      return answer;
    },

    /**
     * Goes to the identity provider, or opens a window there.
     * @param {string} provider id of one of the session's `providers`
     * @param {LoginOptions} [options]
     * @returns {Promise<SessionInfo | undefined>} with `popup`, who is signed in once that window is closed. Undefined
     *   if the page is left, and if the edge does not respond. Rejects with the code `popup-blocked` if the browser
     *   opens no window
     */
    login: (provider, options) => depart(provider, options),

    /**
     * Connects an account of another provider to the session, or the same one again. The way is that of `login`, and so
     * is what it returns: the session goes on, its `connections` are others. Rejects with the code `other-page` on a
     * page that sessions are handed to: there, users connect accounts on the edge's own page.
     * @param {string} provider id of one of the session's `providers`
     * @param {LoginOptions} [options]
     * @returns {Promise<SessionInfo | undefined>}
     */
    connect: (provider, options) => depart(provider, options, true),

    /**
     * Ends the session, and lets the browser sign out of the provider, too, if that is possible.
     * @param {{ stay?: boolean }} [options] stay: the page is not left, so the provider's session stays
     * @returns {Promise<void>} rejects if the session may still exist
     */
    logout: ({ stay } = {}) => logout(stay),

    /**
     * Sends an event, again and again until it is accepted or rejected, and after those that wait already.
     * @param {string} channel
     * @param {string} type
     * @param {unknown} data
     * @param {SendOptions} [options]
     * @returns {Promise<{ id: string }>} once Kafka has it. Rejects if it is refused, fails again and again, is taken
     *   back, or if the user changes
     */
    async send(channel, type, data, { key = crypto.randomUUID(), signal } = {}) {
      const takeBack = () => cancel(key);
      signal?.throwIfAborted();
      signal?.addEventListener('abort', takeBack);
      try {
        return await send(channel, type, data, key, signal);
      } catch (error) {
        signal?.throwIfAborted();
        throw error;
      } finally {
        signal?.removeEventListener('abort', takeBack);
      }
    },

    ...accounts(ask),

    /**
     * A page of the user's earlier events.
     * @param {string} channel
     * @param {{ before?: string, limit?: number, signal?: AbortSignal }} [options] before: default: the newest
     * @returns {Promise<HistoryPage>}
     */
    async history(channel, { before, limit = 50, signal } = {}) {
      const query = new URLSearchParams({ limit: String(limit), ...(before && { before }) });
      return jsonOf(await ask(`/events/${encodeURIComponent(channel)}/history?${query}`, {}, signal));
    },

    /**
     * An upstream API, which the edge calls with the user's token.
     * @param {string} service
     */
    bff: (service) => ({
      /**
       * Like the global `fetch`, except that a redirect is an error, as is a path that leads out of the service.
       * @param {string} path with its slash, and a query if there is one
       * @param {RequestInit} [init]
       */
      async fetch(path, init = {}) {
        const base = `${origin}/bff/${encodeURIComponent(service)}`;
        // Dots in the path, or as the service, must not lead to other routes of the edge: the request has `X-CSRF`.
        const { href } = new URL(base + path);
        if (!href.startsWith(`${base}/`)) throw new TypeError(`not a path of ${service}: ${path}`);
        const headers = new Headers(init.headers);
        headers.set('X-CSRF', '1');
        return fetch(href, { ...init, redirect: 'error', headers, credentials: 'include' });
      },
    }),
  };
}

/**
 * A subscriber's mistake must not cost others, or its own next events.
 * @template {any[]} T
 * @param {((...values: T) => void) | undefined} callback
 */
function guard(callback) {
  return (/** @type {T} */ ...values) => {
    try {
      callback?.(...values);
    } catch (error) {
      reportError(error);
    }
  };
}
