import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';

import { MAX_TRY_MS, createSender } from '../src/client/sender.js';

/** @typedef {import('../src/client/store.js').Unsent} Unsent */

const ADA = { id: 'github:1', name: 'Ada' };

/**
 * A sender whose surroundings a test holds up and changes.
 * @param {object} [stubs]
 * @param {() => Promise<unknown>} [stubs.confirm]
 * @param {() => Promise<boolean>} [stubs.mark]
 * @param {() => Promise<Response>} [stubs.answer]
 */
function senderOf({ confirm = async () => true, mark = async () => true, answer } = {}) {
  const ending = new AbortController();
  /** @type {string[]} */
  const log = [];
  /** @type {import('../src/client/store.js').Queue | undefined} */
  let queue;
  /** @type {Promise<unknown>[]} */
  const adopted = [];
  const told = gate();
  const sender = createSender(
    'https://edge.example',
    ADA,
    async (_path, init) => {
      const headers = new Headers(init?.headers);
      const repeat = headers.get('X-Causeway-Repeat');
      const again = repeat === null ? '' : ` again after ${repeat} s`;
      log.push(`post ${headers.get('Idempotency-Key')} as ${headers.get('X-Causeway-User')}${again}`);
      return (await answer?.()) ?? Response.json({ id: 'in-1' }, { status: 202 });
    },
    ending.signal,
    confirm,
    () => {},
    (_event, sent, id) => {
      adopted.push(sent);
      told.resolve(id);
    },
    () => log.push('unkept'),
    async (owner, given) => {
      queue = given;
      return {
        drop: (key) => void log.push(`drop ${key}`),
        keep: ({ key }) => void log.push(`keep ${key} of ${owner}`),
        mark: ({ key }) => {
          log.push(`mark ${key} of ${owner}`);
          return mark();
        },
      };
    },
  );
  /** @param {string} key @returns {Unsent} */
  const event = (key) => ({ key, channel: 'chat', type: 'message', data: { text: key }, addedAt: 0 });
  const send = (/** @type {string} */ key) => codeOf(sender.send(event(key)));
  const posts = () => log.filter((line) => line.startsWith('post'));
  return { sender, ending, log, posts, event, send, adopted, told, queue: () => /** @type {any} */ (queue) };
}

/** @param {Promise<unknown>} promise @returns {Promise<unknown>} what it was settled with */
const codeOf = (promise) => promise.catch(({ code }) => code);

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** @returns {{ promise: Promise<any>, resolve: (value: unknown) => void }} */
function gate() {
  /** @type {(value: unknown) => void} */
  let resolve = () => {};
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve: (value) => resolve(value) };
}

