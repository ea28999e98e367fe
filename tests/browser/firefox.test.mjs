// The main journeys in Firefox. journey.test.mjs has those in Chromium.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { ChatPage, timesSaid } from './chat-page.mjs';
import { launch, skip } from './firefox.mjs';
import { kafka, stack } from './product.mjs';

const WHO = 'Grace Hopper';
const SENT = 'li.user[data-state=done]';

describe('in Firefox', { skip }, () => {
  /** @type {import('puppeteer-core').Browser} */
  let browser;
  /** @type {ChatPage} */
  let chat;

  before(async () => {
    ({ browser } = await launch());
    chat = await ChatPage.open(browser.defaultBrowserContext());
  });

  after(() => browser?.close());

  test('a visitor signs in and comes back to the same page', async () => {
    await chat.waitFor('a', 'Microsoft');
    await chat.signIn(WHO);
    assert.equal((await chat.session()).user.name, WHO);
    await chat.waitFor('.status', 'Online');
  });

  test('the user sends a message, sees it once, and the answer streams in', async () => {
    const text = 'Where is shipment LF-20797?';
    await chat.send(text);
    await chat.waitFor(SENT, text);
    await chat.waitFor('li.assistant[data-state=done]');
    assert.equal(await chat.count('li.user'), 1);
    assert.equal(await chat.count('li.assistant'), 1);
    assert.equal(await timesSaid(text), 1);
  });

  test('a record from another backend appears without a click, and its markup stays text', async () => {
    const { user } = await chat.session();
    const text = 'Your container <img src=x onerror="document.title=1"> is cleared.';
    await kafka.write({ key: user.id, value: { text } });
    await chat.waitFor('li.assistant', text);
    assert.equal(await chat.count('li img'), 0);
  });

  test('a second tab shows the conversation, and each shows what the other sends', async () => {
    const other = await ChatPage.open(chat.page.browserContext(), chat.errors);
    await other.waitFor('li.user', 'Where is shipment');
    await other.waitFor('.status', 'Online');
    await other.send('From the second tab');
    await chat.waitFor('li.user', 'From the second tab');
    await chat.page.bringToFront();
    await chat.send('From the first tab');
    await other.waitFor('li.user', 'From the first tab');
    for (const each of [chat, other]) {
      assert.equal(await each.count('li.user', 'From the first tab'), 1);
      assert.equal(await each.count('li.user', 'From the second tab'), 1);
    }
    await other.page.close();
  });

  test('a message that could not be sent outlives a reload, and is sent once', async () => {
    const text = 'Before the reload';
    await stack.parts.bridge.kill();
    await chat.send(text);
    await chat.untilKept(text, true);
    await chat.page.reload();
    await chat.waitFor('li.user', text);
    await stack.parts.bridge.start();
    await chat.waitFor(SENT, text);
    await chat.untilKept(text, false);
    assert.equal(await chat.count('li.user', text), 1);
    assert.equal(await timesSaid(text), 1);
  });

  test('messages of both sides during an outage of the edge appear after it, once', async () => {
    const { user } = await chat.session();
    await chat.waitFor('.status', 'Online');
    await stack.parts.edge.kill();
    await chat.waitFor('.status', 'Reconnecting');
    await chat.send('Sent during the outage');
    await kafka.write({ key: user.id, value: { text: 'Written during the outage' } });
    await stack.parts.edge.start();
    await chat.waitFor('li.assistant', 'Written during the outage');
    await chat.waitFor(SENT, 'Sent during the outage');
    await chat.waitFor('.status', 'Online');
    assert.equal(await chat.count('li.assistant', 'Written during the outage'), 1);
    assert.equal(await chat.count('li.user', 'Sent during the outage'), 1);
    assert.equal(await timesSaid('Sent during the outage'), 1);
  });

  test('the keyboard alone is enough', async () => {
    const { keyboard } = chat.page;
    await chat.page.reload();
    await chat.waitFor('.status', 'Online');
    await chat.tabTo('[part~=input]');
    await keyboard.type('First line');
    await keyboard.down('Shift');
    await keyboard.press('Enter');
    await keyboard.up('Shift');
    await keyboard.type('second line');
    await keyboard.press('Enter');
    await chat.waitFor(`${SENT} .bubble`, 'First line\nsecond line');
    await chat.page.reload();
    await chat.waitFor('[part~=sign-out]');
    await chat.tabTo('[part~=sign-out]');
    await keyboard.press('Enter');
    await chat.waitFor('a', 'GitHub');
    await chat.page.reload();
    await chat.waitFor('a', 'GitHub');
    await chat.tabTo('a[href*="/auth/github/"]');
    await keyboard.press('Enter');
    await chat.chooseUser(WHO);
  });

  for (const [way, page] of [
    ['a module from a URL', 'url.html'],
    ['a custom element', 'element.html'],
    ['a classic script', 'script.html'],
    ['an import map', 'import-map.html'],
  ]) {
    test(`${way} embeds the widget`, async () => {
      const text = `By ${way}`;
      await chat.page.goto(`${stack.hostOrigin}/ways/${page}`);
      await chat.waitFor('.status', 'Online');
      await chat.send(text);
      await chat.waitFor(SENT, text);
      assert.equal(await chat.count('li.user', text), 1);
      await chat.page.goto(`${stack.hostOrigin}/`);
      await chat.waitFor('li.user', text);
    });
  }

  test('signing out leaves nothing of the user in the page or the browser', async () => {
    await chat.click('[part~=sign-out]');
    await chat.waitFor('a', 'GitHub');
    assert.equal((await chat.session()).authenticated, false);
    assert.equal(await chat.count('li'), 0);
    assert.ok(!(await chat.storage()).includes('shipment'));
    await chat.page.reload();
    await chat.waitFor('a', 'GitHub');
  });

  test('no script failed and no content security policy was violated', async () => {
    assert.deepEqual(chat.errors, []);
    // The recorder would have noticed.
    await chat.page.evaluate(() => document.body.setAttribute('style', 'color: red'));
    while (!chat.errors.length) await chat.page.evaluate(() => {});
    assert.match(chat.errors.join(), /violates style-src/);
  });
});
