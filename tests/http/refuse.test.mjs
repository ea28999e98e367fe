// Bad input: each refusal is a problem document, and nothing of it reaches Kafka.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Agent } from '../journey/agent.mjs';
import { assertProblem } from '../journey/problem.mjs';
import { externalBrokers } from '../journey/stack.mjs';
import { kafka, stack, user } from './stack.mjs';

const message = JSON.stringify({ type: 'message', data: { text: 'refuse me' } });
const json = { 'Content-Type': 'application/json' };

// A suite, and not the file: all files are one process, where a hook outside of a suite is everybody's.
describe('what is refused', () => {
  let recordsBefore = 0;
  before(async () => {
    recordsBefore = (await kafka.read('chat.inbound')).length;
  });
  after(async () => {
    // Somebody else may have written to a Kafka of theirs.
    if (!externalBrokers)
      assert.equal((await kafka.read('chat.inbound')).length, recordsBefore, 'something that was refused is in Kafka');
  });

  test('an unknown path is not found', async () => {
    const { agent } = await user('github', 'ada');
    for (const path of ['/nowhere', '/events', '/auth/session/', '/stream/x', '/%2e%2e/etc/passwd'])
      assertProblem(await agent.call(path), 404);
  });

  test('a wrong method is told the right ones', async () => {
    const { agent } = await user('github', 'ada');
    for (const [path, wrong, right] of /** @type {const} */ ([
      ['/events/chat', 'PUT', 'POST'],
      ['/auth/logout', 'PUT', 'POST'],
      ['/stream', 'POST', 'GET'],
      ['/auth/session', 'DELETE', 'GET'],
    ])) {
      const answer = await agent.call(path, { method: wrong });
      assertProblem(answer, 405);
      assert.match(answer.headers.allow ?? '', new RegExp(`\\b${right}\\b`), path);
    }
  });

  test('without a session nothing is said, heard or called', async () => {
    const visitor = new Agent(stack);
    assertProblem(await visitor.call('/events/chat', { method: 'POST', headers: json, body: message }), 401);
    assertProblem(await visitor.call('/bff/github/user'), 401);
    assertProblem(await visitor.call('/stream', { headers: { 'X-CSRF': undefined } }), 401);
  });

  test('every broken session cookie is refused in the same words', async () => {
    const { agent } = await user('github', 'ada');
    const [name, { value }] = /** @type {[string, import('../journey/agent.mjs').Cookie]} */ (
      [...agent.cookies].find(([cookie]) => cookie === '__Host-Http-session')
    );
    const flipped = (/** @type {number} */ at) =>
      value.slice(0, at) + (value[at] === 'A' ? 'B' : 'A') + value.slice(at + 1);
    const step = Math.max(1, Math.floor(value.length / 12));
    const broken = [
      '',
      'x',
      value.slice(0, -1),
      value.slice(1),
      `${value}A`,
      value.repeat(2),
      'A'.repeat(6000),
      '%00',
      '"quoted"',
      ...Array.from({ length: Math.floor(value.length / step) }, (_, index) => flipped(index * step)),
    ];
    const bodies = new Set();
    for (const bad of broken) {
      const problem = assertProblem(
        await agent.call('/bff/github/user', { headers: { Cookie: `${name}=${bad}` } }),
        401,
      );
      bodies.add(`${problem.code} ${problem.title}`);
    }
    assertProblem(await agent.call('/bff/github/user', { headers: { Cookie: `${name}=${value}; ${name}=x` } }), 401);
    assertProblem(
      await agent.call('/bff/github/user', { headers: { Cookie: `session=${value}; __Host-session=${value}` } }),
      401,
    );
    assert.equal(bodies.size, 1);
  });

  test('another site cannot speak in the name of a signed-in user', async () => {
    const { agent } = await user('github', 'ada');
    for (const headers of [
      { 'X-CSRF': undefined },
      { 'X-CSRF': '0' },
      { 'X-CSRF': ['1', '1'] },
      { Origin: 'https://evil.example' },
      { Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
      { Origin: 'null' },
      { Origin: 'http://localhost:1', 'Sec-Fetch-Site': 'same-site' },
      { Origin: undefined, 'Sec-Fetch-Site': undefined },
    ]) {
      assertProblem(
        await agent.call('/events/chat', { method: 'POST', body: message, headers: { ...json, ...headers } }),
        403,
      );
    }
    const stream = await agent.call('/stream', {
      headers: { 'X-CSRF': undefined, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
    });
    assertProblem(stream, 403);
  });

  test('a page that is not on the list may not even ask', async () => {
    const agent = new Agent(stack);
    const ask = {
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type,x-csrf',
      'X-CSRF': undefined,
    };
    const foreign = await agent.call('/events/chat', {
      method: 'OPTIONS',
      headers: { ...ask, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
    });
    assert.equal(foreign.headers['access-control-allow-origin'], undefined);
    const own = await agent.call('/events/chat', { method: 'OPTIONS', headers: ask });
    assert.equal(own.headers['access-control-allow-origin'], stack.hostOrigin);
    assert.match(own.headers['access-control-allow-headers'] ?? '', /x-csrf/i);
  });

  test('a body that is too large is refused, whether or not it says how large it is', async () => {
    const { agent } = await user('github', 'ada');
    const body = JSON.stringify({ type: 'message', data: { text: 'x'.repeat(64 * 1024) } });
    assertProblem(await agent.call('/events/chat', { method: 'POST', headers: json, body }), 413);
    assertProblem(
      await agent.call('/events/chat', { method: 'POST', headers: { ...json, 'Transfer-Encoding': 'chunked' }, body }),
      413,
    );
  });

  test('what is no event is refused', async () => {
    const { agent } = await user('github', 'ada');
    const post = (/** @type {string} */ body, /** @type {Record<string, string | undefined>} */ headers = json) =>
      agent.call('/events/chat', { method: 'POST', headers, body });
    for (const body of [
      '',
      '{',
      'null',
      '[]',
      '"text"',
      '{}',
      '{"type":"message"}',
      '{"data":{}}',
      '{"type":1,"data":{}}',
      '{"type":"a b","data":{}}',
      '{"type":"x\\r\\ny","data":{}}',
      `{"type":"${'x'.repeat(65)}","data":{}}`,
    ]) {
      assertProblem(await post(body), 400);
    }
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      undefined,
    ]) {
      assertProblem(await post(message, { 'Content-Type': type }), [400, 415]);
    }
    for (const key of ['', 'x'.repeat(129), 'a\tb']) {
      assertProblem(await post(message, { ...json, 'Idempotency-Key': key }), 400);
    }
  });

  test('an unknown channel is not found', async () => {
    const { agent } = await user('github', 'ada');
    for (const path of ['/events/nowhere', '/events/chat.inbound', '/events/Chat']) {
      assertProblem(await agent.call(path, { method: 'POST', headers: json, body: message }), 404);
    }
  });
});