describe("a user's events", () => {
  test('are kept and posted in their name', async () => {
    const { send, log } = senderOf();
    assert.deepEqual(await send('a'), { id: 'in-1' });
    assert.deepEqual(log, [
      'keep a of https://edge.example github:1',
      'mark a of https://edge.example github:1',
      'post a as github:1',
    ]);
  });

  for (const held of ['confirm', 'mark'])
    test(`are neither posted nor written if the user changes during ${held}`, async () => {
      const { promise, resolve } = gate();
      const { send, ending, log, posts } = senderOf({ [held]: () => promise });
      const sent = send('a');
      await turn();
      const before = log.length;
      ending.abort();
      resolve(true);
      assert.equal(await sent, 'user-changed');
      await turn();
      assert.deepEqual(posts(), []);
      assert.equal(log.length, before);
    });

  test('are rejected if they come after the change, also those of a page that is gone', async () => {
    const { send, ending, posts, queue, event } = senderOf();
    await turn();
    ending.abort();
    assert.equal(await send('a'), 'user-changed');
    assert.equal(await codeOf(queue().adopt(event('b'), false)), 'user-changed');
    await turn();
    assert.deepEqual(posts(), []);
  });

  for (const held of ['confirm', 'mark'])
    test(`are not posted if they are cancelled during ${held}`, async () => {
      const { promise, resolve } = gate();
      const { sender, send, posts } = senderOf({ [held]: () => promise });
      const sent = send('a');
      const next = send('b');
      await turn();
      sender.cancel('a');
      resolve(true);
      assert.equal(await sent, 'cancelled');
      await next;
      assert.deepEqual(posts(), ['post b as github:1']);
    });

  test('are not posted by a page whose events another page has taken over', async () => {
    const { send, posts } = senderOf({ mark: async () => false });
    assert.equal(await send('a'), 'taken-over');
    assert.deepEqual(posts(), []);
  });

  test('are adopted only while there is room', async () => {
    const { promise, resolve } = gate();
    const { send, queue } = senderOf({ confirm: () => promise });
    const sent = Array.from({ length: 25 }, (_, i) => send(`${i}`));
    let hasRoom = false;
    void queue()
      .room()
      .then(() => (hasRoom = true));
    await turn();
    assert.ok(!hasRoom);
    resolve(true);
    await Promise.all(sent);
    await turn();
    assert.ok(hasRoom);
  });

  test('that may have been accepted long ago are told as expired', async () => {
    const { adopted, told, queue, event, posts } = senderOf();
    await turn();
    assert.equal(await codeOf(queue().adopt(event('a'), true)), 'expired');
    await told.promise;
    assert.equal(await codeOf(/** @type {Promise<unknown>} */ (adopted[0])), 'expired');
    assert.deepEqual(posts(), []);
  });
});

describe('an event that fails and is kept', () => {
  const failing = (/** @type {number} */ status) => async () => Response.json({ title: 'Sorry' }, { status });

  test('is sent again under its key, as a repeat, as long as the edge recognizes it', async () => {
    mock.timers.enable({ apis: ['Date', 'setTimeout'] });
    let answer = failing(500);
    const { sender, event, posts } = senderOf({ answer: () => answer() });
    /** @type {string[]} */
    const ids = [];
    const send = () => codeOf(sender.send(event('a'), (id) => ids.push(id)));
    const fails = async () => {
      const sent = send();
      let isOver = false;
      void sent.then(() => (isOver = true));
      for (let seconds = 0; seconds < 120 && !isOver; seconds += 1) {
        await turn();
        mock.timers.tick(1000);
      }
      await sent;
    };
    try {
      await fails();
      assert.equal(posts().length, 5);
      answer = async () => Response.json({ id: 'in-1' }, { status: 202 });
      assert.deepEqual(await send(), { id: 'in-1' });
      assert.match(posts().at(-1) ?? '', /^post a as github:1 again after \d+ s$/);

      answer = failing(500);
      await fails();
      mock.timers.tick(MAX_TRY_MS);
      answer = async () => Response.json({ id: 'in-2' }, { status: 202 });
      assert.deepEqual(await send(), { id: 'in-2' });
      assert.match(posts().at(-1) ?? '', /^post [0-9a-f-]{36} as github:1$/, 'with another key');
      await until(() => ids.length === 4);
      assert.deepEqual(ids.slice(0, 3), Array(3).fill('QW4VHNFfBIAb4CNMPUIqulfX'));
      assert.notEqual(ids[3], ids[0]);
    } finally {
      mock.timers.reset();
    }
  });

  test('keeps its key after a refusal, since an earlier attempt may have been accepted', async () => {
    mock.timers.enable({ apis: ['Date', 'setTimeout'] });
    try {
      const answers = [() => Promise.reject(new Error('lost')), failing(403), failing(202)];
      const { sender, event, posts } = senderOf({ answer: () => (answers.shift() ?? failing(202))() });
      const sent = codeOf(sender.send(event('a'), () => {}));
      for (let seconds = 0; seconds < 60 && answers.length > 1; seconds += 1) {
        await turn();
        mock.timers.tick(1000);
      }
      await sent;
      await sender.send(event('a'), () => {});
      assert.equal(posts().length, 3);
      assert.match(posts().at(-1) ?? '', /^post a as github:1 again after \d+ s$/);
    } finally {
      mock.timers.reset();
    }
  });

  test("gets another key if its own is another event's", async () => {
    const answers = [async () => Response.json({ code: 'idempotency-key-reused' }, { status: 422 })];
    const { sender, event, posts } = senderOf({ answer: () => (answers.shift() ?? failing(202))() });
    assert.equal(await codeOf(sender.send(event('a'), () => {})), 'idempotency-key-reused');
    await sender.send(event('a'), () => {});
    assert.match(posts().at(-1) ?? '', /^post [0-9a-f-]{36} as github:1$/);
  });

  test('is a repeat also if hundreds have failed since', async () => {
    let answer = failing(403);
    const { sender, event, posts } = senderOf({ answer: () => answer() });
    for (let i = 0; i < 300; i += 1) await codeOf(sender.send(event(`${i}`), () => {}));
    answer = failing(202);
    await sender.send(event('0'), () => {});
    assert.match(posts().at(-1) ?? '', /^post 0 as github:1 again after \d+ s$/);
  });

  test('comes from a page that is gone as failed, and is dropped when it is given up', async () => {
    const { sender, queue, event, adopted, told, posts, log } = senderOf();
    await turn();
    const failed = { message: 'Sorry', status: 500 };
    const sent = queue().adopt({ ...event('a'), keeps: true, failed }, false);
    await assert.rejects(sent, failed);
    await told.promise;
    assert.equal(adopted.length, 1);
    assert.deepEqual(posts(), []);
    sender.cancel('a');
    await turn();
    assert.equal(log.at(-1), 'drop a');
  });
});

