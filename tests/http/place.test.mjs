// How many streams one user may have open, and that those who left are no longer counted.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { DIFFERENCES } from '../journey/difference.mjs';
import { signedIn } from '../journey/sign-in.mjs';
import { target } from '../journey/stack.mjs';
import { Stream } from '../journey/stream.mjs';
import { stack } from './stack.mjs';

const PLACES = 32;
const NOTICED_MS = DIFFERENCES[target].departureNoticedMs;

/** @param {Stream[]} streams */
const cut = (streams) => {
  for (const stream of streams) stream.cut();
};

test('a user has 32 places; whoever leaves frees one', async () => {
  // Nobody else's test keeps a stream of this user.
  const { agent } = await signedIn(stack, 'entra', 'ada');
  const open = () => Stream.open(agent);
  const first = await Promise.all(Array.from({ length: PLACES }, open));
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
  while (second.length < PLACES && Date.now() < deadline) {
    const stream = await open();
    if (stream.status === 200) second.push(stream);
    else await delay(250);
  }
  try {
    assert.equal(second.length, PLACES, `${second.length} places were free ${NOTICED_MS / 1000} s after all had left`);
    assert.equal((await open()).status, 429, 'and not one more');
  } finally {
    cut(second);
  }
});
