// What one user sends: a queue, and the browser's database, which keeps the events until they are settled. Loaded once
// a user is signed in. A bundle of its own, so names of what it gets and gives are not shortened.
//
// Each user has a sender of their own. It ends with their session, at once and for good: from then on it sends nothing,
// and writes nothing but in its own user's name.

import { retryAfterMs } from './backoff.js';
import { MAX_BLAME, createOutbox } from './outbox.js';
import { failure, problemOf } from './request.js';
import { openStore } from './store.js';

export { prune } from './store.js';

/**
 * @typedef {import('./store.js').Unsent} Unsent
 * @typedef {import('./outbox.js').Outcome} Outcome
 * @typedef {ReturnType<typeof createSender>} Sender
 */

/** Blame of an answer such as 500, which may be due to the event itself: five of them reject it. */
const ANSWER_BLAME = 30;
/** For so long after its first attempt an event is tried. The edge recognizes its key for a minute longer. */
export const MAX_TRY_MS = 540_000;

/** @param {number} ms */
const secondsSince = (ms) => String(Math.max(0, Math.ceil((Date.now() - ms) / 1000)));

/**
 * @param {string} origin of the edge
 * @param {import('./types.js').User} user
 * @param {import('./request.js').Request} request
 * @param {AbortSignal} signal aborted when the user is not the one who is signed in any more
 * @param {() => Promise<unknown>} confirm makes sure that the user is signed in; falsy if that is unknown
 * @param {() => unknown} check asks the edge who is signed in
 * @param {(event: Unsent, sent: Promise<{ id: string }>) => void} tell called with each event that was adopted
 * @param {() => void} unkept called if the browser keeps no data
 * @param {typeof openStore} [open]
 */
export function createSender(origin, user, request, signal, confirm, check, tell, unkept, open = openStore) {
  const outbox = createOutbox({ send: post });
  const store = open(`${origin} ${user.id}`, { adopt, room: outbox.room, unkept }, signal).catch(() => unkept());

  signal.addEventListener('abort', () => outbox.clear(failure('user-changed')));
  outbox.connect();

  /**
   * @param {Unsent} event
   * @returns {Promise<{ id: string }>}
   */
  function enqueue(event) {
    if (signal.aborted) return Promise.reject(failure('user-changed'));
    return new Promise((resolve, reject) => outbox.add({ event, resolve, reject }));
  }

  /**
   * Takes over an event of a page that is gone.
   * @param {Unsent} event
   * @param {boolean} isExpired whether it may have been accepted long ago
   */
  function adopt(event, isExpired) {
    const sent = isExpired ? Promise.reject(failure('expired')) : enqueue(event);
    sent.catch(() => {});
    tell(event, sent);
    return sent;
  }

  /**
   * @param {import('./outbox.js').Entry} entry
   * @param {AbortSignal} wanted aborted when the event is cancelled, or the user changes
   * @returns {Promise<Outcome>}
   */
  async function post({ event }, wanted) {
    // Whatever is waited for, the user may have changed meanwhile, and the event may have been cancelled.
    if (!(await confirm()) || wanted.aborted) return {};
    const { triedAt } = event;
    event.triedAt ??= Date.now();
    const isMine = await (await store)?.mark(event);
    if (wanted.aborted) return {};
    if (isMine === false) return { error: failure('taken-over'), blame: MAX_BLAME };
    if (Date.now() - event.triedAt > MAX_TRY_MS) return { error: failure('expired'), blame: MAX_BLAME };
    const { channel, type, data, key } = event;
    const path = `/events/${encodeURIComponent(channel)}`;
    // The edge rejects the event in any other user's session.
    const headers = {
      'Content-Type': 'application/json',
      'Idempotency-Key': key,
      'X-Causeway-User': user.id,
      // Another instance of the bridge may have written it, so this one must look for it.
      ...(triedAt !== undefined && { 'X-Causeway-Repeat': secondsSince(triedAt) }),
    };
    const body = JSON.stringify({ type, data });
    const response = await request(path, { method: 'POST', headers, body }, wanted).catch(() => undefined);
    return response ? outcomeOf(response, key) : {};
  }

  /**
   * @param {Response} response
   * @param {string} key
   * @returns {Promise<Outcome>}
   */
  async function outcomeOf(response, key) {
    const { ok, status, headers } = response;
    if (ok) return { id: (await response.json().catch(() => ({}))).id ?? key };
    // The session has ended, or is another user's.
    if (status === 401 || status === 409) check();
    const isUnavailable = status === 503 || status === 429;
    const mayRepeat = status >= 500 || [401, 408, 409].includes(status);
    return {
      error: await problemOf(response),
      blame: isUnavailable ? 1 : mayRepeat ? ANSWER_BLAME : MAX_BLAME,
      afterMs: retryAfterMs(headers.get('Retry-After')),
    };
  }

  return {
    /**
     * Sends an event, again and again until it is accepted or rejected, and after those that wait already.
     * @param {Unsent} event
     * @returns {Promise<{ id: string }>}
     */
    send(event) {
      const sent = enqueue(event);
      void store.then((opened) => opened?.keep(event, sent));
      return sent;
    },

    cancel: outbox.cancel,

    /** Ends a wait between attempts: the connection is back. */
    hurry: outbox.retryNow,
  };
}
