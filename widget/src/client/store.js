// Events that wait to be sent, in the browser's database, so that they outlive their page. Without storage, as in some
// private windows, it can't be opened, and events wait in memory only.
//
// Each page owns its events as long as it lives, which it proves by a lock. Whoever waits for that lock gets it when
// the page is gone, closed or crashed, and takes its events over. They keep their keys, so none is sent twice.

import { SIGNED_OUT } from './signed-out.js';

const DATABASE = 'causeway';
const TABLE = 'outbox';
/** Tells other pages that this one has a new event. */
const CHANNEL = 'causeway-outbox';
/** For so long the edge recognizes a key that it has seen. Sent again later, an event might be there twice. */
const KEY_VALID_MS = 600_000;
const MAX_AGE_MS = 7 * 86_400_000;
const MAX_KEPT = 200;
/** A database that hangs must hold up no event for longer. */
const PATIENCE_MS = 2_000;

/**
 * @typedef {object} Unsent
 * @property {string} key
 * @property {string} channel
 * @property {string} type
 * @property {any} data
 * @property {number} addedAt
 * @property {number} [triedAt] of the first attempt
 * @property {boolean} [keeps] whether it is kept if it fails, until it is sent again or given up
 * @property {string} [sentAs] key that it is sent with, if the edge no longer recognizes `key`
 * @property {{ message: string, code?: string, status?: number }} [failed] why it is not sent
 *
 * @typedef {Unsent & { page: string, owner: string }} Row page: the one that owns it; owner: edge and user
 *
 * @typedef {object} Queue where events go that are taken over
 * @property {() => Promise<void>} room resolves once there is room for one
 * @property {(event: Unsent, isExpired: boolean) => Promise<unknown>} adopt takes an event of a page that is gone,
 *   which may have failed; isExpired: it may have been accepted long ago. What it returns settles with the event
 * @property {() => void} unkept called once if an event can't be kept
 *
 * @typedef {Awaited<ReturnType<typeof openStore>>} Store
 */

const page = globalThis.crypto?.randomUUID?.();
const lockOf = (/** @type {string} */ name) => `${CHANNEL} ${name}`;
/** Keys of events that this page is sending. Several clients of the page share them. @type {Set<string>} */
const sending = new Set();

/** How many stores of this page are open. While there are any, it holds its lock. */
let stores = 0;
/** Gives the lock back. */
let release = () => {};
/** Resolves once the page has its lock. @type {Promise<void> | undefined} */
let claimed;
/** Ends what goes with the lock. @type {AbortController | undefined} */
let holding;

/** @returns {Promise<void>} rejects if the browser grants this page no locks, as some do where they keep no data */
function claim() {
  const { promise: released, resolve } = Promise.withResolvers();
  release = () => resolve(undefined);
  return new Promise((hold, reject) => {
    const held = () => {
      hold();
      return released;
    };
    navigator.locks.request(lockOf(page), held).catch(reject);
  });
}

/** @param {AbortSignal} signal of a store that is opened */
function claimFor(signal) {
  stores += 1;
  signal.addEventListener('abort', () => (stores -= 1));
  if (!claimed) {
    holding = new AbortController();
    claimed = claim();
    // A page that holds a lock is not kept for the way back to it.
    addEventListener('pagehide', () => release(), holding);
    addEventListener('pageshow', ({ persisted }) => persisted && void claim().catch(() => {}), holding);
  }
  return claimed;
}

/** @type {Promise<IDBDatabase> | undefined} */
let opened;

async function openDatabase() {
  const forget = () => (opened = undefined);
  try {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { keyPath: 'key' });
    const database = await resultOf(request);
    // The browser took the storage away.
    database.onclose = forget;
    // A newer version of this module must not wait for this page.
    database.onversionchange = () => {
      forget();
      database.close();
    };
    return database;
  } catch (error) {
    forget();
    throw error;
  }
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(table: IDBObjectStore, done: (result: T) => void) => void} operate
 * @returns {Promise<T>} what it was done with, once that is stored
 */
async function run(mode, operate) {
  const database = await within(PATIENCE_MS, (opened ??= openDatabase()));
  const transaction = database.transaction(TABLE, mode);
  /** @type {T} */
  let result;
  const completed = new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(result);
    transaction.onabort = () => reject(transaction.error);
  });
  operate(transaction.objectStore(TABLE), (value) => (result = value));
  return within(PATIENCE_MS, completed);
}

/** @returns {Promise<Row[]>} */
const all = () =>
  run('readonly', (table, done) => {
    const request = table.getAll();
    request.onsuccess = () => done(request.result);
  });

/** @param {string} key */
const remove = (key) => run('readwrite', (table) => void table.delete(key)).catch(() => {});

/**
 * Deletes what pages that are gone have left for too long, or too much of it.
 * @param {string} [owner] edge and user whose events all go: they signed out
 */
export async function prune(owner) {
  if (owner) tellSignOut(owner);
  try {
    await deleteOld(owner);
  } finally {
    // Only now: a page that waits for the lock must not find what goes.
    if (!stores) {
      holding?.abort();
      release();
      claimed = undefined;
    }
  }
}

/** @param {string} owner */
function tellSignOut(owner) {
  try {
    const channel = new BroadcastChannel(SIGNED_OUT);
    channel.postMessage(owner);
    channel.close();
  } catch {
    // The browser gives this page no channel.
  }
}

