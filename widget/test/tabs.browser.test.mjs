import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';

import { ADA, GRACE } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

/** @typedef {import('playwright-core').Page} Page */

const HAND_OVER_MS = 1_000;

describe('the tabs of a browser', () => {
  const widget = useWidgetPage();
  const { edge } = widget;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let talking;
  let count = 0;

  beforeEach(() => {
    count = 0;
    edge.user = ADA;
    edge.pages.set('/client', {
      policy: "default-src 'none'; script-src 'self'; connect-src 'self'; require-trusted-types-for 'script'",
      html: '<!doctype html><title>Client</title>',
    });
  });
  afterEach(() => clearInterval(talking));

  /** Publishes numbers, until it is called again. */
  function talk() {
    clearInterval(talking);
    talking = setInterval(publish, 20);
  }

  function publish() {
    edge.publish('number', { n: count, at: Date.now() });
    count += 1;
  }

  /** @param {Page} tab @param {string[]} [channels] */
  async function subscribe(tab, channels) {
    await tab.evaluate(async (chosen) => {
      const { createClient } = await import(String('/assets/client.js'));
      const client = createClient({ edge: location.origin });
      const heard = { client, numbers: /** @type {number[]} */ ([]), delays: /** @type {number[]} */ ([]), log: [''] };
      Object.assign(globalThis, { heard });
      await new Promise((resolve) =>
        client.subscribe({
          channels: chosen,
          onEvent: (/** @type {any} */ { data }) => {
            heard.numbers.push(data.n);
            heard.delays.push(Date.now() - data.at);
          },
          onGap: (/** @type {string} */ reason) => heard.log.push(`gap: ${reason}`),
          onSession: (/** @type {any} */ { user }) => heard.log.push(user ? user.name : 'nobody'),
          onState: (/** @type {string} */ state) => {
            heard.log.push(state);
            if (state === 'online') resolve(undefined);
          },
        }),
      );
    }, channels);
  }

  /** @param {number} n @returns {Promise<Page[]>} tabs with a subscription each; the last one has the stream */
  async function open(n) {
    const tabs = [];
    for (let i = 0; i < n; i += 1) {
      const tab = i ? await widget.context.newPage() : widget.page;
      await tab.goto(`${widget.edgeOrigin}/client`);
      await subscribe(tab);
      tabs.push(tab);
    }
    await until(() => edge.streams.size === 1, 'one stream is left');
    return tabs;
  }

  /** @param {Page} tab @returns {Promise<{ numbers: number[], delays: number[], log: string[] }>} */
  const heard = (tab) =>
    tab.evaluate(() => {
      const { numbers, delays, log } = Reflect.get(globalThis, 'heard');
      return { numbers, delays, log };
    });

  /** @param {Page} tab @param {string} line */
  const logs = (tab, line) =>
    tab.waitForFunction((expected) => Reflect.get(globalThis, 'heard').log.at(-1) === expected, line);

  /**
   * That each number was heard, once and in order, and within a second if it was published here.
   * @param {Page} tab
   * @param {number} [late] so many may have come later
   * @returns {Promise<number>} the longest delay
   */
  async function heardAll(tab, late = 0) {
    await tab.waitForFunction((last) => Reflect.get(globalThis, 'heard').numbers.at(-1) === last, count - 1);
    const { numbers, delays, log } = await heard(tab);
    assert.deepEqual(
      numbers,
      Array.from({ length: count }, (_, i) => i),
    );
    assert.ok(delays.filter((delay) => delay > HAND_OVER_MS).length <= late, `up to ${Math.max(...delays)} ms`);
    // Nothing else is seen of a hand-over than that the new leader asks who is signed in.
    assert.deepEqual([...new Set(log)], ['', 'connecting', 'Ada Lovelace', 'online']);
    assert.deepEqual(
      log.filter((line) => line === 'online'),
      ['online'],
    );
    return Math.max(...delays);
  }

  test('have one stream, and each hears every event once', async () => {
    const tabs = await open(2);
    talk();
    await until(() => count > 10, 'numbers are published');
    for (let i = 0; i < 3; i += 1) {
      const tab = await widget.context.newPage();
      await tab.goto(`${widget.edgeOrigin}/client`);
      await subscribe(tab);
      tabs.push(tab);
    }
    await until(() => edge.streams.size === 1, 'one stream is left');
    await until(() => count > 50, 'more numbers are published');
    clearInterval(talking);
    // Those of before a tab was opened were published long ago.
    for (const tab of tabs) await heardAll(tab, Infinity);
    assert.equal(edge.streams.size, 1);
  });

  for (const [what, act] of /** @type {[string, (tab: Page) => Promise<unknown>][]} */ ([
    ['is closed', (tab) => tab.close()],
    ['is closed by force', kill],
    ['is frozen', (tab) => hang(tab, true)],
    ['hangs', (tab) => hang(tab, false)],
  ]))
    test(`another one takes over within a second if the leader ${what}`, { timeout: 30_000 }, async (t) => {
      const tabs = await open(5);
      const leader = /** @type {Page} */ (tabs.pop());
      talk();
      await until(() => count > 10, 'numbers are published');
      const opened = edge.lastEventIds.length;
      const done = act(leader);
      await until(() => edge.lastEventIds.length > opened, 'another tab opens a stream');
      const at = count;
      await until(() => count > at + 20, 'more numbers are published');
      clearInterval(talking);
      const delays = await Promise.all(tabs.map((tab) => heardAll(tab)));
      t.diagnostic(`no event came later than ${Math.max(...delays)} ms after it was written`);
      await done;
      // What stood still goes on, and has missed nothing.
      if (what === 'is frozen' || what === 'hangs') await heardAll(leader, Infinity);
      await until(() => edge.streams.size === 1, 'one stream is left');
    });

  /** The process of a tab ends. @param {Page} tab */
  async function kill(tab) {
    const session = await widget.context.newCDPSession(tab);
    const crashed = tab.waitForEvent('crash');
    session.send('Page.crash').catch(() => {});
    await crashed;
  }

  /**
   * Nothing runs in a tab for a while. A headless Chromium freezes no page, so what the browser would tell it is told
   * here.
   * @param {Page} tab
   * @param {boolean} isTold
   */
  function hang(tab, isTold) {
    return tab.evaluate(async (told) => {
      if (told) document.dispatchEvent(new Event('freeze'));
      // The browser ends what is under way.
      await undefined;
      const end = Date.now() + 2_500;
      while (Date.now() < end);
      if (told) document.dispatchEvent(new Event('resume'));
    }, isTold);
  }

  test('show the same state', async () => {
    const tabs = await open(2);
    edge.streamFailures = Array(50).fill(503);
    edge.cutStreams();
    for (const tab of tabs) await logs(tab, 'reconnecting');
    edge.streamFailures = [];
    for (const tab of tabs) await logs(tab, 'online');
    edge.write('id\nevent: reset\ndata: {"reason":"retention"}\n\n');
    for (const tab of tabs) await logs(tab, 'gap: retention');
  });

  test('all show that one of them has signed out', async () => {
    const tabs = await open(3);
    await tabs[0]?.evaluate(() => Reflect.get(globalThis, 'heard').client.logout());
    for (const tab of tabs) await logs(tab, 'nobody');
    for (const tab of tabs) {
      const { log } = await heard(tab);
      assert.equal(log[log.indexOf('nobody') - 1], 'signed-out');
    }
    assert.equal(edge.streams.size, 0);
  });

  test("never show another user's events", async () => {
    const tabs = await open(3);
    const [first, second, leader] = tabs;
    assert.ok(first && second && leader);
    publish();
    for (const tab of tabs) await heardAll(tab);
    const release = edge.holdSession();
    edge.user = GRACE;
    edge.history = [];
    const opened = edge.lastEventIds.length;
    await leader.close();
    await until(() => edge.lastEventIds.length > opened, 'another tab takes over');
    publish();
    await first.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    for (const tab of [first, second]) assert.deepEqual((await heard(tab)).numbers, [0]);
    release();
    for (const tab of [first, second]) {
      await tab.waitForFunction(() => Reflect.get(globalThis, 'heard').numbers.length === 2);
      const { log } = await heard(tab);
      assert.ok(log.indexOf('Grace Hopper') > 0, log.join());
    }
    await until(() => edge.streams.size === 1, "one stream is left, which is Grace's");
  });

  test('hear the channels that each has chosen', async () => {
    const [first] = await open(1);
    assert.ok(first);
    const other = await widget.context.newPage();
    await other.goto(`${widget.edgeOrigin}/client`);
    await subscribe(other, ['orders']);
    assert.equal(edge.streams.size, 2);
    publish();
    for (const tab of [first, other]) await heardAll(tab);
  });

  test('a widget and a client of one page share a stream', async () => {
    await widget.open(widget.edgeOrigin);
    await widget.waitForStatus('Online');
    await subscribe(widget.page, ['chat']);
    await until(() => edge.streams.size === 1, 'one stream is left');
    edge.publish('message', { id: 'a', text: 'one', n: 0 });
    await widget.waitForMessage({ text: 'one' });
    assert.deepEqual((await heard(widget.page)).numbers, [0]);
  });

  test('without locks each tab has a stream of its own', async () => {
    await widget.context.addInitScript(() => Object.defineProperty(Navigator.prototype, 'locks', { value: undefined }));
    await widget.page.goto(`${widget.edgeOrigin}/client`);
    await subscribe(widget.page);
    const other = await widget.context.newPage();
    await other.goto(`${widget.edgeOrigin}/client`);
    await subscribe(other);
    assert.equal(edge.streams.size, 2);
    publish();
    for (const tab of [widget.page, other]) await heardAll(tab);
    await other.close();
    await until(() => edge.streams.size === 1, 'the stream of the other tab is closed');
  });
});
