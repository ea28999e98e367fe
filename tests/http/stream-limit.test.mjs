// The limit of a user's open streams. Closed streams no longer count.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { RUNTIME_DIFFERENCES } from '../support/runtime-difference.mjs';
import { signedIn } from '../support/sign-in.mjs';
import { target } from '../support/stack.mjs';
import { Stream } from '../support/stream.mjs';
import { stack } from './stack.mjs';

const LIMIT = 32;
const NOTICED_MS = RUNTIME_DIFFERENCES[target].disconnectNoticedMs;

/** @param {Stream[]} streams */
const cut = (streams) => {
  for (const stream of streams) stream.cut();
};

test('a user may open 32 streams, and a closed stream makes room for another', async () => {
  // No other test opens a stream of this user.
  const { browser } = await signedIn(stack, 'entra', 'ada');
  const open = () => Stream.open(browser);
  const first = await Promise.all(Array.from({ length: LIMIT }, open));
  assert.deepEqual(
    first.map(({ status }) => status),
    first.map(() => 200),
  );
  const oneMore = await open();
  assert.equal(oneMore.status, 429);
  assert.match(oneMore.headers['retry-after'] ?? '', /^\d+$/);
  cut(first);

  /** @type {Stream[]} */
  const second = [];
  const deadline = Date.now() + NOTICED_MS;
  while (second.length < LIMIT && Date.now() < deadline) {
    const stream = await open();
    if (stream.status === 200) second.push(stream);
    else await delay(250);
  }
  try {
    assert.equal(
      second.length,
      LIMIT,
      `${second.length} streams could be opened ${NOTICED_MS / 1000} s after all were closed`,
    );
    assert.equal((await open()).status, 429, 'no more than the limit');
  } finally {
    cut(second);
  }
});
