import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { ROOT } from '../../scripts/stack/path.mjs';
import { assertProblem } from '../support/problem.mjs';
import { kafka, unique, user } from './stack.mjs';

const LIMIT = Number(
  /^simple = \{ limit = (\d+), period = 60 \}$/m.exec(readFileSync(join(ROOT, 'wrangler.toml'), 'utf8'))?.[1],
);
const CONCURRENT = 50;

test('a user beyond the rate limit gets 429, nothing of it reaches Kafka, other users are not limited', async () => {
  // No other test uses this user, whose limit is used up here.
  const { browser } = await user('github', 'hedy');
  const { browser: ada } = await user('github', 'ada');
  // A request is counted before it is read, so an invalid event counts, too.
  const postInvalid = () =>
    browser.call('/events/chat', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{' });
  let accepted = 0;
  let text = unique('one too many');
  let rejected = await browser.postEvent('message', { text });
  // Repeats if the minute ended between the last of them and the message: each minute starts a new count.
  for (let round = 0; round < 3 && rejected.status !== 429; round++) {
    let statuses = [0];
    while (accepted < 3 * LIMIT && !statuses.includes(429)) {
      statuses = (await Promise.all(Array.from({ length: CONCURRENT }, postInvalid))).map(({ status }) => status);
      accepted += statuses.filter((status) => status === 400).length;
      assert.ok(
        statuses.every((status) => [400, 429].includes(status)),
        statuses.join(),
      );
    }
    text = unique('one too many');
    rejected = await browser.postEvent('message', { text });
  }
  assert.ok(accepted >= LIMIT - 1, `after ${accepted} posts already`);
  const problem = assertProblem(rejected, 429);
  assert.equal(problem.code, 'too-many-requests');
  assert.match(rejected.headers['retry-after'] ?? '', /^[1-9]\d*$/);
  assert.match(rejected.headers['access-control-expose-headers'] ?? '', /retry-after/, 'the page may read Retry-After');

  const others = unique('not too many');
  assert.equal((await ada.postEvent('message', { text: others })).status, 202);
  const texts = (await kafka.read('chat.inbound')).map(({ value }) => JSON.parse(value)?.text);
  assert.deepEqual([texts.includes(text), texts.includes(others)], [false, true]);
  assert.equal((await browser.session()).authenticated, true, 'only posting is limited');
});
