// Events that wait to be sent, in the browser's database, so that they outlive their page. Loaded once a user is signed
// in. Without storage, as in some private windows, it can't be opened, and events wait in memory only.
//
// Each page owns its events as long as it lives, which it proves by a lock. Whoever waits for that lock gets it when
// the page is gone, closed or crashed, and takes its events over. They keep their keys, so none is sent twice.

const DATABASE = 'causeway';
const TABLE = 'outbox';
/** Tells other pages that this one has events. */
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
 *
 * @typedef {Unsent & { page: string, owner: string }} Row page: the one that owns it; owner: edge and user
 *
 * @typedef {Awaited<ReturnType<typeof openStore>>} Store
 */

const page = globalThis.crypto?.randomUUID?.();
const lockOf = (/** @type {string} */ name) => `${CHANNEL} ${name}`;

let release = () => {};

function claim() {
  return new Promise((claimed) => {
    void navigator.locks.request(lockOf(page), () => {
      claimed(undefined);
      return new Promise((resolve) => (release = () => resolve(undefined)));
    });
  });
}

/** @type {Promise<IDBDatabase> | undefined} */
let opened;

async function openDatabase() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(TABLE, { keyPath: 'key' });
  const database = await resultOf(request);
  // A newer version of this module must not wait for this page.
  database.onversionchange = () => database.close();
  await claim();
  // A page that holds a lock is not kept for the way back to it.
  addEventListener('pagehide', () => release());
  addEventListener('pageshow', ({ persisted }) => persisted && void claim());
  return database;
}

/**
 * @param {string} owner edge and user
 * @param {(event: Unsent, expired?: Promise<never>) => void} adopt called with each event of a page that is gone, in
 *   order. If `expired` is there, it rejects: the event may have been accepted long ago
 */
export async function openStore(owner, adopt) {
  const database = await within(PATIENCE_MS, (opened ??= openDatabase()));
  const controller = new AbortController();
  const { signal } = controller;
  const channel = new BroadcastChannel(CHANNEL);
  /** @type {Set<string>} */
  const waitedFor = new Set([page]);
  let hasTold = false;

  /** @param {IDBTransactionMode} mode @param {(table: IDBObjectStore) => IDBRequest} operate */
  async function run(mode, operate) {
    const transaction = database.transaction(TABLE, mode);
    const request = operate(transaction.objectStore(TABLE));
    const completed = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    await within(PATIENCE_MS, completed);
    return request.result;
  }

  /** @returns {Promise<Row[]>} */
  const all = () => run('readonly', (table) => table.getAll());

  /** @param {string} other a page */
  function waitFor(other) {
    if (waitedFor.has(other)) return;
    waitedFor.add(other);
    // Rejects when the store is closed.
    navigator.locks.request(lockOf(other), { signal }, () => takeOver(other)).catch(() => {});
  }

  /** @param {string} other a page that is gone */
  async function takeOver(other) {
    const rows = (await all()).filter((row) => row.page === other && row.owner === owner);
    for (const event of rows.sort((a, b) => a.addedAt - b.addedAt)) {
      if (signal.aborted) return;
      const isExpired = event.triedAt !== undefined && Date.now() - event.triedAt > KEY_VALID_MS;
      // Until it is settled, it is in the database at any time.
      if (isExpired) await remove(event.key);
      else await save(event);
      adopt(event, isExpired ? Promise.reject(new Error('expired')) : undefined);
    }
  }

  /** @param {Unsent} event */
  async function save({ key, channel: name, type, data, addedAt, triedAt }) {
    try {
      const row = { key, channel: name, type, data, addedAt, triedAt, page, owner };
      await run('readwrite', (table) => table.put(row));
    } catch {
      // No space, or storage was taken away. The event still waits in memory.
    }
    if (!hasTold && !signal.aborted) channel.postMessage(page);
    hasTold = true;
  }

  /** @param {string} key */
  const remove = (key) => run('readwrite', (table) => table.delete(key)).catch(() => {});

  channel.onmessage = ({ data }) => waitFor(String(data));
  const rows = (await all()).sort((a, b) => b.addedAt - a.addedAt);
  for (const [i, row] of rows.entries()) {
    if (i >= MAX_KEPT || Date.now() - row.addedAt > MAX_AGE_MS) await remove(row.key);
    else if (row.owner === owner) waitFor(row.page);
  }

  return {
    /**
     * Keeps an event until it is settled.
     * @param {Unsent} event
     * @param {Promise<unknown>} sent
     */
    async keep(event, sent) {
      const forget = () => remove(event.key);
      sent.then(forget, forget);
      await save(event);
    },

    /** Notes an attempt, before it is made. @param {Unsent} event */
    async mark(event) {
      event.triedAt ??= Date.now();
      await save(event);
    },

    /** Another user is signed in: this one's events stay for them. */
    close() {
      controller.abort();
      channel.close();
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
  return Promise.race([
    promise,
    new Promise((_, reject) => {
      setTimeout(() => reject(new Error('the database does not respond')), ms);
    }),
  ]);
}
