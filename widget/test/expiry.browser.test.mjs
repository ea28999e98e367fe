import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ADA, GRACE } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

const BUSY = { status: 503, headers: { 'Retry-After': '60' } };

describe('the time of a session is over', () => {
  const widget = useWidgetPage();
  const { edge } = widget;
  const input = () => widget.page.getByPlaceholder('Write a message');
  const ended = () => widget.page.getByText('Your session has ended');

  /** @param {string} [reason] */
  function end(reason = 'expired') {
    edge.user = null;
    edge.write(`event: end\ndata: {"reason":"${reason}"}\n\n`);
  }

  async function openWithMessages() {
    edge.publish('message', { id: 'a', text: 'one' });
    await widget.openSignedIn();
    await widget.waitForMessage({ text: 'one' });
    await input().fill('half a thou');
  }

  const refocus = () => widget.page.evaluate(() => dispatchEvent(new Event('focus')));

  test('the conversation stays above the way back in, which leads to where it was', async () => {
    await openWithMessages();
    edge.postFailures = [BUSY];
    await widget.send('waits');
    await until(() => edge.posts.length === 1, 'the first attempt');
    await input().fill('half a thou');
    end();
    await ended().waitFor();
    assert.deepEqual(await widget.messageTexts(), ['one', 'waits']);
    assert.ok(!(await input().isVisible()));
    await refocus();
    edge.publish('message', { id: 'b', text: 'two' });
    edge.user = ADA;
    await refocus();
    await widget.waitForMessage({ text: 'two' });
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'waits' });
    assert.deepEqual(await widget.messageTexts(), ['one', 'two', 'waits']);
    assert.equal(edge.posts[0]?.key, edge.posts[1]?.key);
    assert.equal(await input().inputValue(), 'half a thou');
    assert.ok(!(await ended().isVisible()));
    assert.equal(await widget.page.getByText('Older messages may be missing').count(), 0);
  });

  test('a message whose echo came, but no answer, is there once when the user is back', async () => {
    await openWithMessages();
    edge.postFailures = [{ status: 202 }];
    await widget.send('heard');
    await widget.waitForMessage({ role: 'user', text: 'heard' });
    await until(() => edge.history.length === 2, 'the echo');
    end();
    await ended().waitFor();
    edge.user = ADA;
    await refocus();
    await widget.waitForMessage({ role: 'user', state: 'done', text: 'heard' });
    assert.deepEqual(await widget.messageTexts(), ['one', 'heard']);
    assert.equal(new Set(edge.posts.map(({ key }) => key)).size, 1);
  });

  test('the page may be left to sign in again: the draft is there afterwards', async () => {
    await openWithMessages();
    end();
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await widget.waitForStatus('Online');
    await widget.waitForMessage({ text: 'one' });
    assert.equal(await input().inputValue(), 'half a thou');
  });

  test('with `popup` the page is not left', async () => {
    await openWithMessages();
    await widget.page.locator('chat-widget').evaluate((host) => host.setAttribute('popup', ''));
    end();
    const [popup] = await Promise.all([
      widget.page.waitForEvent('popup'),
      widget.page.getByRole('link', { name: 'Continue with GitHub' }).click(),
    ]);
    await popup.waitForEvent('close');
    await widget.waitForStatus('Online');
    assert.deepEqual(await widget.messageTexts(), ['one']);
    assert.equal(await input().inputValue(), 'half a thou');
  });

  test('it stays also if that is noticed only later', async () => {
    edge.expiresIn = 0;
    await openWithMessages();
    edge.user = null;
    edge.cutStreams();
    await ended().waitFor();
    assert.deepEqual(await widget.messageTexts(), ['one']);
  });

  test('another user sees nothing of it', async () => {
    await openWithMessages();
    end();
    await ended().waitFor();
    edge.history = [];
    edge.user = GRACE;
    await refocus();
    await widget.waitForUser('Grace Hopper');
    assert.deepEqual(await widget.messageTexts(), []);
    assert.equal(await input().inputValue(), '');
  });

  test('signing out in another tab removes it', async () => {
    await openWithMessages();
    end();
    await ended().waitFor();
    edge.user = ADA;
    const other = await widget.context.newPage();
    await other.goto(`${widget.hostOrigin}/`);
    await other.locator('chat-widget .status', { hasText: 'Online' }).waitFor();
    await other.getByRole('button', { name: 'Sign out' }).click();
    await widget.page.getByText('Sign in to start chatting').waitFor();
    assert.deepEqual(await widget.messageTexts(), []);
  });

  for (const reason of ['revoked', 'signed_out'])
    test(`a session that was ended (${reason}) leaves nothing`, async () => {
      await openWithMessages();
      end(reason);
      await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
      assert.deepEqual(await widget.messageTexts(), []);
    });

  test('drafts of two chats on a page stay apart', async () => {
    await widget.openSignedIn();
    await widget.page.locator('chat-widget').evaluate((host) => {
      const other = /** @type {Element} */ (host.cloneNode());
      other.setAttribute('channel', 'other');
      host.after(other);
    });
    const inputs = widget.page.getByPlaceholder('Write a message');
    await inputs.nth(1).waitFor();
    await inputs.nth(0).fill('for chat');
    await inputs.nth(1).fill('for other');
    end();
    await widget.page.getByText('Your session has ended').nth(1).waitFor();
    await widget.page.getByRole('link', { name: 'Continue with GitHub' }).first().click();
    await widget.waitForStatus('Online');
    await inputs.nth(0).waitFor();
    // The page has the second one again only once it is made again.
    await widget.page.locator('chat-widget').evaluate((host) => {
      const other = /** @type {Element} */ (host.cloneNode());
      other.setAttribute('channel', 'other');
      host.after(other);
    });
    await inputs.nth(1).waitFor();
    assert.deepEqual([await inputs.nth(0).inputValue(), await inputs.nth(1).inputValue()], ['for chat', 'for other']);
  });
});
