import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ADA } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

describe('embedding', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  test('a hundred mounts and unmounts leave neither elements nor streams', { timeout: 60_000 }, async () => {
    edge.user = ADA;
    await widget.open();
    await widget.waitForStatus('Online');
    await widget.page.evaluate(async (url) => {
      document.querySelector('chat-widget')?.remove();
      const { mount } = await import(url);
      const div = document.body.appendChild(document.createElement('div'));
      for (let i = 0; i < 100; i += 1) {
        const unmount = mount(div);
        // Every second one stays long enough to open its stream.
        if (i % 2)
          await new Promise((resolve) =>
            div.firstChild?.addEventListener(
              'chat-status',
              (event) => /** @type {CustomEvent} */ (event).detail.status === 'online' && resolve(undefined),
            ),
          );
        unmount();
        unmount();
      }
      Object.assign(globalThis, { unmountLast: mount(div) });
    }, `${widget.edgeOrigin}/assets/chat-widget.js`);
    await widget.waitForStatus('Online');
    await until(() => edge.streams.size === 1, 'one stream is open');
    await widget.page.evaluate(() => Reflect.get(globalThis, 'unmountLast')());
    await until(() => edge.streams.size === 0, 'no stream is open');
    assert.equal(await widget.page.locator('chat-widget').count(), 0);
  });

  test("works on the edge's own page, and by the classic script", async () => {
    edge.user = ADA;
    await widget.open(widget.edgeOrigin);
    await widget.waitForStatus('Online');
    edge.pages.set('/classic', {
      policy: "script-src 'self'; require-trusted-types-for 'script'",
      html: '<!doctype html><script src="/assets/chat-widget.iife.js"></script><body></body>',
    });
    await widget.open(`${widget.edgeOrigin}/classic`);
    await widget.page.evaluate(() => {
      Reflect.get(globalThis, 'ChatWidget').mount(document.body, { heading: 'Classic' });
    });
    await widget.page.getByRole('heading', { name: 'Classic' }).waitFor();
    await widget.waitForStatus('Online');
  });

  test('keeps its height in a page that gives it none, and scrolls what is longer', async () => {
    edge.user = ADA;
    await widget.open(`${widget.hostOrigin}/ways/element.html`);
    await widget.waitForStatus('Online');
    const box = () => widget.page.locator('chat-widget').boundingBox();
    const before = await box();
    assert.equal(before?.height, 480);
    for (let i = 0; i < 40; i += 1) edge.publish('message', { text: `No. ${i}` });
    await widget.waitForMessage({ text: 'No. 39' });
    assert.deepEqual(await box(), before, 'what comes in moves no part of the page');
    const log = widget.page.locator('chat-widget .log');
    assert.ok(
      await log.evaluate(({ scrollHeight, clientHeight }) => scrollHeight > clientHeight),
      'it has more to show',
    );
    assert.ok(
      await log.evaluate(({ scrollHeight, clientHeight, scrollTop }) => scrollHeight - scrollTop - clientHeight < 2),
      'the newest message is in view',
    );
  });

  test('the page receives status and messages, and replaces texts', async () => {
    await widget.openSignedIn();
    await widget.page.evaluate(() => {
      const widget = /** @type {HTMLElement & { strings: object, status: string }} */ (
        document.querySelector('chat-widget')
      );
      widget.strings = { online: 'Verbunden' };
      /** @type {Promise<unknown>} */
      const message = new Promise((resolve) =>
        widget.addEventListener('chat-message', (event) => resolve(/** @type {CustomEvent} */ (event).detail)),
      );
      Object.assign(globalThis, { message });
    });
    edge.publish('message', { id: 'a', text: 'one' });
    const detail = await widget.page.evaluate(() => Reflect.get(globalThis, 'message'));
    assert.deepEqual(detail, { id: 'a', role: 'assistant', text: 'one' });
    await widget.waitForStatus('Verbunden');
    assert.equal(await widget.page.locator('chat-widget:state(online)').count(), 1);
  });
});
