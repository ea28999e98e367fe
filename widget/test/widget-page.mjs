// Page object of the browser tests: the built widget in a real Chromium, on the demo host page with its strict policy,
// against a stub edge on another origin.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach } from 'node:test';

import { hostServer } from '../../examples/host/server.mjs';
import { LAUNCH_OPTIONS } from '../../tests/support/chromium.mjs';
import { build } from '../build.mjs';
import { ADA, StubEdge } from './stub-edge.mjs';

const TIMEOUT_MS = 10_000;

/**
 * To be called in a `describe`. Hooks outside of a suite run even if a name pattern selects no test. `after` then
 * does not wait for `before`, and Chromium would keep running.
 * @returns {WidgetPage} a page object for the tests of the suite, with a new browser context for each test
 */
export function useWidgetPage() {
  const widget = new WidgetPage();
  before(() => widget.start());
  after(() => widget.stop());
  beforeEach(() => widget.newPage());
  afterEach(() => widget.closePage());
  return widget;
}

export class WidgetPage {
  edge = new StubEdge();
  edgeOrigin = '';
  hostOrigin = '';
  /** Folder of the built widget, which the stub edge serves. */
  dist = '';
  /** @type {import('node:http').Server | undefined} */
  #host;
  /** @type {import('playwright-core').Browser | undefined} */
  #browser;
  /** @type {import('playwright-core').BrowserContext | undefined} */
  #context;
  /** @type {import('playwright-core').Page | undefined} */
  #page;
  /** Script errors and policy violations of the page. @type {string[]} */
  #errors = [];

  get context() {
    assert.ok(this.#context);
    return this.#context;
  }

  get page() {
    assert.ok(this.#page);
    return this.#page;
  }

  async start() {
    this.dist = await mkdtemp(join(tmpdir(), 'chat-widget-'));
    await build(this.dist);
    this.edgeOrigin = await this.edge.listen(this.dist);
    const host = (this.#host = hostServer(this.edgeOrigin));
    await new Promise((resolve) => host.listen(0, '127.0.0.1', () => resolve(undefined)));
    const { port } = /** @type {import('node:net').AddressInfo} */ (host.address());
    this.hostOrigin = `http://localhost:${port}`;
    // Not imported at the top: files of which a name pattern selects no test need not load it, which takes a second.
    const { chromium } = await import('playwright-core');
    this.#browser = await chromium.launch(LAUNCH_OPTIONS);
  }

  async stop() {
    await this.#browser?.close();
    this.edge.close();
    this.#host?.closeAllConnections();
    this.#host?.close();
    await rm(this.dist, { recursive: true, force: true });
  }

  /** @param {import('playwright-core').BrowserContextOptions} [options] */
  async newPage(options) {
    assert.ok(this.#browser);
    this.edge.reset();
    this.#errors = [];
    const viewport = { width: 1280, height: 860 };
    this.#context = await this.#browser.newContext({ locale: 'en-GB', viewport, ...options });
    this.#context.setDefaultTimeout(TIMEOUT_MS);
    this.#page = await this.#context.newPage();
    this.#page.on('pageerror', (error) => this.#errors.push(String(error)));
    this.#page.on('console', (message) => {
      if (/Content.Security.Policy|Trusted ?Type|violates/i.test(message.text())) this.#errors.push(message.text());
    });
  }

  async closePage() {
    await this.context.close();
    assert.deepEqual(this.#errors, [], 'no script errors or policy violations');
  }

  async open(url = `${this.hostOrigin}/`) {
    await this.page.goto(url);
  }

  async openSignedIn() {
    this.edge.user = ADA;
    await this.open();
    await this.waitForStatus('Online');
  }

  /** @param {string} text */
  async send(text) {
    await this.page.getByPlaceholder('Write a message').fill(text);
    await this.page.keyboard.press('Enter');
  }

  /** @param {string} text */
  async waitForStatus(text) {
    await this.page.locator('chat-widget .status', { hasText: text }).waitFor();
  }

  /** @param {string} name */
  async waitForUser(name) {
    await this.page.locator('chat-widget .name', { hasText: name }).waitFor();
  }

  /** @param {string} text */
  async waitForNote(text) {
    await this.page.waitForFunction(
      (expected) => document.querySelector('chat-widget')?.shadowRoot?.querySelector('.note')?.textContent === expected,
      text,
    );
  }

  /** @param {{ role?: 'user' | 'assistant', state?: string, text?: string }} message `text` may be that of its state */
  async waitForMessage({ role, state, text }) {
    const items = this.page.locator(`chat-widget li${role ? `.${role}` : ''}${state ? `[data-state=${state}]` : ''}`);
    const matching = text === undefined ? items : items.filter({ hasText: text });
    await matching.first().waitFor();
  }

  /** @returns {Promise<string[]>} texts of the messages shown, in order */
  messageTexts() {
    return this.page.locator('chat-widget .bubble').allTextContents();
  }
}

/**
 * Waits for a condition in this process, not in the page.
 * @param {() => boolean} condition
 * @param {string} description
 */
export async function until(condition, description) {
  const deadline = Date.now() + TIMEOUT_MS;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `timed out: ${description}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
