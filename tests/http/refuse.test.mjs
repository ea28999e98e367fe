// Bad input and bad times: each refusal is a problem document, and nothing of it reaches Kafka.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Agent } from '../journey/agent.mjs';
import { Stream } from '../journey/stream.mjs';
import { kafka, stack, unique, user } from './stack.mjs';

/** @type {number} */
let recordsBefore;
before(async () => {
  recordsBefore = (await kafka.read('chat.inbound')).length;
});
after(async () => {
  assert.equal((await kafka.read('chat.inbound')).length, recordsBefore, 'nothing refused is in Kafka');
});

/** @param {import('../journey/agent.mjs').Answer} answer @param {number | number[]} status */
function assertProblem(answer, status) {
  assert.ok([status].flat().includes(answer.status), `${answer.url} answers ${answer.status}, not ${status}: ${answer.text}`);
  assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/);
  const problem = JSON.parse(answer.text);
  assert.deepEqual(Object.keys(problem).sort(), ['code', 'request_id', 'status', 'title', 'type']);
  assert.equal(problem.status, answer.status);
  assert.match(problem.type, /^urn:causeway:problem:/);
  assert.match(answer.headers['cache-control'] ?? '', /no-store/);
  return problem;
}

const message = JSON.stringify({ type: 'message', data: { text: 'refuse me' } });
const json = { 'Content-Type': 'application/json' };

test('an unknown path is not found', async () => {
  const { agent } = await user('github', 'ada');
  for (const path of ['/nowhere', '/events', '/auth/session/', '/stream/x', '/%2e%2e/etc/passwd']) assertProblem(await agent.call(path), 404);
});

test('a wrong method is told the right ones', async () => {
  const { agent } = await user('github', 'ada');
  const wrong = { '/events/chat': 'PUT', '/auth/logout': 'PUT', '/stream': 'POST', '/auth/session': 'DELETE' };
  const right = { '/events/chat': 'POST', '/auth/logout': 'POST', '/stream': 'GET', '/auth/session': 'GET' };
  for (const [path, method] of Object.entries(wrong)) {
    const answer = await agent.call(path, { method });
    assertProblem(answer, 405);
    assert.match(answer.headers.allow ?? '', new RegExp(`\\b${right[/** @type {keyof right} */ (path)]}\\b`), path);
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
  const [name, { value }] = /** @type {[string, import('../journey/agent.mjs').Cookie]} */ ([...agent.cookies].find(([cookie]) => cookie === '__Host-Http-session'));
  const flipped = (/** @type {number} */ at) => value.slice(0, at) + (value[at] === 'A' ? 'B' : 'A') + value.slice(at + 1);
  const step = Math.max(1, Math.floor(value.length / 12));
  const broken = [
    '', 'x', value.slice(0, -1), value.slice(1), `${value}A`, value.repeat(2), 'A'.repeat(6000), '%00', '"quoted"',
    ...Array.from({ length: Math.floor(value.length / step) }, (_, index) => flipped(index * step)),
  ];
  const bodies = new Set();
  for (const bad of broken) {
    const problem = assertProblem(await agent.call('/bff/github/user', { headers: { Cookie: `${name}=${bad}` } }), 401);
    bodies.add(`${problem.code} ${problem.title}`);
  }
  assertProblem(await agent.call('/bff/github/user', { headers: { Cookie: `${name}=${value}; ${name}=x` } }), 401);
  assertProblem(await agent.call('/bff/github/user', { headers: { Cookie: `session=${value}; __Host-session=${value}` } }), 401);
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
    assertProblem(await agent.call('/events/chat', { method: 'POST', body: message, headers: { ...json, ...headers } }), 403);
  }
  const stream = await agent.call('/stream', { headers: { 'X-CSRF': undefined, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' } });
  assertProblem(stream, 403);
});

test('a page that is not on the list may not even ask', async () => {
  const agent = new Agent(stack);
  const ask = { 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'content-type,x-csrf', 'X-CSRF': undefined };
  const foreign = await agent.call('/events/chat', { method: 'OPTIONS', headers: { ...ask, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' } });
  assert.equal(foreign.headers['access-control-allow-origin'], undefined);
  const own = await agent.call('/events/chat', { method: 'OPTIONS', headers: ask });
  assert.equal(own.headers['access-control-allow-origin'], stack.hostOrigin);
  assert.match(own.headers['access-control-allow-headers'] ?? '', /x-csrf/i);
});

test('a body that is too large is refused, whether or not it says how large it is', async () => {
  const { agent } = await user('github', 'ada');
  const body = JSON.stringify({ type: 'message', data: { text: 'x'.repeat(64 * 1024) } });
  assertProblem(await agent.call('/events/chat', { method: 'POST', headers: json, body }), 413);
  assertProblem(await agent.call('/events/chat', { method: 'POST', headers: { ...json, 'Transfer-Encoding': 'chunked' }, body }), 413);
});

test('what is no event is refused', async () => {
  const { agent } = await user('github', 'ada');
  const post = (/** @type {string} */ body, /** @type {Record<string, string | undefined>} */ headers = json) =>
    agent.call('/events/chat', { method: 'POST', headers, body });
  for (const body of ['', '{', 'null', '[]', '"text"', '{}', '{"type":"message"}', '{"data":{}}', '{"type":1,"data":{}}', '{"type":"a b","data":{}}', '{"type":"x\\r\\ny","data":{}}', `{"type":"${'x'.repeat(65)}","data":{}}`]) {
    assertProblem(await post(body), 400);
  }
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', undefined]) {
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

test('while the bridge is down the user is told to try again, and streams stay open', async () => {
  const { agent } = await user('github', 'ada');
  const stream = await (await Stream.open(agent)).opened();
  await stack.parts.bridge.kill();
  try {
    const answer = await agent.post('message', { text: unique('to a dead bridge') });
    assertProblem(answer, 503);
    assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
    assert.equal((await agent.session()).authenticated, true);
    assert.equal(stream.closed, false);
  } finally {
    await stack.parts.bridge.start();
    stream.cut();
  }
});

test('while Kafka is silent the user is told to try again', async () => {
  const { agent } = await user('github', 'ada');
  // Stopped, not killed: connections stay open and nothing answers, the worst way to fail.
  stack.parts.kafka.signal('SIGSTOP');
  try {
    const begun = Date.now();
    const answer = await agent.post('message', { text: unique('to a silent broker') });
    assertProblem(answer, 503);
    assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
    assert.ok(Date.now() - begun < 16_000, `answered after ${Date.now() - begun} ms`);
  } finally {
    stack.parts.kafka.signal('SIGCONT');
  }
});
