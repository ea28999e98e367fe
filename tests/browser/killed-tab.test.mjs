// A tab that crashes after Kafka has accepted a message and before the tab learns of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import puppeteer from 'puppeteer-core';

import { LAUNCH_OPTIONS } from '../support/chromium.mjs';
import { ChatPage, timesSaid } from './chat-page.mjs';
import { launch, skip } from './firefox.mjs';
import { stack } from './product.mjs';

/** @typedef {import('puppeteer-core').Page} Page */

async function chromium() {
  const browser = await puppeteer.launch(LAUNCH_OPTIONS);
  const killTab = async (/** @type {Page} */ page) => {
    const session = await page.createCDPSession();
    const crashed = new Promise((resolve) => page.once('error', resolve));
    // It is never answered.
    session.send('Page.crash').catch(() => {});
    await crashed;
  };
  return { browser, killTab };
}

/**
 * The next message that a page sends reaches the edge, but the edge's answer does not reach the page.
 * @param {Page} page @param {string} text of the message
 * @returns {Promise<{ status: Promise<number> }>} of that answer
 */
async function withholdAnswer(page, text) {
  const { promise, resolve, reject } = Promise.withResolvers();
  page.on('request', (request) => {
    if (request.method() === 'POST' && request.url().endsWith('/events/chat')) {
      postAs(page, request, JSON.stringify({ type: 'message', data: { text } })).then(resolve, reject);
    } else {
      request.continue().catch(() => {});
    }
  });
  await page.setRequestInterception(true);
  return { status: promise };
}

/**
 * Makes a page's request outside of it.
 * @param {Page} page @param {import('puppeteer-core').HTTPRequest} request @param {string} body
 */
async function postAs(page, request, body) {
  const cookies = await page.browserContext().cookies();
  const response = await fetch(request.url(), {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'idempotency-key': request.headers()['idempotency-key'] ?? '',
      'x-causeway-user': request.headers()['x-causeway-user'] ?? '',
      'x-csrf': '1',
      origin: stack.hostOrigin,
      'sec-fetch-site': 'same-site',
      cookie: cookies.map(({ name, value }) => `${name}=${value}`).join('; '),
    },
    body,
  });
  return response.status;
}

for (const [name, start, isSkipped] of /** @type {const} */ ([
  ['Chromium', chromium, false],
  ['Firefox', launch, skip],
])) {
  test(`${name}: a tab killed between acceptance and answer sent its message once`, { skip: isSkipped }, async (t) => {
    const { browser, killTab } = await start();
    t.after(() => browser.close());
    const context = browser.defaultBrowserContext();
    const killed = await ChatPage.open(context);
    await killed.signIn('Hedy Lamarr');
    await killed.waitFor('.status', 'Online');

    const text = `From a tab of ${name} that is killed`;
    const { status } = await withholdAnswer(killed.page, text);
    await killed.send(text);
    assert.equal(await status, 202);
    assert.equal(await timesSaid(text), 1);
    await killTab(killed.page);

    const chat = await ChatPage.open(context);
    await chat.waitFor('li.user[data-state=done]', text);
    await chat.untilKept(text, false);
    // The new tab could not know, and has tried again. Kafka has the message once.
    assert.equal(killed.keys.length, 1);
    assert.deepEqual(chat.keys, killed.keys);
    assert.equal(await timesSaid(text), 1);
    assert.equal(await chat.count('li.user', text), 1);
    assert.deepEqual([...killed.errors, ...chat.errors], []);
  });
}
