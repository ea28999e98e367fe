// Measures how soon the widget can be seen and used, on a slow phone's terms and on this machine's. Prints the rows of
// docs/performance.md.
//
// The widget is the built one, served compressed beside the page; the edge is the real one, on workerd.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { chromium } from 'playwright-core';

import { freePorts } from '../../scripts/stack/port.mjs';
import { Stack } from '../../scripts/stack/stack.mjs';
import { LAUNCH_OPTIONS } from '../support/chromium.mjs';
import { servePages } from './paint-page.mjs';

const USAGE = `usage: paint.mjs [--runs 11] [--deep-chat FILE]

Needs what scripts/build-stack workers builds. Nothing else should be busy.

--deep-chat  also measures this file, deepChat.bundle.js of the npm package deep-chat, on the same page`;

/**
 * What Lighthouse takes for a phone on a slow network, and this machine as it is.
 * @type {{ name: string, slowdown: number, network?: { latency: number, downloadThroughput: number,
 * uploadThroughput: number } }[]}
 */
const CONDITIONS = [
  {
    name: 'slow phone',
    slowdown: 4,
    network: { latency: 150, downloadThroughput: 1_600_000 / 8, uploadThroughput: 750_000 / 8 },
  },
  { name: 'this machine', slowdown: 1 },
];

/**
 * What is looked for within an element's shadow root.
 * @typedef {{ host: string, shown: string, usable: string }} Target
 * @typedef {{ page: number, shown: number, usable: number, interactive: number, blocked: number, bytes: number }}
 * Figures
 * milliseconds after the start of the navigation: the page's own first paint; the widget's; when its field or links can
 * be seen; the same once no long task runs. Milliseconds of long tasks above 50 each; bytes of the widget's scripts
 */

/** @type {Target} */
const SIGNED_OUT = { host: 'chat-widget', shown: '[part=shell]', usable: '[part=sign-in] a' };
/** @type {Target} */
const SIGNED_IN = { ...SIGNED_OUT, usable: '[part~=input]:not([readonly])' };
/** @type {Target} */
const DEEP_CHAT = { host: 'deep-chat', shown: '#container', usable: '#text-input' };

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '11' },
    'deep-chat': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}
const runs = Number(values.runs);
const state = mkdtempSync(join(tmpdir(), 'causeway-paint-'));
process.once('exit', () => rmSync(state, { recursive: true, force: true }));
const ports = await freePorts();
const stack = new Stack({
  target: 'workers',
  state,
  ports,
  only: ['emulators', 'edge'],
  brokers: '',
  bareEdge: true,
  quietEdge: true,
});
await stack.start();
const pages = await servePages(ports.host, stack.edgeOrigin, values['deep-chat']);
const browser = await chromium.launch(LAUNCH_OPTIONS);
try {
  const signedIn = await signIn();
  console.log('| | | page | first paint | usable | interactive | blocked | scripts |');
  console.log('|---|---|---:|---:|---:|---:|---:|---:|');
  for (const condition of CONDITIONS) {
    const measure = (/** @type {string} */ name, /** @type {Parameters<typeof medians>[1]} */ what) =>
      medians(condition, what).then((figures) => print(condition.name, name, figures));
    await measure('signed out, first visit', { target: SIGNED_OUT });
    await measure('signed out, first state in the page', { target: SIGNED_OUT, path: '/first-state' });
    await measure('signed in, first visit', { target: SIGNED_IN, storage: signedIn });
    await measure('signed in, next visit', { target: SIGNED_IN, storage: signedIn, isCached: true });
    await measure('signed in, first state in the page', {
      target: SIGNED_IN,
      storage: signedIn,
      path: '/first-state',
    });
    await measure('signed in, first state in the page, next visit', {
      target: SIGNED_IN,
      storage: signedIn,
      path: '/first-state',
      isCached: true,
    });
    if (values['deep-chat']) {
      await measure('Deep Chat, first visit', { target: DEEP_CHAT, path: '/deep-chat' });
      await measure('Deep Chat, next visit', { target: DEEP_CHAT, path: '/deep-chat', isCached: true });
    }
  }
} finally {
  await browser.close();
  pages.close();
  await stack.stop();
}

