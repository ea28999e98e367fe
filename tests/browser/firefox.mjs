// Debian's Firefox, by WebDriver BiDi. Puppeteer speaks it to any release; Playwright only to the latest or to its own.

import { accessSync, constants, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import puppeteer from 'puppeteer-core';

/** @typedef {import('puppeteer-core').Page} Page */

/** So long a page works, to be told from others. */
const BUSY_MS = 500;
const PROGRAM = process.env.FIREFOX_BIN ?? '/usr/bin/firefox-esr';

/** Why no test can run in Firefox; false if they can. It is the option of a test or a suite. */
export const skip = isExecutable(PROGRAM) ? false : `no ${PROGRAM}; scripts/setup installs it where it can be had`;

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Starts a Firefox. `killTab` ends the process of a page, as a crash does. */
export async function launch() {
  // Firefox refuses to run for root in a home of somebody else, as containers have one.
  const home = mkdtempSync(join(tmpdir(), 'causeway-firefox-'));
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: PROGRAM,
    env: { ...process.env, HOME: home },
  });
  browser.on('disconnected', () => rmSync(home, { recursive: true, force: true, maxRetries: 5 }));
  return { browser, killTab: (/** @type {Page} */ page) => killTab(page, browser.process()?.pid) };
}

/**
 * WebDriver BiDi does not tell the process of a page. It is the one that works when the page does.
 * @param {Page} page @param {number | undefined} parent the Firefox
 */
async function killTab(page, parent) {
  const all = readdirSync('/proc').filter((name) => {
    const command = /^\d+$/.test(name) ? commandLine(name) : '';
    // The last word is the kind of the process.
    return command.includes(`-parentPid ${parent} `) && command.endsWith(' tab');
  });
  const before = new Map(all.map((pid) => [pid, ticks(pid)]));
  await page.evaluate((ms) => {
    for (const end = performance.now() + ms; performance.now() < end;);
  }, BUSY_MS);
  const worked = (/** @type {string} */ pid) => ticks(pid) - (before.get(pid) ?? 0);
  const [busiest] = all.sort((a, b) => worked(b) - worked(a));
  if (!busiest) throw new Error('Firefox has no process of a page');
  process.kill(Number(busiest), 'SIGKILL');
}

/** Processor time of a process. @param {string} pid */
function ticks(pid) {
  const [user = 0, system = 0] = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/.*\)/s, '')
    .split(' ')
    .slice(12)
    .map(Number);
  return user + system;
}

/** @param {string} pid */
function commandLine(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    // It has ended.
    return '';
  }
}
