// Requests that schemathesis makes of docs/openapi.yaml, valid and broken ones: the edge answers each as the document
// says, and none with a failure of its own.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

import { CACHE, ROOT } from '../../scripts/stack/path.mjs';
import { Stream } from '../support/stream.mjs';
import { exists } from './route-probe.mjs';
import { stack, unique, user } from './stack.mjs';

const PROGRAM = join(CACHE, 'python/bin/schemathesis');
const TIMEOUT_MS = 100_000;
/** Of what a run prints at its end. */
const SHOWN_CHARACTERS = 8_000;

/**
 * Tries all operations of the document but the excluded ones.
 * @param {Record<string, string>} headers of every request @param {string[]} excluded options
 * @returns {Promise<string>} what was tried
 */
async function explore(headers, excluded) {
  const sent = Object.entries(headers).flatMap(([name, value]) => ['--header', `${name}: ${value}`]);
  // What an upstream answers is its own. Some runtimes lack the bridge's operations.
  const more = ['--exclude-tag', 'apis', ...(exists('/internal/deliver') ? [] : ['--exclude-tag', 'bridge'])];
  const { code, text } = await run([
    '--config-file',
    join(import.meta.dirname, 'schemathesis.toml'),
    'run',
    join(ROOT, 'docs/openapi.yaml'),
    '--url',
    stack.edgeOrigin,
    '--no-color',
    ...sent,
    ...more,
    ...excluded,
  ]);
  assert.equal(code, 0, text.slice(-SHOWN_CHARACTERS));
  return /\d+ generated.*/.exec(text)?.[0] ?? '';
}

/** @param {string[]} words @returns {Promise<{ code: unknown, text: string }>} */
function run(words) {
  return new Promise((resolve) => {
    // In the stack's folder, so that it leaves nothing behind.
    const options = { cwd: stack.state, timeout: TIMEOUT_MS, maxBuffer: 64 * 1024 * 1024 };
    execFile(PROGRAM, words, options, (error, out, problems) =>
      resolve({ code: error ? (error.code ?? error.signal) : 0, text: out + problems }),
    );
  });
}

const fromOwnPage = { Origin: stack.edgeOrigin, 'Sec-Fetch-Site': 'same-origin' };

test("a visitor's requests are answered as docs/openapi.yaml says", async (t) => {
  t.diagnostic(await explore(fromOwnPage, []));
});

test("a signed-in user's requests are answered as docs/openapi.yaml says", async (t) => {
  const { browser } = await user('entra', 'dorothy');
  // A stream begins with what was said before, so that none is waited for.
  const text = unique('said before');
  assert.equal((await browser.postEvent('message', { text })).status, 202);
  const stream = await Stream.open(browser);
  await stream.receives(text);
  stream.cut();
  const headers = { ...fromOwnPage, Cookie: browser.cookieHeader ?? '' };
  t.diagnostic(await explore(headers, ['--exclude-operation-id', 'logout']));
  assert.equal((await browser.session()).authenticated, true, 'the user was signed in to the end');
});
