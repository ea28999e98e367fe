import assert from 'node:assert/strict';
import { test } from 'node:test';

import { github, graph, stack, user } from './stack.mjs';

test('the page reads its user from GitHub without holding a token', async () => {
  const { browser } = await user('github', 'ada');
  const answer = await browser.call('/bff/github/user', {
    headers: { Authorization: 'Bearer of-the-page', 'X-Forwarded-For': '1.2.3.4' },
  });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(JSON.parse(answer.text).login, 'ada');
  assert.match(answer.headers['cache-control'] ?? '', /no-store/);
  const sent = github.seen.filter(({ path }) => path === '/user').pop()?.headers ?? {};
  assert.match(sent.authorization ?? '', /^(Bearer|token) gho_/, "the user's token is attached, not the page's");
  assert.equal(sent.cookie, undefined, 'the session cookie is not forwarded');
  assert.equal(sent['x-csrf'], undefined);
});

test('the page reads its user from Microsoft Graph', async () => {
  const { browser } = await user('entra', 'grace');
  const answer = await browser.call('/bff/graph/v1.0/me');
  assert.equal(answer.status, 200, answer.text);
  assert.equal(JSON.parse(answer.text).displayName, 'Grace Hopper');
  assert.equal(graph.seen.filter(({ path }) => path === '/v1.0/me').pop()?.headers.cookie, undefined);
});

test("each user's calls carry that user's own token", async () => {
  const [ada, grace] = await Promise.all([user('github', 'ada'), user('github', 'grace')]);
  const answers = await Promise.all(
    Array.from({ length: 10 }, (_, index) => (index % 2 ? ada : grace).browser.call('/bff/github/user')),
  );
  assert.deepEqual(
    answers.map(({ text }) => JSON.parse(text).login),
    Array.from({ length: 10 }, (_, index) => (index % 2 ? 'ada' : 'grace')),
  );
});

test('a request that no rule of a service allows is not forwarded', async () => {
  const { browser } = await user('github', 'ada');
  const before = github.seen.length;
  for (const [method, path, status] of /** @type {const} */ ([
    ['GET', '/bff/github/user/emails', 404],
    ['GET', '/bff/github/users', 404],
    ['GET', '/bff/nowhere/user', 404],
    ['DELETE', '/bff/github/user', 405],
    ['GET', '/bff/github/x%2f..%2fuser', 400],
    ['GET', '/bff/github/%2e%2e%2fuser', 400],
    ['GET', '/bff/github//user', 400],
  ])) {
    const answer = await browser.call(path, { method });
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
  }
  assert.equal(github.seen.length, before);
});

test('an API whose provider the user has not signed in with answers that a sign-in is needed', async () => {
  const { browser } = await user('github', 'ada');
  const answer = await browser.call('/bff/graph/v1.0/me');
  assert.equal(answer.status, 401);
  assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/);
  assert.equal((await browser.session()).authenticated, true, stack.state);
});
