// Several copies of the widget on one page: of the same build, of another version, and an element of somebody else.

import assert from 'node:assert/strict';
import { copyFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { ADA } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

describe('versions on one page', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  /** Opens a page without a widget. */
  async function open() {
    edge.user = ADA;
    await widget.open(`${widget.hostOrigin}/ways/`);
  }

  /**
   * Mounts the widget of a module into a new element of the page.
   * @param {string} id of the element
   * @param {string} path of the module below /assets/
   */
  async function mount(id, path) {
    await widget.page.evaluate(
      async ({ id, url }) => {
        const module = await import(url);
        const div = document.body.appendChild(document.createElement('div'));
        div.id = id;
        Reflect.set(globalThis, `unmount-${id}`, module.mount(div, { heading: `Chat ${id}` }));
      },
      { id, url: `${widget.edgeOrigin}/assets/${path}` },
    );
    await widget.page.getByRole('heading', { name: `Chat ${id}` }).waitFor();
    await widget.page.locator(`#${id} .status`, { hasText: 'Online' }).waitFor();
  }

  const tagIn = (/** @type {string} */ id) =>
    widget.page.locator(`#${id}`).evaluate((div) => div.firstElementChild?.localName ?? '');

  /** Serves what another version would be, below /assets/other/. */
  async function serveOther() {
    const other = join(widget.dist, 'other');
    await mkdir(other, { recursive: true });
    const names = (await readdir(widget.dist)).filter((name) => name.endsWith('.js'));
    await Promise.all(names.map((name) => copyFile(join(widget.dist, name), join(other, name))));
    const code = await readFile(join(widget.dist, 'chat-widget.js'), 'utf8');
    await writeFile(
      join(other, 'chat-widget.js'),
      code.replaceAll(buildIdOf(code), '0ther000').replaceAll('Write a message', 'Write to the other version'),
    );
  }

  test('each mount is of its own version, and both work until they are removed', async () => {
    await serveOther();
    await open();
    await mount('one', 'chat-widget.js');
    await mount('two', 'other/chat-widget.js');
    assert.equal(await tagIn('one'), 'chat-widget');
    assert.equal(await tagIn('two'), 'chat-widget-0ther000');
    edge.publish('message', { id: 'a', text: 'to both' });
    for (const id of ['one', 'two']) await widget.page.locator(`#${id} .bubble`, { hasText: 'to both' }).waitFor();
    for (const [id, placeholder] of [
      ['one', 'Write a message'],
      ['two', 'Write to the other version'],
    ]) {
      await widget.page
        .locator(`#${id}`)
        .getByPlaceholder(placeholder ?? '')
        .fill(`from ${id}`);
      await widget.page.keyboard.press('Enter');
    }
    await until(() => edge.posts.length === 2, 'both sent');
    for (const id of ['one', 'two'])
      for (const text of ['from one', 'from two'])
        await widget.page.locator(`#${id} .bubble`, { hasText: text }).first().waitFor();
    assert.deepEqual(edge.posts.map(({ text }) => text).toSorted(), ['from one', 'from two'], 'each was sent once');
    await widget.page.evaluate(() => Reflect.get(globalThis, 'unmount-one')());
    edge.publish('message', { id: 'b', text: 'to the other' });
    await widget.page.locator('#two .bubble', { hasText: 'to the other' }).waitFor();
    await widget.page.evaluate(() => Reflect.get(globalThis, 'unmount-two')());
    await until(() => edge.streams.size === 0, 'no stream is open');
  });

  test('copies of one build share their element and stream', async () => {
    await open();
    await mount('one', 'chat-widget.js');
    await mount('two', 'chat-widget.js?copy');
    assert.equal(await tagIn('two'), 'chat-widget');
    assert.equal(edge.streams.size, 1);
  });

  test('an element of the same name that is no chat is left alone', async () => {
    await open();
    await widget.page.evaluate(() => customElements.define('chat-widget', class extends HTMLElement {}));
    await mount('one', 'chat-widget.js');
    assert.match(await tagIn('one'), /^chat-widget-\w{8}$/);
  });

  test('the classic script mounts its own version, and unmounts also before it is loaded', async () => {
    await serveOther();
    await open();
    await mount('one', 'chat-widget.js');
    await widget.page.evaluate(async (url) => {
      await import(url);
      const { ChatWidget } = /** @type {any} */ (globalThis);
      ChatWidget.mount(document.body, { heading: 'Never shown' })();
      ChatWidget.mount(document.body, { heading: 'Classic' });
    }, `${widget.edgeOrigin}/assets/other/chat-widget.iife.js`);
    await widget.page.getByRole('heading', { name: 'Classic' }).waitFor();
    assert.equal(await widget.page.locator('body > chat-widget-0ther000').count(), 1);
  });

  test('an image that the page calls `currentScript` does not choose what the classic script loads', async () => {
    widget.edge.pages.set('/classic', {
      policy: "script-src 'self'; img-src 'self'",
      html: `<!doctype html><img name="currentScript" src="/evil/x.png" alt="">
        <script src="/assets/chat-widget.iife.js"></script><body></body>`,
    });
    /** @type {string[]} */
    const asked = [];
    widget.page.on('request', (request) => asked.push(new URL(request.url()).pathname));
    await widget.open(`${widget.edgeOrigin}/classic`);
    await until(() => asked.some((path) => path.endsWith('/chat-widget.js')), 'the module');
    assert.ok(!asked.includes('/evil/chat-widget.js'), asked.join(' '));
  });
});

/** @param {string} code of a bundle */
function buildIdOf(code) {
  const [, id] = /static build="(\w{8})"/.exec(code) ?? [];
  assert.ok(id, 'the class says which build it is of');
  return id;
}
