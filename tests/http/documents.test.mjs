// The commands of documents that need a running product, and the backend of the tutorial.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { kafkaIsInstalled } from '../../scripts/stack/part/kafka.mjs';
import { blocksOf, namedBlock } from '../docs/block.mjs';
import { PAGES } from '../docs/check.mjs';
import { runBlocks, withAddresses } from '../docs/run.mjs';
import { signedIn } from '../support/sign-in.mjs';
import { Stream } from '../support/stream.mjs';
import { stack, unique, user } from './stack.mjs';

/** @param {string} id of the user that documents call github:583231 */
const stand = (id) => ({
  'http://localhost:8787': stack.edgeOrigin,
  'http://localhost:8080': stack.hostOrigin,
  '127.0.0.1:9092': stack.brokers,
  'github:583231': id,
});

/** What a page's commands say to the user. @type {Record<string, string>} */
const SAID = { 'README.md': 'Your parcel arrives today.', 'docs/tutorial.md': 'Hello from my terminal.' };

for (const page of PAGES) {
  const blocks = blocksOf(page);
  if (blocks.every(({ mark }) => mark?.kind !== 'stack')) continue;
  test(`the commands of ${page} run on the stack`, async () => {
    const { browser, user: ada } = await user('github', 'ada');
    const stream = await (await Stream.open(browser)).opened();
    assert.deepEqual(await runBlocks(blocks, 'stack', stand(ada.id)), []);
    if (SAID[page]) await stream.receives(SAID[page]);
    stream.cut();
  });
}

// The broker that stands in for Apache Kafka has no consumer groups.
test('the backend of the tutorial answers', { skip: !kafkaIsInstalled() && 'needs Apache Kafka' }, async () => {
  const { browser, user: ada } = await signedIn(stack, 'github', 'ada');
  const code = withAddresses(namedBlock('docs/tutorial.md', 'backend').code, stand(ada.id));
  const backend = spawn('python3', ['-c', code], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  try {
    let printed = '';
    backend.stderr.setEncoding('utf8').on('data', (text) => (printed += text));
    while (!printed.includes('assigned')) await once(backend.stderr, 'data', { signal: AbortSignal.timeout(20_000) });
    const stream = await (await Stream.open(browser)).opened();
    let isAnswered = false;
    const answered = stream
      .until('the backend answers', () => stream.texts.some((text) => /^You said \d+ characters: hello, my/.test(text)))
      .then(() => (isAnswered = true));
    while (!isAnswered) {
      // A backend that has just been assigned a partition may begin after the message.
      assert.equal((await browser.postEvent('message', { text: unique('hello, my backend') })).status, 202);
      await Promise.race([answered, delay(500)]);
    }
    stream.cut();
  } finally {
    // With kcat, which it started.
    process.kill(-(backend.pid ?? 0), 'SIGTERM');
  }
});
