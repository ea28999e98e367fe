// What one user sends: a queue, and the browser's database, which keeps the events until they are settled. Loaded once
// a user is signed in. A bundle of its own, so names of what it gets and gives are not shortened.
//
// An event that fails stays known, if its sender wants that: sent again, it has the same key as long as the edge
// recognizes it, since the failure may have been that of the answer only.
//
// Each user has a sender of their own. It ends with their session, at once and for good: from then on it sends nothing,
// and writes nothing but in its own user's name.

import { retryAfterMs } from './backoff.js';
import { MAX_BLAME, createOutbox } from './outbox.js';
import { failure, problemOf } from './request.js';
import { openStore } from './store.js';
import { base64url } from './verifier.js';

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

/** What the edge accepts as an idempotency key. */
const KEY = /^[!-~]([ -~]{0,126}[!-~])?$/;
/** What the edge begins with when it derives an event's id from its key. */
const ID_CONTEXT = 'causeway-event-id-v1';
/** The most events that failed and stay known: as many as a conversation has messages. */
const MAX_FAILED = 10_000;
/** Code of the answer to a key that is another event's. */
const KEY_REUSED = 'idempotency-key-reused';

/** @param {number} ms */
const secondsSince = (ms) => String(Math.max(0, Math.ceil((Date.now() - ms) / 1000)));

/**
 * @param {string} origin of the edge
 * @param {import('./types.js').User} user
 * @param {import('./request.js').Request} request
 * @param {AbortSignal} signal aborted when the user is not the one who is signed in any more
 * @param {() => Promise<unknown>} confirm makes sure that the user is signed in; falsy if that is unknown
 * @param {() => unknown} check asks the edge who is signed in
 * @param {(event: Unsent, sent: Promise<{ id: string }>, id: string) => void} tell called with each event that was
 *   adopted, and the id that its echo will have
 * @param {() => void} unkept called if the browser keeps no data
 * @param {typeof openStore} [open]
 */
export function createSender(origin, user, request, signal, confirm, check, tell, unkept, open = openStore) {
  const outbox = createOutbox({ send: post });
  const store = open(`${origin} ${user.id}`, { adopt, room: outbox.room, unkept }, signal).catch(() => unkept());

  /**
   * What is known of events that failed and are kept, by key: not what they say.
   * @type {Map<string, Pick<Unsent, 'triedAt' | 'sentAs'> & { code?: string }>}
   */
  const failed = new Map();

  signal.addEventListener('abort', () => outbox.clear(failure('user-changed')));
  outbox.connect();

  /**
   * @param {Unsent} event
   * @returns {Promise<{ id: string }>}
   */
  function enqueue(event) {
    if (signal.aborted) return Promise.reject(failure('user-changed'));
    return settled(event, new Promise((resolve, reject) => outbox.add({ event, resolve, reject })));
  }

  /**
   * Remembers an event if it fails.
   * @template T
   * @param {Unsent} event
   * @param {Promise<T>} sent
   * @returns {Promise<T>}
   */
  async function settled(event, sent) {
    try {
      return await sent;
    } catch (error) {
      const { code } = /** @type {NonNullable<Unsent['failed']>} */ (error);
      if (!event.keeps || signal.aborted || code === 'cancelled' || code === 'taken-over') throw error;
      failed.set(event.key, { triedAt: event.triedAt, sentAs: event.sentAs, code });
      if (failed.size > MAX_FAILED) failed.delete(/** @type {string} */ (failed.keys().next().value));
      throw error;
    }
  }

  /** Takes up what is known of an event that failed. @param {Unsent} event */
  function sendAgain(event) {
    const { triedAt, sentAs, code } = failed.get(event.key) ?? {};
    failed.delete(event.key);
    if (triedAt === undefined) return;
    // An earlier attempt may have been accepted, whatever the last answer was.
    if (code !== KEY_REUSED && Date.now() - triedAt <= MAX_TRY_MS) Object.assign(event, { triedAt, sentAs });
    // The key is another event's, or the edge has forgotten it.
    else event.sentAs = crypto.randomUUID();
  }

  /**
   * Takes over an event of a page that is gone.
   * @param {Unsent} event
   * @param {boolean} isExpired whether it may have been accepted long ago
   */
  function adopt(event, isExpired) {
    const { failed: reason } = event;
    const error = reason ? Object.assign(new Error(reason.message), reason) : isExpired && failure('expired');
    const sent = error ? settled(event, Promise.reject(error)) : enqueue(event);
    sent.catch(() => {});
    void idOf(user.id, event).then((id) => signal.aborted || tell(event, sent, id));
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
    const { channel, type, data, sentAs: key = event.key } = event;
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
     * @param {(id: string) => unknown} [expect] told the id that its echo will have. With it, the event is kept if it
     *   fails
     * @returns {Promise<{ id: string }>}
     */
    send(event, expect) {
      // What can't be sent fails here, not at each attempt.
      if (!KEY.test(event.key)) return Promise.reject(failure('malformed-key'));
      encodeURIComponent(event.channel);
      sendAgain(event);
      if (expect) {
        event.keeps = true;
        // Before the event is posted: that takes longer.
        void idOf(user.id, event).then(expect);
      }
      const sent = enqueue(event);
      void store.then((opened) => opened?.keep(event, sent));
      return sent;
    },

    /** @param {string} key */
    cancel(key) {
      outbox.cancel(key);
      if (failed.delete(key)) void store.then((opened) => opened?.drop(key));
    },

    /** Ends a wait between attempts: the connection is back. */
    hurry: outbox.retryNow,
  };
}

/**
 * The id that the edge gives an event of a user, which its echo has.
 * @param {string} user id
 * @param {Unsent} event
 */
async function idOf(user, { channel, key, sentAs = key }) {
  const encoder = new TextEncoder();
  const parts = [user, channel, sentAs].flatMap((text) => {
    const bytes = encoder.encode(text);
    const length = new Uint8Array(8);
    new DataView(length.buffer).setBigUint64(0, BigInt(bytes.length));
    return [...length, ...bytes];
  });
  const digest = await crypto.subtle.digest('SHA-256', new Uint8Array([...encoder.encode(ID_CONTEXT), ...parts]));
  return base64url(new Uint8Array(digest).subarray(0, 18));
}
