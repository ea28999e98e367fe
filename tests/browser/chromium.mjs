// Debian's Chromium, and a recorder of everything that the network brings to it.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { chromium } from 'playwright-core';

import { LAUNCH_OPTIONS } from '../support/chromium.mjs';
import { everyAnswer, recordAddress } from '../support/record.mjs';

/**
 * @typedef {object} PausedResponse as the DevTools protocol has it
 * @property {string} requestId
 * @property {{ method: string, url: string }} request
 * @property {number} [responseStatusCode]
 * @property {{ name: string, value: string }[]} [responseHeaders]
 * @property {string} [responseErrorReason]
 */

export function launch() {
  return chromium.launch(LAUNCH_OPTIONS);
}

/**
 * Starts a browser with a profile of its own and these preferences.
 * @param {string} profile folder @param {object} preferences
 */
export function launchWithProfile(profile, preferences) {
  mkdirSync(join(profile, 'Default'), { recursive: true });
  writeFileSync(join(profile, 'Default/Preferences'), JSON.stringify(preferences));
  return chromium.launchPersistentContext(profile, LAUNCH_OPTIONS);
}

/** Records what the network brings to a browser, by URL: headers without HttpOnly cookies, bodies, stream messages. */
export class NetworkRecorder {
  /** @type {{ url: string, text: string }[]} */
  seen = [];
  /** @type {string[]} bodies that could not be read, and so were not searched */
  unreadable = [];
  /** @type {string[]} errors of scripts and violations of the content security policy */
  errors = [];
  /** @type {Set<Promise<void>>} */
  #pending = new Set();
  /** @type {WeakMap<import('playwright-core').Page, Promise<void>>} */
  #watched = new WeakMap();

  /** @param {string} edge origin whose answers the leak scan searches */
  constructor(edge) {
    this.edge = edge;
  }

  /**
   * Watches all later pages. The first answers of a page that another page opens may be missed.
   * @param {import('playwright-core').BrowserContext} context
   */
  watchAll(context) {
    context.on('page', (page) => void this.watch(page).catch(() => {}));
  }

  /**
   * Opens a page that is watched from its first request on.
   * @param {import('playwright-core').BrowserContext} context
   */
  async open(context) {
    const page = await context.newPage();
    await this.watch(page);
    return page;
  }

  /** @param {import('playwright-core').Page} page */
  watch(page) {
    const watched = this.#watched.get(page) ?? this.#watch(page);
    this.#watched.set(page, watched);
    return watched;
  }

  /** @param {import('playwright-core').Page} page */
  async #watch(page) {
    page.on('pageerror', (error) => this.errors.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' && !/Failed to load resource|net::ERR_/.test(message.text()))
        this.errors.push(message.text());
    });
    const network = await page.context().newCDPSession(page);
    // Each response waits until it has been read here. Otherwise a navigation would discard its body.
    network.on('Fetch.requestPaused', (response) => {
      const reading = this.#keep(network, response).finally(() => this.#pending.delete(reading));
      this.#pending.add(reading);
    });
    await network.send('Fetch.enable', { patterns: [{ requestStage: 'Response' }] });
    await network.send('Network.enable');
    // The body of a stream never ends, so its messages are recorded instead.
    network.on('Network.eventSourceMessageReceived', ({ data, eventId }) =>
      this.#record('stream', 0, `${eventId} ${data}`),
    );
  }

  async all() {
    while (this.#pending.size) await Promise.all(this.#pending);
    return this.seen;
  }

  /** @param {string} url @param {number} status @param {string} text */
  #record(url, status, text) {
    this.seen.push({ url, text: `${url}\n${text}` });
    // Answers of providers and host pages are not part of the scan.
    if (url === 'stream' || url.startsWith(`${this.edge}/`)) everyAnswer.push({ url, status, headers: {}, text });
  }

  /** @param {import('playwright-core').CDPSession} network @param {PausedResponse} response */
  async #keep(network, { requestId, request, responseStatusCode = 0, responseHeaders = [], responseErrorReason }) {
    if (request.url.startsWith(`${this.edge}/`)) recordAddress(new URL(request.url));
    const has = (/** @type {string} */ name, /** @type {RegExp} */ form) =>
      responseHeaders.some((header) => header.name.toLowerCase() === name && form.test(header.value));
    const hasBody =
      !responseErrorReason &&
      !has('content-type', /^text\/event-stream/) &&
      ![204, 301, 302, 303, 307, 308].includes(responseStatusCode);
    let body = '';
    if (hasBody) {
      try {
        const read = await network.send('Fetch.getResponseBody', { requestId });
        body = read.base64Encoded ? Buffer.from(read.body, 'base64').toString('latin1') : read.body;
      } catch (error) {
        this.unreadable.push(
          `${request.method} ${request.url}: ${responseStatusCode}, ${/** @type {Error} */ (error).message}`,
        );
      }
    }
    const open = responseHeaders.filter(
      ({ name, value }) => name.toLowerCase() !== 'set-cookie' || !/;\s*HttpOnly/i.test(value),
    );
    this.#record(
      request.url,
      responseStatusCode,
      [...open.map(({ name, value }) => `${name}: ${value}`), body].join('\n'),
    );
    // This fails for a closed page, whose response has been read.
    await network.send('Fetch.continueRequest', { requestId }).catch(() => {});
  }
}

/**
 * What the edge answers a script of the page at /auth/session.
 * @param {import('playwright-core').Page} page @param {string} edge
 */
export function sessionOf(page, edge) {
  return page.evaluate(
    async (edge) =>
      (await fetch(`${edge}/auth/session`, { credentials: 'include', headers: { 'X-CSRF': '1' } })).json(),
    edge,
  );
}

/**
 * Everything that a script of the page can read: cookies, storage, databases, caches.
 * @param {import('playwright-core').Page} page
 */
export function storageOf(page) {
  return page.evaluate(async () => {
    const found = [
      document.cookie,
      JSON.stringify({ ...localStorage }),
      JSON.stringify({ ...sessionStorage }),
      location.href,
    ];
    for (const { name = '' } of await indexedDB.databases()) {
      const database = await new Promise((resolve, reject) => {
        const request = indexedDB.open(name);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      for (const storeName of database.objectStoreNames) {
        const store = database.transaction(storeName).objectStore(storeName);
        const rows = await new Promise((resolve) => {
          const request = store.getAll();
          request.onsuccess = () => resolve(request.result);
        });
        found.push(`${name}/${storeName}: ${JSON.stringify(rows)}`);
      }
      database.close();
    }
    for (const name of await caches.keys()) {
      for (const request of await (await caches.open(name)).keys()) found.push(request.url);
    }
    return found.join('\n');
  });
}
