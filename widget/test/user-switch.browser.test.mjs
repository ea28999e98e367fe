import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ADA, GRACE } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

describe('another user signs in from another window', () => {
  const widget = useWidgetPage();
  const { edge } = widget;

  test('their name never appears above messages of the previous user', async () => {
    edge.publish('message', { id: 'a', text: 'for Ada' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'for Ada' });
    await widget.page.evaluate(() => {
      const root = document.querySelector('chat-widget')?.shadowRoot;
      const name = root?.querySelector('.name');
      const count = () => Object.assign(globalThis, { staleBubbles: root?.querySelectorAll('.bubble').length });
      if (name) new MutationObserver(count).observe(name, { childList: true });
    });
    edge.replaceSession(GRACE);
    edge.publish('message', { id: 'b', text: 'for Grace' });
    await widget.waitForMessage({ text: 'for Grace' });
    await widget.waitForUser('Grace Hopper');
    assert.equal(
      await widget.page.evaluate(() => Reflect.get(globalThis, 'staleBubbles')),
      0,
      "no message of Ada is under Grace's name, even before a frame is drawn",
    );
    await widget.waitForNote('You are now signed in as Grace Hopper.');
    assert.deepEqual(await widget.messageTexts(), ['for Grace']);
    await widget.send('hello');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'hello' });
    assert.deepEqual(
      edge.posts.map((post) => post.user),
      [GRACE.id],
    );
    await widget.waitForNote('');
  });

  test('unsent text of the previous user is not sent, but kept for them', async () => {
    await widget.openSignedIn();
    edge.postFailures = [{ status: 503, headers: { 'Retry-After': '60' } }];
    await widget.send('from Ada');
    await until(() => edge.posts.length === 1, 'the first attempt');
    await widget.page.getByPlaceholder('Write a message').fill('half a thou');
    edge.replaceSession(GRACE);
    await widget.waitForNote(
      'You are now signed in as Grace Hopper. What Ada Lovelace had not sent is kept until they sign in again.',
    );
    assert.equal(await widget.page.getByPlaceholder('Write a message').inputValue(), '');
    await widget.send('from Grace');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'from Grace' });
    assert.deepEqual(
      edge.posts.map(({ user: id, text }) => [id, text]),
      [
        [ADA.id, 'from Ada'],
        [GRACE.id, 'from Grace'],
      ],
    );
    edge.replaceSession(ADA);
    await widget.waitForUser('Ada Lovelace');
    assert.equal(await widget.page.getByPlaceholder('Write a message').inputValue(), 'half a thou');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'from Ada' });
    assert.deepEqual([edge.posts[2]?.user, edge.posts[2]?.key], [ADA.id, edge.posts[0]?.key]);
  });

  test('messages of a resumed stream are held back until the user is known', async () => {
    edge.publish('message', { id: 'a', text: 'for Ada' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'for Ada' });
    const releaseSession = edge.holdSession();
    edge.user = GRACE;
    edge.cutStreams();
    await until(() => edge.lastEventIds.length === 2, 'the stream is reopened');
    edge.publish('message', { id: 'b', text: 'for Grace' });
    await widget.page.evaluate(
      () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
    );
    assert.deepEqual(await widget.messageTexts(), ['for Ada']);
    edge.history.shift();
    releaseSession();
    await widget.waitForMessage({ text: 'for Grace' });
    await widget.waitForUser('Grace Hopper');
    assert.deepEqual(await widget.messageTexts(), ['for Grace']);
  });

  test('a reset event reveals the change', async () => {
    edge.publish('message', { id: 'a', text: 'for Ada' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'for Ada' });
    edge.user = GRACE;
    edge.history = [];
    edge.write('id\nevent: reset\ndata: {"reason":"out_of_buffer"}\n\n');
    edge.publish('message', { id: 'b', text: 'for Grace' });
    await widget.waitForUser('Grace Hopper');
    await widget.waitForMessage({ text: 'for Grace' });
    assert.deepEqual(await widget.messageTexts(), ['for Grace']);
  });

  test('a rejected message reveals the change', async () => {
    await widget.openSignedIn();
    edge.user = GRACE;
    edge.history = [];
    await widget.send('from Ada');
    await widget.waitForNote(
      'You are now signed in as Grace Hopper. What Ada Lovelace had not sent is kept until they sign in again.',
    );
    await widget.waitForStatus('Online');
    assert.deepEqual(
      edge.posts.map(({ user: id, text }) => [id, text]),
      [[ADA.id, 'from Ada']],
    );
    assert.deepEqual(edge.history, [], 'no message was accepted');
  });

  test('text written offline by the previous user is not sent', async () => {
    await widget.openSignedIn();
    await widget.context.setOffline(true);
    await widget.waitForStatus('You are offline');
    await widget.send('from Ada');
    await widget.waitForMessage({ role: 'user', state: 'sending', text: 'from Ada' });
    edge.user = GRACE;
    await widget.context.setOffline(false);
    await widget.waitForNote(
      'You are now signed in as Grace Hopper. What Ada Lovelace had not sent is kept until they sign in again.',
    );
    await widget.waitForStatus('Online');
    assert.deepEqual(edge.posts, []);
  });

  test('the session is checked before a message is sent while the stream is down', async () => {
    await widget.openSignedIn();
    edge.streamFailures = Array(20).fill(503);
    edge.cutStreams();
    await widget.waitForStatus('Reconnecting');
    edge.user = GRACE;
    await widget.send('from Ada');
    await widget.waitForUser('Grace Hopper');
    assert.deepEqual(edge.posts, []);
    // What the browser keeps of Ada is hers.
    edge.streamFailures = [];
    await widget.page.reload();
    await widget.waitForUser('Grace Hopper');
    await widget.waitForStatus('Online');
    await widget.send('from Grace');
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'from Grace' });
    assert.deepEqual(
      edge.posts.map(({ user: id, text }) => [id, text]),
      [[GRACE.id, 'from Grace']],
    );
  });

  test('what was read out to the previous user is gone', async () => {
    await widget.openSignedIn();
    edge.publish('message', { id: 'a', text: 'for Ada' });
    const readOut = widget.page.locator('chat-widget [role=status]', { hasText: 'for Ada' });
    await readOut.waitFor({ state: 'attached' });
    edge.replaceSession(GRACE);
    await widget.waitForUser('Grace Hopper');
    assert.equal(await readOut.count(), 0);
  });

  test('a new session of the same user changes nothing', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    await widget.page.getByPlaceholder('Write a message').fill('half a thou');
    const { history } = edge;
    edge.replaceSession(ADA);
    edge.history = history;
    await until(() => edge.lastEventIds.length === 2, 'a new stream is open');
    edge.publish('message', { id: 'b', text: 'two' });
    await widget.waitForMessage({ text: 'two' });
    assert.deepEqual(await widget.messageTexts(), ['one', 'two']);
    assert.equal(await widget.page.getByPlaceholder('Write a message').inputValue(), 'half a thou');
    await widget.waitForNote('');
  });
});
