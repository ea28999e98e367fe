// Tests of the leak scan itself: it must find leaks.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { assertNoLeak, leaks, leaksOfRun, readable, secretValues } from '../support/leak.mjs';
import { listen } from '../support/listen.mjs';
import { everyAnswer, everyCode, recordBytes, sendRecorded } from '../support/record.mjs';

const random = 'q3Zk0vXc9WnB7tYh2LpE5sDf';

test('tokens are recognised by their form', () => {
  for (const token of [
    `gho_${random}`,
    `microsoft_${random}`,
    `r_microsoft_${random}`,
    `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.${random}`,
  ]) {
    assert.notDeepEqual(leaks(`{"a":"${token}"}`, []), [], token);
  }
  assert.deepEqual(leaks('{"text":"nothing to see","id":"v1.0.1.2"}', []), []);
});

test('tokens and secrets are recognised by their value', () => {
  assert.equal(leaks(`x${random}y`, [random]).length, 1);
  const ring = `local:${random}${random}`;
  const secret = `${random}${random}`;
  const secrets = {
    sessionKeys: ring,
    bridgeKeys: ring,
    githubClientSecret: secret,
    githubWebhookSecret: secret,
    entraClientSecret: secret,
    redisPassword: secret,
  };
  assert.deepEqual([...new Set(secretValues(secrets))], [secret]);
});

test('a cookie that scripts can read counts as readable, an HttpOnly one does not', () => {
  const answer = {
    status: 200,
    text: '',
    url: '/',
    headers: { 'set-cookie': ['a=open', 'b=closed; Secure; HttpOnly'] },
  };
  assert.match(readable(answer), /a=open/);
  assert.doesNotMatch(readable(answer), /b=closed/);
});

test('a whole run is searched for values and for forms, in answers, logs and metrics', () => {
  const answer = (/** @type {string} */ text, /** @type {import('node:http').IncomingHttpHeaders} */ headers = {}) => ({
    status: 200,
    text,
    url: 'https://edge.example/x',
    headers,
  });
  const token = `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.${random}`;
  assert.deepEqual(leaksOfRun([answer('fine')], { '/metrics': 'edge_requests_total 1' }, [random]), []);
  assert.equal(leaksOfRun([answer('', { etag: `"${random}"` })], {}, [random]).length, 1);
  assert.equal(leaksOfRun([answer(`{"a":"${token}"}`)], {}, []).length, 1);
  assert.equal(
    leaksOfRun(
      [],
      { 'edge.log': `one\ntoken=${token}`, '/metrics': `requests{user="${Buffer.from(random).toString('base64')}"} 1` },
      [random],
    ).length,
    3,
  );
  const cookie = answer('', { 'set-cookie': [`__Host-Http-session=${random}; Path=/; HttpOnly`] });
  assert.deepEqual(leaksOfRun([cookie], { 'edge.log': 'nothing' }, []), [], 'a browser is given its cookies');
  assert.equal(leaksOfRun([cookie], { 'edge.log': `cookie=${random}` }, []).length, 1, 'an operator must not see them');
  assert.deepEqual(
    leaksOfRun([answer('', { location: `https://login.example/logout?id_token_hint=${token}&state=x` })], {}, []),
    [],
    "the provider's own logout is sent the hint",
  );
});

test('a leak fails a run of scripts/test, and later hooks still run', () => {
  const script = readFileSync(join(import.meta.dirname, '../../scripts/test'), 'utf8').replaceAll('\\\n', ' ');
  const [, flags = ''] = /node (--test [^"]*)"tests\/\$folder/.exec(script) ?? [];
  assert.match(flags, /--test-force-exit/);
  const run = (/** @type {Record<string, string>} */ leak) =>
    spawnSync(process.execPath, [...flags.trim().split(/\s+/), join(import.meta.dirname, 'fixture/leaking.test.mjs')], {
      encoding: 'utf8',
      env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...leak },
    });
  const [leaking, clean] = [run({ LEAK: '1' }), run({})];
  assert.equal(clean.status, 0, clean.stdout + clean.stderr);
  assert.notEqual(leaking.status, 0, leaking.stdout + leaking.stderr);
  assert.match(leaking.stderr, /edge\.log:1: the value q3Zk0v/);
  assert.match(leaking.stdout, /the hook after the scan/);
});

test('a scan that searched too little fails', () => {
  const answer = { status: 200, text: '', url: 'https://edge.example/x', headers: {} };
  const run = { answers: [answer], texts: { 'edge.log': 'one\n\ntwo\n' }, values: [random, random] };
  assert.deepEqual(assertNoLeak(run, { answers: 1, lines: 2, values: 1 }), { answers: 1, lines: 2, values: 1 });
  for (const least of [
    { answers: 2, lines: 0, values: 0 },
    { answers: 0, lines: 3, values: 0 },
    { answers: 0, lines: 0, values: 2 },
  ]) {
    assert.throws(() => assertNoLeak(run, least), /proves little/);
  }
});

test('answers of an edge and codes in callbacks are recorded for every client, those of others are not', async () => {
  const server = createServer((incoming, outgoing) =>
    outgoing.setHeader('X-Way', String(incoming.url)).end(`é ${incoming.url}`),
  );
  const port = await listen(server);
  const edge = `http://127.0.0.1:${port}`;
  const browser = new EdgeBrowser({ edgeOrigin: edge, hostOrigin: 'http://localhost:1' });
  assert.equal(
    (await browser.visit(`/auth/x/callback?code=${random}&state=x`)).text,
    `é /auth/x/callback?code=${random}&state=x`,
  );
  // Recorded even if it is not read.
  (await sendRecorded(edge, '/unread')).once('close', () => {});
  await browser.visit(new URL(`http://localhost:${port}/of-another?code=theirs`)).catch(() => {});
  const socket = connect(port, '127.0.0.1');
  recordBytes(socket, edge);
  socket.end('GET /by-hand HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
  await once(socket, 'close');
  server.closeAllConnections();
  server.close();
  const own = everyAnswer.filter(({ url }) => new URL(url).port === String(port));
  assert.deepEqual(
    own.map(({ url }) => url.replace(edge, '')),
    [`/auth/x/callback?code=${random}&state=x`, '/unread', '/'],
  );
  for (const [index, way] of ['/auth/x/callback', '/unread', '/by-hand'].entries())
    assert.match(own[index]?.text ?? '', new RegExp(way));
  assert.match(own[0]?.text ?? '', /^é /);
  assert.deepEqual([...everyCode], [random]);
});
