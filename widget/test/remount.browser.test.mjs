// What a page that mounts and removes the widget again and again is left with: no stream, and no more than after once.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ADA } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

describe('remounting', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  /**
   * Mounts two widgets at a time, and removes them in one of the ways that pages have.
   * @param {number} rounds
   */
  const remount = (rounds) =>
    widget.page.evaluate(
      async ({ url, rounds }) => {
        const { mount } = await import(url);
        for (let i = 0; i < rounds; i += 1) {
          const div = document.body.appendChild(document.createElement('div'));
          const unmounts = [mount(div), mount(div)];
          const areOnline = [...div.children].map(
            (one) =>
              new Promise((resolve) =>
                one.addEventListener('chat-status', (event) => {
                  if (/** @type {CustomEvent} */ (event).detail.status === 'online') resolve(undefined);
                }),
              ),
          );
          // Every second pair stays long enough to open its stream.
          if (i % 2) await Promise.all(areOnline);
          if (i % 3 === 0) for (const unmount of unmounts) unmount();
          if (i % 3 === 1) div.replaceChildren();
          div.remove();
        }
      },
      { url: `${widget.edgeOrigin}/assets/chat-widget.js`, rounds },
    );

  test('two widgets share one stream, which goes with the last of them', async () => {
    edge.user = ADA;
    await widget.open(`${widget.hostOrigin}/ways/`);
    await widget.page.evaluate(async (url) => {
      const { mount } = await import(url);
      for (const id of ['one', 'two']) {
        const div = document.body.appendChild(document.createElement('div'));
        div.id = id;
        mount(div);
      }
    }, `${widget.edgeOrigin}/assets/chat-widget.js`);
    for (const id of ['one', 'two']) await widget.page.locator(`#${id} .status`, { hasText: 'Online' }).waitFor();
    assert.equal(edge.streams.size, 1);
    edge.publish('message', { id: 'a', text: 'to both' });
    for (const id of ['one', 'two']) await widget.page.locator(`#${id} .bubble`, { hasText: 'to both' }).waitFor();
    // Without unmounting.
    await widget.page.evaluate(() => document.querySelector('#one')?.remove());
    edge.publish('message', { id: 'b', text: 'to one' });
    await widget.page.locator('#two .bubble', { hasText: 'to one' }).waitFor();
    assert.equal(edge.streams.size, 1);
    await widget.page.evaluate(() => document.querySelector('#two')?.remove());
    await until(() => edge.streams.size === 0, 'no stream is open');
  });

  test('a hundred removals, in every way, leave no more than the first', { timeout: 120_000 }, async () => {
    edge.user = ADA;
    await widget.open(`${widget.hostOrigin}/ways/`);
    await remount(6);
    const before = await pageCounts();
    await remount(100);
    const after = await pageCounts();
    const both = JSON.stringify({ before, after });
    assert.equal(after.widgets, 0, both);
    assert.ok(after.listeners <= before.listeners, both);
    assert.ok(after.nodes <= before.nodes + 20, both);
    await until(() => edge.streams.size === 0, 'no stream is open');
  });

  /**
   * Waits until the widgets are collected, which a timer of the announcer may delay, and counts what the page has then.
   * @returns {Promise<{ widgets: number, listeners: number, nodes: number }>}
   */
  async function pageCounts() {
    const tools = await widget.context.newCDPSession(widget.page);
    await tools.send('Performance.enable');
    const url = `${widget.edgeOrigin}/assets/chat-widget.js`;
    const expression = `import('${url}').then(({ ChatWidget }) => ChatWidget.prototype)`;
    const { result: prototype } = await tools.send('Runtime.evaluate', { expression, awaitPromise: true });
    assert.ok(prototype.objectId);
    const deadline = Date.now() + 10_000;
    let widgets;
    do {
      // It collects garbage first.
      const { objects } = await tools.send('Runtime.queryObjects', { prototypeObjectId: prototype.objectId });
      assert.ok(objects.objectId);
      const { result } = await tools.send('Runtime.callFunctionOn', {
        objectId: objects.objectId,
        functionDeclaration: 'function () { return this.length; }',
        returnByValue: true,
      });
      widgets = result.value;
      await tools.send('Runtime.releaseObject', { objectId: objects.objectId });
    } while (widgets > 0 && Date.now() < deadline);
    await tools.send('HeapProfiler.collectGarbage');
    const { metrics } = await tools.send('Performance.getMetrics');
    const metric = (/** @type {string} */ name) => metrics.find((one) => one.name === name)?.value ?? NaN;
    await tools.detach();
    return { widgets, listeners: metric('JSEventListeners'), nodes: metric('Nodes') };
  }
});
