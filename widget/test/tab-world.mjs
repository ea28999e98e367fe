// A browser with some tabs, and an edge, in simulated time: locks, channels and streams that take their time, tabs that
// are closed, crash, hang or are frozen. Each tab runs the real tabs.js.

import { createFeed } from '../src/client/feed.js';
import { listen } from '../src/client/tabs.js';

/** @typedef {{ at: number, tab: Tab | null, run: () => void }} Task */

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** @param {number} seed @returns {() => number} uniform in [0, 1) */
export function seeded(seed) {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

export class World {
  time = 0;
  /** Who is signed in. @type {string | null} */
  user = 'ada';
  /** @type {Set<Tab>} */
  tabs = new Set();
  /** Streams that are open at the edge. @type {Set<Connection>} */
  streams = new Set();
  /** How many there have been. */
  opened = 0;
  /** How many of them began with a snapshot. */
  snapshots = 0;
  /** @type {{ cursor: string, event: { id: string, type: string, at: number } }[]} */
  records = [];
  /** @type {Map<string, { holder?: LockRequest, queue: LockRequest[] }>} */
  #locks = new Map();
  /** @type {Set<Channel>} */
  #channels = new Set();
  /** @type {Task[]} */
  #tasks = [];
  /** When the latest message arrives. @type {Map<Tab | null, number>} */
  #lastMs = new Map();

  /** @param {() => number} [random] */
  constructor(random = () => 0.5) {
    this.random = random;
  }

  /**
   * @param {Tab | null} tab that it runs in; null: the browser itself, or the edge
   * @param {number} ms
   * @param {() => void} run
   * @returns {Task}
   */
  schedule(tab, ms, run) {
    const task = { at: this.time + ms, tab, run };
    // After those of the same time.
    const i = this.#tasks.findIndex(({ at }) => at > task.at);
    this.#tasks.splice(i < 0 ? this.#tasks.length : i, 0, task);
    return task;
  }

  /**
   * A message between processes, in the order of those before it.
   * @param {Tab | null} tab
   * @param {() => void} run
   * @param {boolean} [mayBeLost] while the tab hangs
   */
  post(tab, run, mayBeLost) {
    const ms = Math.max((this.#lastMs.get(tab) ?? 0) - this.time, this.random() * 4);
    this.#lastMs.set(tab, this.time + ms);
    this.schedule(tab, ms, mayBeLost ? Object.assign(() => run(), { mayBeLost }) : run);
  }

  /** Lets time pass. @param {number} ms */
  async run(ms) {
    const end = this.time + ms;
    await turn();
    for (let task = this.#tasks[0]; task && task.at <= end; task = this.#tasks[0]) {
      this.#tasks.shift();
      this.time = Math.max(this.time, task.at);
      const { tab, run } = task;
      if (tab?.isGone) continue;
      if (tab?.isHung) tab.backlog.push(run);
      else run();
      await turn();
    }
    this.time = end;
  }

  /** @param {string} [user] */
  open(user = 'ada') {
    const tab = new Tab(this, user);
    this.tabs.add(tab);
    return tab;
  }

  publish() {
    const i = this.records.length;
    const record = { cursor: `v2.chat.1.0.${i}`, event: { id: String(i), type: 'message', at: this.time } };
    this.records.push(record);
    for (const stream of this.streams) stream.deliver(record);
  }

  /** What a tab has heard once that is all. */
  all() {
    return this.records.map(({ event }) => event.id);
  }

  /** @param {Tab} tab @param {string} name */
  channel(tab, name) {
    const channel = new Channel(name, tab, (data) => {
      for (const other of this.#channels)
        if (other !== channel && other.name === name && !other.isClosed)
          this.post(other.tab, () => other.isClosed || other.onmessage?.({ data: structuredClone(data) }), true);
    });
    this.#channels.add(channel);
    return channel;
  }

  /**
   * @param {Tab} tab
   * @param {string} name
   * @param {LockOptions} options
   * @param {() => unknown} callback
   */
  lock(tab, name, options, callback) {
    return new Promise((resolve, reject) => {
      const request = { tab, callback, resolve, reject };
      const fail = () => reject(new DOMException('', 'AbortError'));
      options.signal?.addEventListener('abort', () => {
        fail();
        this.post(null, () => {
          const lock = this.#lock(name);
          lock.queue = lock.queue.filter((other) => other !== request);
        });
      });
      this.post(null, () => {
        const lock = this.#lock(name);
        if (options.signal?.aborted || tab.isGone) return;
        if (!options.steal) lock.queue.push(request);
        const robbed = lock.holder;
        if (options.steal && robbed) this.post(robbed.tab, () => robbed.reject(new DOMException('', 'AbortError')));
        if (options.steal) this.#grant(name, request);
        else this.#next(name);
      });
    });
  }

  /** @param {string} name */
  #lock(name) {
    const lock = this.#locks.get(name) ?? { queue: [] };
    this.#locks.set(name, lock);
    return lock;
  }

  /** @param {string} name */
  #next(name) {
    const lock = this.#lock(name);
    const request = lock.holder ? undefined : lock.queue.shift();
    if (request) this.#grant(name, request);
  }

  /** @param {string} name @param {LockRequest} request */
  #grant(name, request) {
    const lock = this.#lock(name);
    lock.holder = request;
    this.post(request.tab, async () => {
      request.resolve(await request.callback());
      this.post(null, () => this.#free(name, request));
    });
  }

  /** @param {string} name @param {LockRequest} request */
  #free(name, request) {
    const lock = this.#lock(name);
    if (lock.holder !== request) return;
    lock.holder = undefined;
    this.#next(name);
  }

  /** @param {Tab} tab that is gone */
  forget(tab) {
    this.tabs.delete(tab);
    for (const stream of this.streams) if (stream.tab === tab) this.streams.delete(stream);
    for (const channel of this.#channels) if (channel.tab === tab) this.#channels.delete(channel);
    for (const [name, lock] of this.#locks) {
      lock.queue = lock.queue.filter((request) => request.tab !== tab);
      if (lock.holder?.tab === tab) this.post(null, () => lock.holder?.tab === tab && this.#free(name, lock.holder));
    }
  }

  /** Which tab has the latest stream. @returns {Tab | undefined} */
  get leader() {
    return [...this.streams].at(-1)?.tab;
  }
}

/**
 * @typedef {object} LockRequest
 * @property {Tab} tab
 * @property {() => any} callback
 * @property {(value: any) => void} resolve
 * @property {(error: Error) => void} reject
 */

class Channel {
  isClosed = false;
  /** @type {((event: { data: any }) => void) | null} */
  onmessage = null;

  /** @param {string} name @param {Tab} tab @param {(data: any) => void} send */
  constructor(name, tab, send) {
    Object.assign(this, { name, tab });
    this.name = name;
    this.tab = tab;
    this.postMessage = (/** @type {any} */ data) => {
      if (this.isClosed) throw new DOMException('', 'InvalidStateError');
      send(data);
    };
  }

  close() {
    this.isClosed = true;
  }
}

/** A stream of a tab, at the edge. */
class Connection {
  isClosed = false;

  /**
   * @param {Tab} tab
   * @param {(record: { cursor: string, event: object }) => void} hear
   */
  constructor(tab, hear) {
    this.tab = tab;
    this.deliver = (/** @type {{ cursor: string, event: object }} */ record) =>
      tab.world.post(tab, () => this.isClosed || tab.isDeaf || hear(record));
  }
}

export class Tab {
  isGone = false;
  isHung = false;
  /** Whether what its streams bring is lost. */
  isDeaf = false;
  /** Opens its stream anew. @type {(goesOn: boolean) => void} */
  reopen = () => {};
  /** What waits until it does not hang any more. @type {(() => void)[]} */
  backlog = [];
  /** Ids of events. @type {string[]} */
  heard = [];
  /** How long after it was published each event was heard, in milliseconds. @type {number[]} */
  delays = [];
  /** Everything else. @type {string[]} */
  log = [];
  checks = 0;
  /** @type {string | null} */
  user;
  ending = new AbortController();
  page = new EventTarget();
  document = Object.assign(new EventTarget(), { hidden: false });

  /** @param {World} world @param {string} user */
  constructor(world, user) {
    this.world = world;
    this.user = user;
    this.feed = createFeed(
      [],
      ({ id, ...event }) => {
        this.heard.push(id);
        this.delays.push(world.time - Reflect.get(event, 'at'));
      },
      (reason) => this.log.push(`gap: ${reason}`),
    );
    listen(
      'https://edge.example/stream',
      user,
      true,
      this.ending.signal,
      () => this.check(),
      (state) => this.log.push(state),
      this.feed.snapshot,
      this.feed.record,
      this.feed.gap,
      (reason) => this.#onEnd(reason),
      {
        locks: /** @type {any} */ ({
          request: (/** @type {string} */ name, /** @type {LockOptions} */ options, /** @type {any} */ callback) =>
            world.lock(this, name, options, callback),
        }),
        openChannel: (name) => /** @type {any} */ (world.channel(this, name)),
        openStream: (options) => this.#openStream(options),
        every: (ms, callback) => this.#every(ms, callback),
        now: () => world.time,
        page: this.page,
        document: /** @type {any} */ (this.document),
      },
    );
  }

  /** @param {number} ms @param {() => void} callback */
  #every(ms, callback) {
    let isStopped = false;
    const next = () => {
      if (isStopped) return;
      this.world.schedule(this, ms, next);
      callback();
    };
    this.world.schedule(this, ms, next);
    return () => {
      isStopped = true;
    };
  }

  /** @param {import('../src/client/stream.js').StreamOptions} options */
  #openStream(options) {
    const { world } = this;
    /** @type {Connection | undefined} */
    let connection;
    this.hear = options;
    const close = () => {
      const own = connection;
      if (!own) return;
      own.isClosed = true;
      world.post(null, () => world.streams.delete(own));
    };
    this.reopen = (goesOn) => {
      close();
      const own = (connection = new Connection(this, ({ cursor, event }) => options.onRecord(cursor, event)));
      const position = options.startAfter(goesOn);
      world.post(null, () => {
        if (own.isClosed || this.isGone) return;
        world.streams.add(own);
        world.opened += 1;
        world.post(this, () => own.isClosed || options.onState('online'));
        const start = world.records.findIndex((record) => record.cursor === position) + 1;
        if (!start) world.snapshots += 1;
        for (const record of world.records.slice(start)) own.deliver(record);
      });
    };
    return { connect: () => this.reopen(false), disconnect: close };
  }

  /** Asks who is signed in. */
  async check() {
    this.checks += 1;
    /** @type {string | null} */
    const user = await new Promise((resolve) => this.world.post(this, () => resolve(this.world.user)));
    if (user !== this.user && !this.ending.signal.aborted) {
      this.log.push(`is ${user}`);
      this.ending.abort('user-changed');
    }
    return true;
  }

  /** @param {unknown} reason */
  #onEnd(reason) {
    if (reason === 'away') return;
    this.log.push(`end: ${reason}`);
    if (reason === 'signed_out') this.ending.abort('signed-out');
  }

  close() {
    this.page.dispatchEvent(new Event('pagehide'));
    this.crash();
  }

  crash() {
    this.isGone = true;
    this.world.forget(this);
  }

  /** Stops, and is not told before. */
  hang() {
    this.isHung = true;
  }

  freeze() {
    if (!this.isHung) this.document.dispatchEvent(new Event('freeze'));
    this.isHung = true;
  }

  /** Goes on with what has waited. @param {boolean} [isLossy] whether the browser has dropped messages */
  thaw(isLossy) {
    if (!this.isHung) return;
    if (isLossy) this.backlog = this.backlog.filter((run) => !('mayBeLost' in run));
    this.isHung = false;
    this.document.dispatchEvent(new Event('resume'));
    for (const run of this.backlog.splice(0)) this.world.schedule(this, 0, run);
  }

  /** @param {boolean} isHidden */
  hide(isHidden) {
    this.document.hidden = isHidden;
    if (!this.isHung) this.document.dispatchEvent(new Event('visibilitychange'));
  }
}
