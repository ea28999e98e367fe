// What a user does on a page with the widget, and sees there. For browsers that Puppeteer drives.

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

import { everyAnswer, recordAddress } from '../support/record.mjs';
import * as playwright from './chromium.mjs';
import { kafka, stack } from './product.mjs';

/** @typedef {import('puppeteer-core').Page} Page */
/** @typedef {import('puppeteer-core').BrowserContext} BrowserContext */

const TIMEOUT_MS = 20_000;
const POLL_MS = 50;
/** What Firefox reports as an error of the page while the edge is down. */
const UNREACHABLE = /CORS request did not succeed|can’t establish a connection|connection to .* was interrupted/;

export class ChatPage {
  /** Idempotency keys of the events that it sends, one for each attempt. @type {string[]} */
  keys = [];

  /** @param {Page} page @param {string[]} errors */
  constructor(page, errors) {
    this.page = page;
    /** Errors of scripts and violations of the content security policy. */
    this.errors = errors;
  }

  /**
   * Opens the host page in a tab of its own.
   * @param {BrowserContext} context @param {string[]} [errors] shared with other tabs
   */
  static async open(context, errors = []) {
    const page = await context.newPage();
    const chat = new ChatPage(page, errors);
    await page.setViewport({ width: 1280, height: 900 });
    page.on('request', (request) => chat.#onRequest(request));
    page.on('response', (response) => {
      if (isOfEdge(response.url())) record(response.url(), response.status(), headerLines(response));
    });
    page.on('pageerror', (error) => {
      if (!UNREACHABLE.test(String(error))) errors.push(String(error));
    });
    page.on('console', (message) => {
      if (message.text().startsWith('violates ')) errors.push(message.text());
    });
    // The browser's own messages are no part of WebDriver BiDi, unlike those of scripts.
    await page.evaluateOnNewDocument(() => {
      addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI }) =>
        console.error(`violates ${effectiveDirective}: ${blockedURI}`),
      );
    });
    await page.goto(`${stack.hostOrigin}/`);
    return chat;
  }

  /** @param {import('puppeteer-core').HTTPRequest} request */
  #onRequest(request) {
    if (!isOfEdge(request.url())) return;
    recordAddress(new URL(request.url()));
    const key = request.headers()['idempotency-key'];
    if (request.method() === 'POST' && key) this.keys.push(key);
  }

  /**
   * Waits until a function of the page returns something.
   * @param {string} what @param {(...values: any[]) => unknown} look @param {unknown[]} values
   */
  async until(what, look, ...values) {
    const deadline = Date.now() + TIMEOUT_MS;
    for (;;) {
      // While the page is left, there is nobody to ask.
      const found = await this.page.evaluate(look, ...values).catch(() => undefined);
      if (found) return;
      assert.ok(Date.now() < deadline, `timed out: ${what}, at ${this.page.url()}`);
      await delay(POLL_MS);
    }
  }

  /** Waits for a visible element of the widget with this text. @param {string} selector @param {string} [text] */
  waitFor(selector, text = '') {
    return this.until(
      `${selector} ${text}`,
      (selector, text) =>
        [...(document.querySelector('chat-widget')?.shadowRoot?.querySelectorAll(selector) ?? [])].some(
          (element) => element.checkVisibility() && element.textContent?.includes(text),
        ),
      selector,
      text,
    );
  }

  /** Clicks on an element, by the mouse. @param {string} selector @param {string} [text] */
  async click(selector, text = '') {
    const handle = await this.page.evaluateHandle(
      (selector, text) => {
        const root = document.querySelector('chat-widget')?.shadowRoot ?? document;
        return [...root.querySelectorAll(selector)].find((element) => element.textContent?.includes(text));
      },
      selector,
      text,
    );
    const element = /** @type {import('puppeteer-core').ElementHandle<Element> | null} */ (handle.asElement());
    assert.ok(element, `no ${selector} ${text}`);
    await element.click();
  }

  /**
   * How many of the widget's elements have a text.
   * @param {string} selector @param {string} [text]
   * @returns {Promise<number>}
   */
  count(selector, text = '') {
    return this.page.evaluate(
      (selector, text) =>
        [...(document.querySelector('chat-widget')?.shadowRoot?.querySelectorAll(selector) ?? [])].filter((element) =>
          element.textContent?.includes(text),
        ).length,
      selector,
      text,
    );
  }

  /** Presses Tab until an element of the widget has the focus. @param {string} selector */
  async tabTo(selector) {
    for (let presses = 0; presses < 40; presses += 1) {
      await this.page.keyboard.press('Tab');
      const isThere = await this.page.evaluate(
        (selector) => document.querySelector('chat-widget')?.shadowRoot?.activeElement?.matches(selector),
        selector,
      );
      if (isThere) return;
    }
    assert.fail(`no Tab leads to ${selector}`);
  }

  /** @param {string} who name of one of the emulators' users */
  async signIn(who) {
    await this.waitFor('a', 'GitHub');
    await this.click('a', 'GitHub');
    await this.chooseUser(who);
  }

  /** The rest of a sign-in, on the provider's page. @param {string} who */
  async chooseUser(who) {
    await this.until(
      'the provider',
      (port, who) =>
        location.port === port && [...document.querySelectorAll('button')].some((it) => it.textContent?.includes(who)),
      String(stack.ports.github),
      who,
    );
    await this.click('button', who);
    await this.waitFor('[part=name]', who);
    assert.equal(this.page.url(), `${stack.hostOrigin}/`);
  }

  /** @param {string} text */
  async send(text) {
    await this.click('[part~=input]');
    await this.page.keyboard.type(text);
    await this.page.keyboard.press('Enter');
  }

  /** What the edge answers a script of the page at /auth/session. */
  async session() {
    const session = await playwright.sessionOf(/** @type {any} */ (this.page), stack.edgeOrigin);
    record(`${stack.edgeOrigin}/auth/session`, 200, JSON.stringify(session));
    return session;
  }

  /** Everything that a script of the page can read: cookies, storage, databases, caches. @returns {Promise<string>} */
  storage() {
    return playwright.storageOf(/** @type {any} */ (this.page));
  }

  /**
   * Waits until what the browser keeps has a text, or does not have it.
   * @param {string} text @param {boolean} isKept
   */
  async untilKept(text, isKept) {
    const deadline = Date.now() + TIMEOUT_MS;
    while ((await this.storage()).includes(text) !== isKept) assert.ok(Date.now() < deadline, `kept: ${!isKept}`);
  }
}

/** @param {string} url */
const isOfEdge = (url) => url.startsWith(`${stack.edgeOrigin}/`);

/** Keeps an answer of the edge for the leak scan. @param {string} url @param {number} status @param {string} text */
function record(url, status, text) {
  everyAnswer.push({ url, status, headers: {}, text });
}

/** Without cookies, which scripts do not see. @param {import('puppeteer-core').HTTPResponse} response */
function headerLines(response) {
  return Object.entries(response.headers())
    .filter(([name]) => name !== 'set-cookie')
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n');
}

/** How often Kafka has what a user said. @param {string} text */
export async function timesSaid(text) {
  const records = await kafka.read('chat.inbound');
  return records.filter(({ value }) => value.includes(text)).length;
}