/** @param {() => boolean} condition */
async function until(condition) {
  while (!condition()) await turn();
}

describe('an event that is tried for long', () => {
  beforeEach(() => mock.timers.enable({ apis: ['Date', 'setTimeout'] }));
  afterEach(() => mock.timers.reset());

  test('says in each repeat how long ago its first attempt was', async () => {
    let attempts = 0;
    const answer = async () => Response.json({ id: 'in-1' }, { status: (attempts += 1) < 3 ? 503 : 202 });
    const { send, posts } = senderOf({ answer });
    const sent = send('a');
    for (let seconds = 0; seconds < 60 && posts().length < 3; seconds += 1) {
      await turn();
      mock.timers.tick(1000);
    }
    assert.deepEqual(await sent, { id: 'in-1' });
    const [first, ...repeats] = posts();
    assert.equal(first, 'post a as github:1');
    const ages = repeats.map((line) => Number(/ again after (\d+) s$/.exec(line)?.[1]));
    assert.ok(ages.length === 2 && ages.every((age, n) => age > (ages[n - 1] ?? 0)), posts().join('; '));
  });

  test('waits as long as the edge asks for, when that gets too much of this user', async () => {
    let attempts = 0;
    const tooMany = () => Response.json({}, { status: 429, headers: { 'Retry-After': '5' } });
    const answer = async () => ((attempts += 1) > 1 ? Response.json({ id: 'in-1' }, { status: 202 }) : tooMany());
    const { send, posts } = senderOf({ answer });
    const sent = send('a');
    for (let second = 0; second < 4; second += 1) {
      await turn();
      mock.timers.tick(1000);
    }
    await turn();
    assert.equal(posts().length, 1);
    mock.timers.tick(1000);
    assert.deepEqual(await sent, { id: 'in-1' });
    assert.equal(posts().length, 2);
  });

  test('expires before the edge forgets its key', async () => {
    const { promise, resolve } = gate();
    let attempts = 0;
    const confirm = async () => (attempts += 1) < 2 || promise;
    const { send, posts } = senderOf({ confirm, answer: () => Promise.reject(new Error('offline')) });
    const sent = send('a');
    await turn();
    mock.timers.tick(MAX_TRY_MS + 1);
    resolve(true);
    assert.equal(await sent, 'expired');
    assert.equal(posts().length, 1);
  });
});