/** @returns what a browser keeps of a user who is signed in */
async function signIn() {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`${stack.hostOrigin}/`);
  await page.getByRole('link', { name: /GitHub/ }).click();
  await page.getByRole('button', { name: /Ada Lovelace/ }).click();
  await page.getByPlaceholder('Write a message').waitFor();
  const storage = await context.storageState();
  await context.close();
  return storage;
}

/**
 * @param {typeof CONDITIONS[number]} condition
 * @param {{ target: Target, path?: string, isCached?: boolean,
 * storage?: Awaited<ReturnType<import('playwright-core').BrowserContext['storageState']>> }} what
 * @returns {Promise<Figures>}
 */
async function medians(condition, { target, path = '/', isCached = false, storage }) {
  /** @type {Figures[]} */
  const all = [];
  for (let run = 0; run < runs; run += 1) {
    // A new context has an empty cache.
    const context = await browser.newContext({
      viewport: { width: 1280, height: 860 },
      ...(storage && { storageState: storage }),
    });
    const page = await context.newPage();
    await page.addInitScript(watch, target);
    if (isCached) await visit(page, path);
    const session = await context.newCDPSession(page);
    await session.send('Emulation.setCPUThrottlingRate', { rate: condition.slowdown });
    await session.send('Network.enable');
    if (condition.network)
      await session.send('Network.emulateNetworkConditions', { offline: false, ...condition.network });
    all.push(await visit(page, path));
    await context.close();
  }
  const median = (/** @type {keyof Figures} */ name) =>
    all.map((figures) => figures[name]).sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? NaN;
  return {
    page: median('page'),
    shown: median('shown'),
    usable: median('usable'),
    interactive: median('interactive'),
    blocked: median('blocked'),
    bytes: median('bytes'),
  };
}

/** @param {import('playwright-core').Page} page @param {string} path @returns {Promise<Figures>} */
async function visit(page, path) {
  await page.goto(`${stack.hostOrigin}${path}`, { waitUntil: 'commit' });
  return page.evaluate(() => /** @type {any} */ (globalThis).figures);
}

/**
 * Runs in the page, before all else: `figures` becomes a promise of what was measured.
 * @param {Target} target
 */
function watch({ host, shown, usable }) {
  /** @type {PerformanceEntry[]} */
  const longTasks = [];
  const observer = new PerformanceObserver((list) => longTasks.push(...list.getEntries()));
  observer.observe({ type: 'longtask', buffered: true });
  const isVisible = (/** @type {string} */ selector) =>
    document.querySelector(host)?.shadowRoot?.querySelector(selector)?.checkVisibility() ?? false;

  /** When the first frame that has it is on the screen. @param {string} selector @returns {Promise<number>} */
  const painted = (selector) =>
    new Promise((resolve) => {
      const look = () => {
        if (!isVisible(selector)) return void requestAnimationFrame(look);
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => resolve(performance.now());
        // Frames are drawn right after their callbacks, before the next task.
        port2.postMessage('');
      };
      requestAnimationFrame(look);
    });

  const measured = async () => {
    const [shownAt, usableAt] = await Promise.all([painted(shown), painted(usable)]);
    await new Promise((resolve) => {
      requestIdleCallback(resolve);
    });
    longTasks.push(...observer.takeRecords());
    const before = longTasks.filter(({ startTime }) => startTime < usableAt);
    const scripts = /** @type {PerformanceResourceTiming[]} */ (performance.getEntriesByType('resource')).filter(
      ({ name }) => /\/assets\/|deepChat/.test(name),
    );
    return {
      page: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
      shown: shownAt,
      usable: usableAt,
      interactive: Math.max(usableAt, ...before.map(({ startTime, duration }) => startTime + duration)),
      blocked: before.reduce((sum, { duration }) => sum + duration - 50, 0),
      bytes: scripts.reduce((sum, { transferSize }) => sum + transferSize, 0),
    };
  };
  Object.assign(globalThis, { figures: measured() });
}

/** @param {string} condition @param {string} name @param {Figures} figures */
function print(condition, name, { page, shown, usable, interactive, blocked, bytes }) {
  const cells = [page, shown, usable, interactive, blocked].map((ms) => `${Math.round(ms)} ms`);
  console.log(`| ${condition} | ${name} | ${cells.join(' | ')} | ${(bytes / 1000).toFixed(1)} kB |`);
}
