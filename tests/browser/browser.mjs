// Debian's Chromium, and a page that remembers everything that reached it.

import { chromium } from 'playwright-core';

// Without these Chromium calls home, many times a minute. `--no-sandbox` is what root needs.
const ARGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
];

export function launch() {
  return chromium.launch({ executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium', args: ARGS });
}

/** What the network brought to a browser, by address: headers but the HttpOnly cookies, bodies, stream messages. */
export class Witness {
  /** @type {{ url: string, text: string }[]} */
  seen = [];
  /** @type {string[]} errors of scripts and violations of the content security policy */
  complaints = [];
  /** @type {Promise<void>[]} */
  #pending = [];

  /** @param {import('playwright-core').Page} page */
  async watch(page) {
    page.on('response', (response) => this.#pending.push(this.#keep(response)));
    page.on('pageerror', (error) => this.complaints.push(String(error)));
    page.on('console', (message) => {
      if (message.type() === 'error' && !/Failed to load resource|net::ERR_/.test(message.text())) this.complaints.push(message.text());
    });
    const network = await page.context().newCDPSession(page);
    await network.send('Network.enable');
    // The body of a stream never ends, so it is not read as one.
    network.on('Network.eventSourceMessageReceived', ({ data, eventId }) => this.seen.push({ url: 'stream', text: `${eventId} ${data}` }));
  }

  async all() {
    await Promise.all(this.#pending);
    return this.seen;
  }

  /** @param {import('playwright-core').Response} response */
  async #keep(response) {
    const headers = await response.headersArray().catch(() => []);
    const open = headers.filter(({ name, value }) => name.toLowerCase() !== 'set-cookie' || !/;\s*HttpOnly/i.test(value));
    const isStream = headers.some(({ name, value }) => name.toLowerCase() === 'content-type' && value.startsWith('text/event-stream'));
    // A redirect has no body.
    const body = isStream ? '' : await response.text().catch(() => '');
    this.seen.push({ url: response.url(), text: [response.url(), ...open.map(({ name, value }) => `${name}: ${value}`), body].join('\n') });
  }
}

/** Everything a script of the page can get at: cookies, storage, databases, caches. @param {import('playwright-core').Page} page */
export function storageOf(page) {
  return page.evaluate(async () => {
    const found = [document.cookie, JSON.stringify({ ...localStorage }), JSON.stringify({ ...sessionStorage }), location.href];
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
