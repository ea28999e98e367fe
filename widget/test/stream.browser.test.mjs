import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { until, useWidgetPage } from './widget-page.mjs';

describe('the stream', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  test('S141: messages from other frames have no effect', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    await widget.page.evaluate(() => {
      const forged = [
        { id: 'x', type: 'message', data: { text: 'hacked' } },
        { type: 'signed_out' },
        { event: 'end', data: { reason: 'revoked' } },
        { user: { id: 'evil:admin' } },
        'reset',
        null,
      ];
      for (const data of [...forged, ...forged.map((value) => JSON.stringify(value))]) {
        window.postMessage(data, '*');
        for (const target of [window, document, ...document.querySelectorAll('chat-widget')]) {
          target.dispatchEvent(
            new MessageEvent('message', { data, origin: 'https://evil.example', source: window, bubbles: true }),
          );
        }
      }
    });
    edge.publish('message', { id: 'b', text: 'two' });
    await widget.waitForMessage({ text: 'two' });
    assert.deepEqual(await widget.messageTexts(), ['one', 'two']);
    assert.equal(edge.streams.size, 1);
  });

  test('S153: resumes after the last record, without duplicates', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    const last = edge.publish('message', { id: 'b', text: 'two' });
    await widget.waitForMessage({ text: 'two' });
    edge.cutStreams();
    edge.publish('message', { id: 'c', text: 'three' });
    await widget.waitForMessage({ text: 'three' });
    assert.equal(edge.lastEventIds.at(-1), last.id);
    assert.deepEqual(await widget.messageTexts(), ['one', 'two', 'three']);
  });

  test('a rejected stream is reopened from a snapshot, without duplicates', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    edge.streamFailures = [503];
    edge.cutStreams();
    edge.publish('message', { id: 'b', text: 'two' });
    await widget.waitForMessage({ text: 'two' });
    assert.equal(edge.lastEventIds.at(-1), undefined);
    assert.deepEqual(await widget.messageTexts(), ['one', 'two']);
  });

  test('records of an interrupted stream are shown once the session is confirmed', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    edge.sessionFailures = [503, 503];
    edge.cutStreams();
    edge.publish('message', { id: 'b', text: 'two' });
    await widget.waitForMessage({ text: 'two' });
    assert.deepEqual(edge.sessionFailures, []);
    assert.deepEqual(await widget.messageTexts(), ['one', 'two']);
  });

  test('a rejected stream reveals that the session has ended', async () => {
    await widget.openSignedIn();
    edge.user = null;
    edge.cutStreams();
    await widget.page.getByText('Your session has ended').waitFor();
  });

  test('offline is shown, and text written offline is sent later', async () => {
    await widget.openSignedIn();
    await widget.context.setOffline(true);
    await widget.waitForStatus('You are offline');
    await widget.send('written offline');
    await widget.waitForMessage({ role: 'user', state: 'sending', text: 'Waiting to be sent' });
    await widget.context.setOffline(false);
    await widget.waitForStatus('Online');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'written offline' });
    assert.deepEqual(
      edge.posts.map(({ text }) => text),
      ['written offline'],
    );
  });

  test('is reopened after the machine slept', async () => {
    await widget.page.clock.install();
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.page.clock.fastForward('30:00');
    await until(() => edge.lastEventIds.length === 2 && edge.streams.size === 1, 'a new stream is open');
    edge.publish('message', { id: 'b', text: 'two' });
    await widget.waitForMessage({ text: 'two' });
    assert.deepEqual(await widget.messageTexts(), ['one', 'two']);
  });

  test('is reopened where it was when the edge gives no more signs of life', async () => {
    await widget.page.clock.install();
    const last = edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    // It began with one.
    edge.publish('message', { id: 'b', text: 'two' });
    await widget.waitForMessage({ text: 'two' });
    edge.deafen();
    const lost = edge.publish('message', { id: 'c', text: 'three' });
    await widget.page.clock.fastForward(30_000);
    assert.equal(edge.lastEventIds.length, 1, 'three signs of life may be late');
    await widget.page.clock.fastForward(30_000);
    await widget.waitForMessage({ text: 'three' });
    assert.deepEqual(edge.lastEventIds, [undefined, edge.history.at(-2)?.id]);
    assert.deepEqual(await widget.messageTexts(), ['one', 'two', 'three']);
    assert.ok(last.id < lost.id);
    // What stays silent is opened anew less and less often. Longer steps would look like sleep.
    for (const [seconds, streams] of /** @type {const} */ ([
      [60, 2],
      [60, 3],
      [60, 3],
      [60, 3],
      [75, 4],
    ])) {
      // A new stream begins with a sign of life, and asks who the user is. Heard after the next step, the sign would
      // count as one that came later.
      const isNew = edge.lastEventIds.length < streams;
      const answer = isNew ? widget.page.waitForResponse('**/auth/session') : undefined;
      await widget.page.clock.fastForward(seconds * 1000);
      await until(() => edge.lastEventIds.length >= streams, `stream ${streams}`);
      await (await answer)?.finished();
      assert.equal(edge.lastEventIds.length, streams, `after ${seconds} s`);
    }
  });

  test('is reopened after silence from the beginning, also if events had come all the time', async () => {
    await widget.page.clock.install();
    await widget.openSignedIn();
    edge.deafen();
    await widget.page.clock.fastForward(60_000);
    await until(() => edge.lastEventIds.length === 2, 'a new stream');
    for (const id of ['a', 'b', 'c']) {
      edge.publish('message', { id, text: id });
      await widget.waitForMessage({ text: id });
      await widget.page.clock.fastForward(12_000);
    }
    edge.deafen();
    await widget.page.clock.fastForward(60_000);
    await until(() => edge.lastEventIds.length === 3, 'another one');
  });

  test('an interrupted answer is marked, and resumes with the next delta', async () => {
    await widget.page.clock.install();
    await widget.openSignedIn();
    edge.publish('delta', { id: 'a', seq: 0, text: 'half an ans' });
    await widget.waitForMessage({ state: 'streaming', text: 'half an ans' });
    await widget.page.clock.fastForward('01:05');
    await widget.waitForMessage({ state: 'stalled', text: 'The answer was interrupted' });
    edge.publish('delta', { id: 'a', seq: 1, text: 'wer' });
    await widget.waitForMessage({ state: 'streaming', text: 'half an answer' });
  });

  test('a reset event shows a gap', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    edge.write('id\nevent: reset\ndata: {"reason":"out_of_buffer"}\n\n');
    edge.publish('message', { id: 'b', text: 'two' });
    await widget.page.getByText('Older messages may be missing').waitFor();
    await widget.waitForMessage({ text: 'two' });
  });

  test('what a reset event leaves out is loaded from history', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    const time = new Date(Date.now() - 1_000).toISOString();
    edge.answers.set('/events/chat/history', {
      events: ['one', 'two'].map((text, i) => ({ id: `e${i}`, type: 'message', time, data: { id: 'ab'[i], text } })),
      before: null,
      complete: true,
    });
    edge.write('id\nevent: reset\ndata: {"reason":"out_of_buffer"}\n\n');
    edge.publish('message', { id: 'c', text: 'three' });
    await widget.waitForMessage({ text: 'two' });
    assert.deepEqual(await widget.messageTexts(), ['one', 'two', 'three']);
    assert.equal(await widget.page.getByText('Older messages may be missing').count(), 0);
  });

  test('what a reset event leaves out is asked for until there is an answer, and told to the page', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    await widget.page.evaluate(() => {
      const texts = Object.assign(globalThis, { texts: /** @type {string[]} */ ([]) }).texts;
      document.addEventListener('chat-message', (event) => texts.push(Reflect.get(event, 'detail').text));
    });
    const [{ id = '' } = {}] = edge.history;
    edge.answers.set('/events/chat/history', {
      // By a clock that is slow.
      events: [{ id: 'b', type: 'message', time: '2020-01-01T00:00:00Z', data: { text: 'two' } }],
      ids: ['v1.1.0.999'],
      before: id,
      complete: true,
    });
    // The second answer comes, but not whose it is.
    edge.historyFailures = [503];
    edge.write('id\nevent: reset\ndata: {"reason":"out_of_buffer"}\n\n');
    await widget.page.getByText('Older messages may be missing').waitFor();
    await until(() => edge.calls.length === 1, 'the first attempt');
    edge.sessionFailures = [503];
    await widget.waitForMessage({ text: 'two' });
    await widget.page.getByText('Older messages may be missing').waitFor({ state: 'detached' });
    assert.deepEqual(await widget.messageTexts(), ['one', 'two']);
    assert.ok(edge.calls.length >= 2);
    assert.deepEqual(await widget.page.evaluate(() => Reflect.get(globalThis, 'texts')), ['two']);
  });
});
