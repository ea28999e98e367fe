// The film in the README: a user signs in and asks; the bridge dies; nothing is lost. It is made with the real product,
// and fails if the product does not do what it shows.
//
// - camera: pictures of a page, and the film   - stage: captions and clicks over it

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { chromium } from 'playwright-core';

import { LAUNCH_OPTIONS } from '../../tests/support/chromium.mjs';
import { freePorts } from '../stack/port.mjs';
import { Stack } from '../stack/stack.mjs';
import { startCamera } from './camera.mjs';
import { caption, click, pause, say } from './stage.mjs';

const SIZE = { width: 1160, height: 800 };
const MAX_BYTES = 3_000_000;

const [file = ''] = process.argv.slice(2);
const state = mkdtempSync(join(tmpdir(), 'causeway-film-'));
const stack = new Stack({ target: 'workers', state, ports: await freePorts(), brokers: '' });
try {
  await stack.start();
  const browser = await chromium.launch(LAUNCH_OPTIONS);
  try {
    const context = await browser.newContext({ viewport: SIZE, locale: 'en-GB', colorScheme: 'light' });
    context.setDefaultTimeout(30_000);
    const { seconds, bytes, pictures } = await film(await context.newPage());
    console.log(`${file}: ${seconds.toFixed(0)} s, ${pictures} pictures, ${(bytes / 1000).toFixed(0)} kB`);
    if (bytes > MAX_BYTES) throw new Error(`the film has more than ${MAX_BYTES / 1_000_000} MB`);
  } finally {
    await browser.close();
  }
} finally {
  await stack.stop();
}
rmSync(state, { recursive: true });

/** @param {import('playwright-core').Page} page */
async function film(page) {
  const messages = (/** @type {string} */ role, /** @type {string} */ text = '') =>
    page.locator(`chat-widget li.${role}[data-state=done]`).filter({ hasText: text });
  const { bridge } = stack.parts;

  await page.goto(`${stack.hostOrigin}/`);
  const gitHub = page.getByRole('link', { name: /GitHub/ });
  await gitHub.waitFor();
  const camera = await startCamera(page);
  await caption(page, 'Any web page. The chat is two lines of HTML.');
  await pause(page, 2_400);
  await click(page, gitHub);
  const ada = page.getByRole('button', { name: /Ada Lovelace/ });
  await ada.waitFor();
  await caption(page, 'Sign-in at your provider. No token reaches the browser.');
  await pause(page, 1_600);
  await click(page, ada);
  await page.locator('chat-widget').getByText('Ada Lovelace').waitFor();

  await caption(page, 'What the user says is a record in Kafka. So is each piece of the answer.');
  await pause(page, 800);
  await say(page, 'Hello! Please count.');
  await messages('assistant').first().waitFor();
  await pause(page, 1_600);

  await bridge.kill();
  await caption(page, 'Now the service between page and Kafka is killed.');
  await pause(page, 1_600);
  await say(page, 'Are you still there?');
  await page.locator('chat-widget li.user[data-state=sending]').waitFor();
  await pause(page, 1_000);
  await caption(page, 'Meanwhile a backend writes to Kafka.');
  await write((await user(page)).id, 'LF-20797 has left customs.');
  await pause(page, 2_000);

  await caption(page, 'It starts again. Nothing is lost, and nothing is there twice.');
  await bridge.start();
  await messages('assistant', 'LF-20797 has left customs.').waitFor();
  await messages('user', 'Are you still there?').waitFor();
  await messages('assistant').nth(2).waitFor();
  for (const [role, text] of /** @type {const} */ ([
    ['user', 'Are you still there?'],
    ['assistant', 'LF-20797 has left customs.'],
  ]))
    assert.equal(await messages(role, text).count(), 1, text);
  return camera.finish(resolve(file));
}

/** @param {import('playwright-core').Page} page @returns {Promise<{ id: string }>} */
async function user(page) {
  return page.evaluate(async (edge) => {
    const init = { credentials: /** @type {const} */ ('include'), headers: { 'X-CSRF': '1' } };
    return (await (await fetch(`${edge}/auth/session`, init)).json()).user;
  }, stack.edgeOrigin);
}

/** As a backend does. @param {string} key @param {string} text */
async function write(key, text) {
  const topic = ['-P', '-b', stack.brokers, '-X', 'partitioner=murmur2_random', '-t', 'chat.outbound', '-k', key];
  const child = spawn('kcat', topic, { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.end(`${JSON.stringify({ text })}\n`);
  const [code] = await once(child, 'close');
  assert.equal(code, 0, 'kcat');
}
