// Bad input: each rejection is a problem document, and nothing of it reaches Kafka.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { assertProblem } from '../support/problem.mjs';
import { externalBrokers, target } from '../support/stack.mjs';
import { raw, requestText, statusOf } from './raw-request.mjs';
import { kafka, stack, user } from './stack.mjs';

const message = JSON.stringify({ type: 'message', data: { text: 'reject me' } });
const json = { 'Content-Type': 'application/json' };

// A suite: all files run in one process, where a hook outside of a suite would apply to all of them.
describe('a rejected request', () => {
  let recordsBefore = 0;
  before(async () => {
    recordsBefore = (await kafka.read('chat.inbound')).length;
  });
  after(async () => {
    // Others may write to an external Kafka.
    if (!externalBrokers)
      assert.equal((await kafka.read('chat.inbound')).length, recordsBefore, 'a rejected event is in Kafka');
  });

  test('to an unknown path is answered 404', async () => {
    const { browser } = await user('github', 'ada');
    for (const path of ['/nowhere', '/events', '/auth/session/', '/stream/x', '/%2e%2e/etc/passwd'])
      assertProblem(await browser.call(new URL(path, stack.edgeOrigin).pathname), 404);
  });

  test('with a wrong method is answered 405 with the allowed methods', async () => {
    const { browser } = await user('github', 'ada');
    for (const [path, wrong, right] of /** @type {const} */ ([
      ['/events/chat', 'PUT', 'POST'],
      ['/auth/logout', 'PUT', 'POST'],
      ['/stream', 'POST', 'GET'],
      ['/auth/session', 'DELETE', 'GET'],
    ])) {
      const answer = await browser.call(path, { method: wrong });
      assertProblem(answer, 405);
      assert.match(answer.headers.allow ?? '', new RegExp(`\\b${right}\\b`), path);
    }
  });

  test('with a header that none may have is answered 400', async () => {
    for (const value of ['a\x01b', 'a\x7fb']) {
      const back = await raw(await requestText('GET /auth/session HTTP/1.1', [`X-Odd: ${value}`]));
      assert.equal(statusOf(back), 400, back);
      // The host of Spin answers by itself.
      if (target === 'workers') assert.match(back, /application\/problem\+json.*"code":"bad-request"/s);
    }
  });

  test('without a session posts no event, opens no stream and calls no API', async () => {
    const visitor = new EdgeBrowser(stack);
    assertProblem(await visitor.call('/events/chat', { method: 'POST', headers: json, body: message }), 401);
    assertProblem(await visitor.call('/bff/github/user'), 401);
    assertProblem(await visitor.call('/stream', { headers: { 'X-CSRF': undefined } }), 401);
  });

  test('with a damaged session cookie gets the same answer for every damage', async () => {
    const { browser } = await user('github', 'ada');
    const [name, { value }] = /** @type {[string, import('../support/browser.mjs').SetCookie]} */ (
      [...browser.cookies].find(([cookie]) => cookie === '__Host-Http-session')
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
    // A browser of its own: the edge removes a cookie that does not open.
    const visitor = new EdgeBrowser(stack);
    for (const bad of broken) {
      const problem = assertProblem(
        await visitor.call('/bff/github/user', { headers: { Cookie: `${name}=${bad}` } }),
        401,
      );
      bodies.add(`${problem.code} ${problem.title}`);
    }
    assertProblem(await visitor.call('/bff/github/user', { headers: { Cookie: `${name}=${value}; ${name}=x` } }), 401);
    assertProblem(
      await visitor.call('/bff/github/user', { headers: { Cookie: `session=${value}; __Host-session=${value}` } }),
      401,
    );
    assert.equal(bodies.size, 1);
  });

  test('of another site cannot post events as a signed-in user', async () => {
    const { browser } = await user('github', 'ada');
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
        await browser.call('/events/chat', { method: 'POST', body: message, headers: { ...json, ...headers } }),
        403,
      );
    }
    const stream = await browser.call('/stream', {
      headers: { 'X-CSRF': undefined, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
    });
    assertProblem(stream, 403);
  });

  test('of a page that is not on the list gets no preflight answer', async () => {
    const browser = new EdgeBrowser(stack);
    const preflight = {
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'content-type,x-csrf',
      'X-CSRF': undefined,
    };
    const other = await browser.call('/events/chat', {
      method: 'OPTIONS',
      headers: { ...preflight, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
    });
    assert.equal(other.headers['access-control-allow-origin'], undefined);
    const own = await browser.call('/events/chat', { method: 'OPTIONS', headers: preflight });
    assert.equal(own.headers['access-control-allow-origin'], stack.hostOrigin);
    assert.match(own.headers['access-control-allow-headers'] ?? '', /x-csrf/i);
  });

  test('with too large a body is answered 413, with and without a declared length', async () => {
    const { browser } = await user('github', 'ada');
    const body = JSON.stringify({ type: 'message', data: { text: 'x'.repeat(64 * 1024) } });
    assertProblem(await browser.call('/events/chat', { method: 'POST', headers: json, body }), 413);
    assertProblem(
      await browser.call('/events/chat', {
        method: 'POST',
        headers: { ...json, 'Transfer-Encoding': 'chunked' },
        body,
      }),
      413,
    );
  });

  test('whose body is not an event is answered 400 or 415', async () => {
    const { browser } = await user('github', 'ada');
    const post = (/** @type {string} */ body, /** @type {Record<string, string | undefined>} */ headers = json) =>
      browser.call('/events/chat', { method: 'POST', headers, body });
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

  test('to an unknown channel is answered 404', async () => {
    const { browser } = await user('github', 'ada');
    for (const path of ['/events/nowhere', '/events/chat.inbound', '/events/Chat']) {
      assertProblem(await browser.call(path, { method: 'POST', headers: json, body: message }), 404);
    }
  });
});
