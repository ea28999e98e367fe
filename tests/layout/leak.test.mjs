// The scan for leaks is only worth something if it finds them.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { leaks, leaksOfRun, readable, secretValues } from '../journey/leak.mjs';

const random = 'q3Zk0vXc9WnB7tYh2LpE5sDf';

test('tokens are recognised by their form', () => {
  for (const token of [`gho_${random}`, `microsoft_${random}`, `r_microsoft_${random}`, `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.${random}`]) {
    assert.notDeepEqual(leaks(`{"a":"${token}"}`, []), [], token);
  }
  assert.deepEqual(leaks('{"text":"nothing to see","id":"v1.0.1.2"}', []), []);
});

test('tokens and secrets are recognised by their value', () => {
  assert.equal(leaks(`x${random}y`, [random]).length, 1);
  const ring = `local:${random}${random}`;
  const secret = `${random}${random}`;
  const secrets = { sessionKeys: ring, bridgeKeys: ring, githubClientSecret: secret, githubWebhookSecret: secret, entraClientSecret: secret, redisPassword: secret };
  assert.deepEqual([...new Set(secretValues(secrets))], [secret]);
});

test('a cookie that scripts can read counts as readable, an HttpOnly one does not', () => {
  const answer = { status: 200, text: '', url: '/', headers: { 'set-cookie': ['a=open', 'b=closed; Secure; HttpOnly'] } };
  assert.match(readable(answer), /a=open/);
  assert.doesNotMatch(readable(answer), /b=closed/);
});

test('a whole run is searched for values and for forms, in answers, logs and metrics', () => {
  const answer = (/** @type {string} */ text, /** @type {import('node:http').IncomingHttpHeaders} */ headers = {}) => ({ status: 200, text, url: 'https://edge.example/x', headers });
  const token = `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.${random}`;
  assert.deepEqual(leaksOfRun([answer('fine')], { '/metrics': 'edge_requests_total 1' }, [random]), []);
  assert.equal(leaksOfRun([answer('', { etag: `"${random}"` })], {}, [random]).length, 1);
  assert.equal(leaksOfRun([answer(`{"a":"${token}"}`)], {}, []).length, 1);
  assert.equal(leaksOfRun([], { 'edge.log': `one\ntoken=${token}`, '/metrics': `requests{user="${Buffer.from(random).toString('base64')}"} 1` }, [random]).length, 3);
  const cookie = answer('', { 'set-cookie': [`__Host-Http-session=${random}; Path=/; HttpOnly`] });
  assert.deepEqual(leaksOfRun([cookie], { 'edge.log': 'nothing' }, []), [], 'a browser is given its cookies');
  assert.equal(leaksOfRun([cookie], { 'edge.log': `cookie=${random}` }, []).length, 1, 'an operator is not');
  assert.deepEqual(leaksOfRun([answer('', { location: `https://login.example/logout?id_token_hint=${token}&state=x` })], {}, []), [], "the provider's own logout is sent the hint");
});
