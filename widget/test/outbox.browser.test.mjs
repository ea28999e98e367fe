import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ADA } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

const BUSY = { status: 503, headers: { 'Retry-After': '60' } };

describe('messages that wait', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  /** The texts in the browser's database. @returns {Promise<string[]>} */
  const kept = () =>
    widget.page.evaluate(
      () =>
        new Promise((resolve, reject) => {
          const request = indexedDB.open('causeway', 1);
          request.onerror = () => reject(request.error);
          request.onsuccess = () => {
            const all = request.result.transaction('outbox').objectStore('outbox').getAll();
            all.onsuccess = () => {
              request.result.close();
              resolve(all.result.map(({ data }) => data.text));
            };
          };
        }),
    );

  /** @param {string[]} texts */
  async function areKept(texts) {
    const deadline = Date.now() + 10_000;
    while (JSON.stringify((await kept()).sort()) !== JSON.stringify([...texts].sort()))
      assert.ok(Date.now() < deadline, `kept: ${await kept()}`);
  }

  /** What is sent while offline waits in the page alone: the user is told, and it is sent once the network is back. */
  async function assertToldAndSent() {
    await widget.context.setOffline(true);
    await widget.waitForStatus('You are offline');
    await widget.send('hello');
    await widget.waitForNote('Keep this page open until it is sent.');
    await widget.context.setOffline(false);
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'hello' });
  }

  test('outlive a reload, in order and with their keys', async () => {
    await widget.openSignedIn();
    edge.postFailures = [BUSY];
    await widget.send('one');
    await widget.send('two');
    await until(() => edge.posts.length === 1, 'the first attempt');
    await areKept(['one', 'two']);
    await widget.page.reload();
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'two' });
    assert.deepEqual(
      edge.posts.map(({ text }) => text),
      ['one', 'one', 'two'],
    );
    assert.equal(edge.posts[0]?.key, edge.posts[1]?.key);
    assert.deepEqual(await widget.messageTexts(), ['one', 'two']);
    await areKept([]);
  });

  test('are sent once, even if the page goes between acceptance and answer', async () => {
    await widget.openSignedIn();
    edge.postFailures = [{ status: 202 }];
    await widget.send('hello');
    await until(() => edge.history.length === 1, 'the message is accepted');
    await widget.page.goto('about:blank');
    await widget.open();
    await until(() => edge.posts.length === 2, 'the second attempt');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'hello' });
    assert.equal(edge.history.length, 1);
    assert.equal(edge.posts[0]?.key, edge.posts[1]?.key);
    await areKept([]);
    assert.deepEqual(await widget.messageTexts(), ['hello']);
  });

  const SORRY = { status: 500, title: 'Internal error', headers: { 'Retry-After': '0.01' } };
  const failed = () => widget.waitForMessage({ role: 'user', state: 'failed', text: 'Internal error' });

  test('that failed outlive a reload, and are sent again under their key', async () => {
    await widget.openSignedIn();
    edge.postFailures = Array(5).fill(SORRY);
    await widget.send('hello');
    await failed();
    await areKept(['hello']);
    await widget.page.reload();
    await failed();
    assert.equal(edge.posts.length, 5, 'not sent by itself');
    await widget.page.getByRole('button', { name: 'Try again' }).click();
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'hello' });
    assert.equal(new Set(edge.posts.map(({ key }) => key)).size, 1);
    assert.notEqual(edge.posts.at(-1)?.repeat, undefined);
    assert.deepEqual(await widget.messageTexts(), ['hello']);
    await areKept([]);
  });

  test('that failed go when the user takes them back', async () => {
    await widget.openSignedIn();
    edge.postFailures = Array(5).fill(SORRY);
    await widget.send('hello');
    await failed();
    await areKept(['hello']);
    await widget.page.getByRole('button', { name: 'Cancel' }).click();
    await areKept([]);
    assert.equal(await widget.page.getByPlaceholder('Write a message').inputValue(), 'hello');
    await widget.page.reload();
    await widget.waitForStatus('Online');
    assert.deepEqual(await widget.messageTexts(), []);
  });

  test('that failed but were accepted are there once, before and after they are sent again', async () => {
    await widget.openSignedIn();
    const write = edge.write.bind(edge);
    /** @type {string[]} */
    const late = [];
    edge.write = (frame) => late.push(frame);
    edge.postFailures = [{ ...SORRY, isAccepted: true }, ...Array(4).fill(SORRY)];
    await widget.send('hello');
    await failed();
    edge.write = write;
    for (const frame of late) edge.write(frame);
    edge.publish('message', { id: 'b', text: 'after it' });
    await widget.waitForMessage({ text: 'after it' });
    // The echo does not say that the message itself was written.
    await failed();
    assert.deepEqual(await widget.messageTexts(), ['hello', 'after it']);
    await areKept(['hello']);
    await widget.page.getByRole('button', { name: 'Try again' }).click();
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'hello' });
    assert.deepEqual(await widget.messageTexts(), ['hello', 'after it']);
    assert.equal(new Set(edge.posts.map(({ key }) => key)).size, 1);
    await areKept([]);
  });

  test('that failed but were accepted are there once after a reload, too', async () => {
    await widget.openSignedIn();
    const write = edge.write.bind(edge);
    edge.write = () => {};
    edge.postFailures = [{ ...SORRY, isAccepted: true }, ...Array(4).fill(SORRY)];
    await widget.send('hello');
    await failed();
    await areKept(['hello']);
    edge.write = write;
    await widget.page.reload();
    await failed();
    assert.deepEqual(await widget.messageTexts(), ['hello']);
    await widget.page.getByRole('button', { name: 'Try again' }).click();
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'hello' });
    await areKept([]);
    assert.deepEqual(await widget.messageTexts(), ['hello']);
  });

  test('that are refused after their echo came are told as failed, and kept under their key', async () => {
    await widget.openSignedIn();
    edge.postFailures = [{ status: 413, title: 'Too large', isAccepted: true }];
    await widget.send('hello');
    await widget.waitForMessage({ role: 'user', state: 'failed', text: 'Too large' });
    await areKept(['hello']);
    await widget.page.getByRole('button', { name: 'Try again' }).click();
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'hello' });
    assert.equal(new Set(edge.posts.map(({ key }) => key)).size, 1);
    assert.deepEqual(await widget.messageTexts(), ['hello']);
    await areKept([]);
  });

  test('are taken over by another tab once theirs is gone', async () => {
    await widget.openSignedIn();
    const other = await widget.context.newPage();
    await other.goto(`${widget.hostOrigin}/`);
    await other.locator('chat-widget .status', { hasText: 'Online' }).waitFor();
    edge.postFailures = [BUSY];
    await other.getByPlaceholder('Write a message').fill('from the other tab');
    await other.keyboard.press('Enter');
    await until(() => edge.posts.length === 1, 'the first attempt');
    assert.deepEqual(await widget.messageTexts(), []);
    await other.close();
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'from the other tab' });
    assert.equal(edge.posts[0]?.key, edge.posts[1]?.key);
  });

  test('are deleted by signing out and by cancelling', async () => {
    await widget.openSignedIn();
    edge.postFailures = [BUSY];
    await widget.send('one');
    await widget.send('two');
    await areKept(['one', 'two']);
    const two = widget.page.locator('chat-widget li.user', { hasText: 'two' });
    await two.getByRole('button', { name: 'Cancel' }).click();
    await areKept(['one']);
    await widget.page.getByRole('button', { name: 'Sign out' }).click();
    await widget.page.getByText('Sign in to start chatting').waitFor();
    await areKept([]);
  });

  test('stay when the session ends, and are sent once the same user is back', async () => {
    await widget.openSignedIn();
    edge.postFailures = [BUSY];
    await widget.send('one');
    await until(() => edge.posts.length === 1, 'the first attempt');
    edge.user = null;
    edge.write('event: end\ndata: {"reason":"expired"}\n\n');
    await widget.waitForStatus('Session ended');
    await areKept(['one']);
    edge.user = ADA;
    await widget.page.evaluate(() => dispatchEvent(new Event('focus')));
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'one' });
    assert.equal(edge.posts[0]?.key, edge.posts[1]?.key);
    await areKept([]);
  });

  test('of a full queue are all sent after a reload', async () => {
    await widget.openSignedIn();
    edge.postFailures = [BUSY];
    for (let i = 0; i < 30; i += 1) await widget.send(`m${i}`);
    await until(() => edge.postFailures.length === 0, 'the first attempt');
    await areKept(Array.from({ length: 30 }, (_, i) => `m${i}`));
    await widget.page.reload();
    await until(() => edge.history.length === 30, 'all are accepted');
    await areKept([]);
  });

  test('of a tab that had some before are taken over by a tab that was opened in between', async () => {
    await widget.openSignedIn();
    await widget.send('before');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'before' });
    await areKept([]);
    const other = await widget.context.newPage();
    await other.goto(`${widget.hostOrigin}/`);
    await other.locator('chat-widget .status', { hasText: 'Online' }).waitFor();
    edge.postFailures = [BUSY];
    await widget.send('from the first tab');
    await until(() => edge.postFailures.length === 0, 'the first attempt');
    await areKept(['from the first tab']);
    await widget.page.goto('about:blank');
    await other.locator('chat-widget li.user[data-state=done]', { hasText: 'from the first tab' }).waitFor();
  });

  test('that the browser has no more space for are told as well', async () => {
    await widget.openSignedIn();
    await widget.page.evaluate(() => {
      IDBObjectStore.prototype.put = () => {
        throw new DOMException('full', 'QuotaExceededError');
      };
    });
    await assertToldAndSent();
  });

  test('are lost with the page if the browser keeps nothing, which the user is told', async () => {
    await widget.page.addInitScript(() => Object.defineProperty(globalThis, 'indexedDB', { value: undefined }));
    await widget.openSignedIn();
    await assertToldAndSent();
  });

  test('are sent, and told, where the browser grants no locks', async () => {
    await widget.page.addInitScript(() => {
      LockManager.prototype.request = () => Promise.reject(new DOMException('denied', 'SecurityError'));
    });
    await widget.openSignedIn();
    await assertToldAndSent();
  });

  test('keep the lock of their page as long as somebody is signed in, and no longer', async () => {
    const locks = () =>
      widget.page.evaluate(async () => {
        const { held = [] } = await navigator.locks.query();
        return held.filter(({ name }) => name?.startsWith('causeway-outbox')).length;
      });
    /** @param {number} count */
    async function areHeld(count) {
      const deadline = Date.now() + 10_000;
      while ((await locks()) !== count) assert.ok(Date.now() < deadline, `${await locks()} locks`);
    }
    for (let round = 0; round < 2; round += 1) {
      edge.user = ADA;
      await widget.open();
      await widget.waitForStatus('Online');
      await areHeld(1);
      await widget.page.getByRole('button', { name: 'Sign out' }).click();
      await areHeld(0);
      // In the same page, by another window.
      edge.user = ADA;
      await widget.page.evaluate(() => dispatchEvent(new Event('focus')));
      await widget.waitForStatus('Online');
      await areHeld(1);
      await widget.send(`round ${round}`);
      await widget.waitForMessage({ role: 'user', state: 'done', text: `round ${round}` });
    }
  });
});
