import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { ROOT } from '../../scripts/stack/place.mjs';
import { assertProblem } from '../journey/problem.mjs';
import { kafka, unique, user } from './stack.mjs';

const LIMIT = Number(
  /^simple = \{ limit = (\d+), period = 60 \}$/m.exec(readFileSync(join(ROOT, 'wrangler.toml'), 'utf8'))?.[1],
);
const AT_ONCE = 50;

test('who posts without end is asked to wait; nothing of it reaches Kafka, and nobody else waits', async () => {
  // No other test's user: what is spent here, nobody misses.
  const { agent } = await user('github', 'hedy');
  const { agent: ada } = await user('github', 'ada');
  // It is counted before it is read, so what is no event is counted, too.
  const spend = () =>
    agent.call('/events/chat', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{' });
  let taken = 0;
  let text = unique('one too many');
  let refused = await agent.post('message', { text });
  // Again, if a minute was over between the last of them and the message: the count begins anew with each.
  for (let round = 0; round < 3 && refused.status !== 429; round++) {
    let statuses = [0];
    while (taken < 3 * LIMIT && !statuses.includes(429)) {
      statuses = (await Promise.all(Array.from({ length: AT_ONCE }, spend))).map(({ status }) => status);
      taken += statuses.filter((status) => status === 400).length;
      assert.ok(
        statuses.every((status) => [400, 429].includes(status)),
        statuses.join(),
      );
    }
    text = unique('one too many');
    refused = await agent.post('message', { text });
  }
  assert.ok(taken >= LIMIT - 1, `after ${taken} posts already`);
  const problem = assertProblem(refused, 429);
  assert.equal(problem.code, 'too-many-requests');
  assert.match(refused.headers['retry-after'] ?? '', /^[1-9]\d*$/);
  assert.match(refused.headers['access-control-expose-headers'] ?? '', /retry-after/, 'the page can read how long');

  const others = unique('not too many');
  assert.equal((await ada.post('message', { text: others })).status, 202);
  const texts = (await kafka.read('chat.inbound')).map(({ value }) => JSON.parse(value).text);
  assert.deepEqual([texts.includes(text), texts.includes(others)], [false, true]);
  assert.equal((await agent.session()).authenticated, true, 'only posting waits');
});
