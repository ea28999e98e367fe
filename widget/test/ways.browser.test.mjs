// Each way to embed the widget: the pages of examples/host/ways, with the real single-spa, webpack and Vite, under the
// strict policy of the demo. That policy and all scripts were obeyed is checked after each test.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { before, describe, test } from 'node:test';

import { buildHosts } from '../../examples/host/ways/build.mjs';
import { ADA } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

const WAYS = resolve(import.meta.dirname, '../../examples/host/ways');

describe('ways to embed', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  before(async () => {
    assert.ok(existsSync(join(WAYS, 'node_modules')), `scripts/setup installs it, or: npm ci --prefix ${WAYS}`);
    await buildHosts();
  });

  /** @param {string} name */
  async function open(name) {
    edge.user = ADA;
    await widget.open(`${widget.hostOrigin}/ways/${name}`);
  }

  const heading = (/** @type {string} */ name) => widget.page.getByRole('heading', { name, level: 2 });
  const streams = (/** @type {number} */ count) => until(() => edge.streams.size === count, `${count} streams`);

  for (const [way, name] of [
    ['a module from a URL', 'url.html'],
    ['an import map', 'import-map.html'],
    ['a classic script', 'script.html'],
    ['Module Federation in a webpack host', 'webpack/index.html'],
    ['Module Federation in a Vite host', 'vite/index.html'],
  ]) {
    test(`${way}: the user talks on the page`, async () => {
      await open(name ?? '');
      await heading('Operations desk').waitFor();
      await widget.waitForStatus('Online');
      await widget.send(`By ${way}`);
      await widget.waitForMessage({ role: 'user', state: 'done', text: `By ${way}` });
      assert.equal(edge.streams.size, 1);
      assert.equal(await widget.page.locator('chat-widget').count(), 1);
    });
  }

  test('the page of all ways leads to each', async () => {
    await widget.open(`${widget.hostOrigin}/ways/`);
    const links = await widget.page
      .getByRole('link')
      .evaluateAll((all) => all.map((link) => link.getAttribute('href')));
    assert.equal(links.length, 8);
    for (const link of links) assert.equal((await fetch(`${widget.hostOrigin}${link}`)).status, 200, link ?? '');
  });

  test('import(): nothing of the edge is loaded before it is wanted, and all of it ends', async () => {
    /** @type {string[]} */
    const requests = [];
    widget.page.on('request', (request) => requests.push(request.url()));
    await open('import.html');
    const toggle = widget.page.getByRole('button', { name: 'Talk to us' });
    await toggle.waitFor();
    assert.deepEqual(
      requests.filter((url) => url.startsWith(widget.edgeOrigin)),
      [],
    );
    await toggle.click();
    await widget.waitForStatus('Online');
    await toggle.click();
    await widget.page.locator('chat-widget').waitFor({ state: 'detached' });
    await streams(0);
    await toggle.click();
    await widget.waitForStatus('Online');
    assert.equal(edge.streams.size, 1);
  });

  test('an element: attributes and properties apply at once, and the page hears its events', async () => {
    await open('element.html');
    const { page } = widget;
    await page.locator('#status', { hasText: 'online' }).waitFor();
    await heading('Operations desk').waitFor();
    await page.getByText('Ask the desk about a shipment.').waitFor();
    await page.getByLabel('Heading').fill('Night shift');
    await heading('Night shift').waitFor();
    edge.publish('message', { id: 'a', text: 'It is in Lyon' });
    await page.locator('#messages li', { hasText: 'assistant: It is in Lyon' }).waitFor();
    assert.equal(edge.lastEventIds.length, 1, 'the same stream');
  });

  test('single-spa: a parcel is mounted, updated, unmounted and mounted again', async () => {
    await open('single-spa.html');
    const { page } = widget;
    await widget.waitForStatus('Online');
    await widget.page.getByPlaceholder('Write a message').fill('A draft');
    await page.getByRole('button', { name: 'Night shift' }).click();
    await heading('Night shift').waitFor();
    assert.equal(await widget.page.getByPlaceholder('Write a message').inputValue(), 'A draft');
    assert.equal(edge.lastEventIds.length, 1, 'the same stream');
    await page.getByRole('button', { name: 'Remove the parcel' }).click();
    await page.locator('chat-widget').waitFor({ state: 'detached' });
    await streams(0);
    await page.getByRole('button', { name: 'Mount the parcel' }).click();
    await widget.waitForStatus('Online');
    await streams(1);
  });

  test('single-spa: an update unsets what it leaves out, and keeps what the user has changed', async () => {
    edge.user = ADA;
    await widget.open(`${widget.hostOrigin}/ways/`);
    /** @param {object[]} steps the options of `mount` and of each `update` */
    const attributesAfter = (...steps) =>
      widget.page.evaluate(
        async ({ url, steps: [first, ...updates] }) => {
          const { mount, update, unmount } = await import(url);
          const own = { name: 'desk', domElement: document.body.appendChild(document.createElement('div')) };
          await mount({ ...own, ...first });
          const chat = /** @type {any} */ (own.domElement.firstElementChild);
          for (const options of updates) {
            // The user closes the chat.
            chat.removeAttribute('open');
            await update({ ...own, ...options });
          }
          const names = chat.getAttributeNames().filter((/** @type {string} */ name) => name !== 'edge');
          const strings = Object.keys(chat.strings);
          const edge = new URL(chat.getAttribute('edge')).origin;
          await unmount(own);
          return { names, strings, edge };
        },
        { url: `${widget.edgeOrigin}/assets/parcel.js`, steps },
      );
    const all = { lang: 'de', popup: true, deletable: true, channel: 'desk', heading: 'Desk', strings: { send: 'Go' } };
    assert.deepEqual(await attributesAfter({ ...all, compact: true, open: true }, { edge: widget.edgeOrigin }, {}), {
      names: [],
      strings: [],
      edge: widget.edgeOrigin,
    });
    const shown = { compact: true, open: true };
    assert.deepEqual((await attributesAfter(shown, { ...shown, heading: 'Desk' })).names, ['compact', 'heading']);
    assert.deepEqual((await attributesAfter({ compact: true }, shown)).names, ['compact', 'open']);
  });

  test('single-spa: an application follows the address, beside a parcel and on its stream', async () => {
    await open('single-spa.html');
    const { page } = widget;
    await widget.waitForStatus('Online');
    for (let round = 0; round < 2; round += 1) {
      await page.getByRole('link', { name: 'Open the application' }).click();
      await heading('Desk as an application').waitFor();
      await page.locator('#application chat-widget .status', { hasText: 'Online' }).waitFor();
      assert.equal(edge.streams.size, 1);
      await page.getByRole('link', { name: 'Close it' }).click();
      await page.locator('#application chat-widget').waitFor({ state: 'detached' });
    }
    assert.equal(await page.locator('#chat chat-widget').count(), 1);
  });
});
