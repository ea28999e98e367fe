// Two versions at once: the edge of one, with its widget, and the bridge of the other. scripts/compatibility builds the
// other one and runs this.

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { test } from 'node:test';

import { chromium } from 'playwright-core';

import { freePorts } from '../../scripts/stack/port.mjs';
import { Stack } from '../../scripts/stack/stack.mjs';
import { versionsOf } from '../layout/release.mjs';
import { LAUNCH_OPTIONS } from '../support/chromium.mjs';

/** @typedef {{ name: string, root: string, target: string }} Version target: where cargo built it */

const { CAUSEWAY_RELEASE: release = '', CARGO_TARGET_DIR: target = '' } = process.env;
assert.ok(release && target, 'run scripts/compatibility');

/** @type {Version} */
const now = { name: 'now', root: resolve(import.meta.dirname, '../..'), target };
/** @type {Version} */
const before = { name: 'the release', root: release, target: join(release, 'target/native') };

/** @param {Version} version */
const contract = ({ root }) => versionsOf((path) => readFileSync(join(root, path), 'utf8')).contract;
const skip = contract(now) !== contract(before) && 'the contract has changed: each refuses the other';

for (const [mine, other] of /** @type {const} */ ([
  [now, before],
  [before, now],
]))
  test(`the edge of ${mine.name} works with the bridge of ${other.name}`, { skip }, async (context) => {
    const state = mkdtempSync(join(tmpdir(), 'causeway-test-'));
    const shared = { target: /** @type {const} */ ('workers'), state, ports: await freePorts(), brokers: '' };
    const common = new Stack({ ...shared, only: ['kafka', 'emulators', 'assistant', 'host'] });
    const edge = await stackOf(mine, { ...shared, only: ['edge'] });
    const bridges = [
      await stackOf(other, { ...shared, only: ['bridge'] }),
      await stackOf(mine, { ...shared, only: ['bridge'] }),
    ];
    const browser = await chromium.launch(LAUNCH_OPTIONS);
    let hasPassed = false;
    context.after(async () => {
      await browser.close();
      for (const one of [...bridges, edge, common]) await one.stop();
      // Otherwise the logs are of use.
      if (hasPassed) rmSync(state, { recursive: true, force: true });
    });
    await common.start();
    await edge.start();
    const page = await browser.newPage();
    await page.goto(`${common.hostOrigin}/`);
    await page.getByRole('link', { name: /GitHub/ }).click();
    await page.getByRole('button', { name: /Ada Lovelace/ }).click();
    const answers = page.locator('chat-widget li.assistant[data-state=done]');
    for (const [index, bridge] of bridges.entries()) {
      await bridges[index - 1]?.stop();
      // What is said now waits for the bridge.
      await page.getByPlaceholder('Write a message').fill(`Message ${index}`);
      await page.keyboard.press('Enter');
      await bridge.start();
      await answers.nth(index).waitFor();
    }
    assert.equal(await answers.count(), bridges.length);
    assert.equal(await page.locator('chat-widget li.user').count(), bridges.length);
    hasPassed = true;
  });

/**
 * Parts of a version, started by its own code.
 * @param {Version} version @param {ConstructorParameters<typeof Stack>[0]} options @returns {Promise<Stack>}
 */
async function stackOf(version, options) {
  /** @type {{ Stack: typeof Stack }} */
  const own = await import(pathToFileURL(join(version.root, 'scripts/stack/stack.mjs')).href);
  // Read when the parts are made.
  process.env.CARGO_TARGET_DIR = version.target;
  try {
    return new own.Stack(options);
  } finally {
    process.env.CARGO_TARGET_DIR = target;
  }
}