/** @param {string} [owner] */
async function deleteOld(owner) {
  // Visitors who never sign in get no database.
  if (!(await indexedDB.databases()).some(({ name }) => name === DATABASE)) return;
  const { held = [] } = await navigator.locks.query();
  const locks = new Set(held.map(({ name }) => name));
  const rows = (await all()).sort((a, b) => b.addedAt - a.addedAt);
  for (const [i, row] of rows.entries()) {
    const isLeft = !locks.has(lockOf(row.page));
    const isTooMuch = i >= MAX_KEPT || Date.now() - row.addedAt > MAX_AGE_MS;
    if (row.owner === owner || (isLeft && isTooMuch)) await remove(row.key);
  }
}

/**
 * @param {string} owner edge and user
 * @param {Queue} queue
 * @param {AbortSignal} signal aborted when another user is signed in: this one's events stay for them; with the reason
 *   `signed-out` they do not
 */
export async function openStore(owner, { adopt, room, unkept }, signal) {
  await claimFor(signal);
  await prune();
  const rows = await all();
  const channel = new BroadcastChannel(CHANNEL);
  signal.addEventListener('abort', () => channel.close());
  /** Pages whose end is waited for. @type {Set<string>} */
  const waitedFor = new Set([page]);
  /** Whether each event got into the database, by key. @type {Map<string, Promise<boolean>>} */
  const kept = new Map();
  let isTold = false;

  /** @param {string} other a page */
  function waitFor(other) {
    if (waitedFor.has(other)) return;
    waitedFor.add(other);
    // Rejects when the store is closed.
    navigator.locks.request(lockOf(other), { signal }, () => takeOver(other)).catch(() => {});
  }

  /** @param {string} other a page that is gone; or this one, before its user had to sign in again */
  async function takeOver(other) {
    // It may come back, and have events again.
    if (other !== page) waitedFor.delete(other);
    const left = (await all()).filter((row) => row.page === other && row.owner === owner);
    for (const { key } of left.sort((a, b) => a.addedAt - b.addedAt)) {
      await room();
      // Another client of this page may send it.
      if (signal.aborted || sending.has(key)) continue;
      sending.add(key);
      // From here on it is this page's. Until it is settled, it is in the database at any time.
      const event = await move(key, other, {}).catch(() => undefined);
      if (!event || signal.aborted) {
        sending.delete(key);
        continue;
      }
      kept.set(key, Promise.resolve(true));
      channel.postMessage(page);
      const { triedAt = Infinity } = event;
      forgetAfter(event, adopt(event, Date.now() - triedAt > KEY_VALID_MS));
    }
  }

  /**
   * Changes the row of an event, if a page still owns it, and makes it this page's.
   * @param {string} key
   * @param {string} from
   * @param {Partial<Row>} change
   * @returns {Promise<Row | undefined>}
   */
  const move = (key, from, change) =>
    run('readwrite', (table, done) => {
      const request = table.get(key);
      request.onsuccess = () => {
        if (request.result?.page !== from) return;
        const row = { ...request.result, ...change, page };
        table.put(row);
        done(row);
      };
    });

  /** @param {string} key */
  function forget(key) {
    sending.delete(key);
    kept.delete(key);
    void remove(key);
  }

  /**
   * @param {Unsent} event
   * @param {Promise<unknown>} sent
   */
  function forgetAfter({ key, keeps }, sent) {
    sent.then(
      () => forget(key),
      async ({ code, message, status }) => {
        // It stays for the user, or for the page that has it now.
        if (signal.aborted || code === 'taken-over') sending.delete(key);
        else if (!keeps || code === 'cancelled') forget(key);
        else {
          sending.delete(key);
          // It may be stored only now.
          await kept.get(key);
          await move(key, page, { failed: { code, message, status } }).catch(onFailure);
        }
      },
    );
  }

  /** No space, or storage was taken away. The event still waits in memory. */
  function onFailure() {
    if (!isTold && !signal.aborted) unkept();
    isTold = true;
    return false;
  }

  channel.onmessage = ({ data }) => waitFor(String(data));
  for (const row of rows) if (row.owner === owner) waitFor(row.page);
  takeOver(page).catch(() => {});

  return {
    /**
     * Keeps an event until it is settled.
     * @param {Unsent} event
     * @param {Promise<unknown>} sent
     */
    keep(event, sent) {
      const { key } = event;
      sending.add(key);
      forgetAfter(event, sent);
      // What was not even kept when the session ended is still the user's, unless they signed out.
      if (signal.reason === 'signed-out') return;
      const row = { ...event, page, owner };
      const saved = run('readwrite', (table) => void table.put(row)).then(() => true);
      kept.set(
        key,
        saved.catch(() => onFailure()),
      );
      // Others wait for the end of this page, whenever they were opened.
      void saved.then(
        () => signal.aborted || channel.postMessage(page),
        () => {},
      );
    },

    /** Gives up an event that failed. @param {string} key */
    drop: forget,

    /**
     * Notes an attempt, before it is made.
     * @param {Unsent} event
     * @returns {Promise<boolean>} false if another page has the event by now, since this one was frozen
     */
    async mark({ key, triedAt, sentAs }) {
      if (!(await kept.get(key))) return true;
      try {
        return Boolean(await move(key, page, { triedAt, sentAs }));
      } catch {
        onFailure();
        return true;
      }
    },
  };
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function resultOf(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/**
 * @template T
 * @param {number} ms
 * @param {Promise<T>} promise
 * @returns {Promise<T>} rejects after this time
 */
function within(ms, promise) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the database does not respond')), ms);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
