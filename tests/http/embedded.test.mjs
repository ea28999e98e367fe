// A page of another site than the edge signs its user in and out, with the window's cookies and the page's kept apart.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { Agent } from '../journey/agent.mjs';
import { startEmbedded } from '../journey/embedded.mjs';
import { assertProblem } from '../journey/problem.mjs';
import { revocationBound } from '../journey/stack.mjs';
import { authorizeAt } from '../journey/sign-in.mjs';
import { stack as sameSite } from './stack.mjs';

const { stack, pageOrigin } = await startEmbedded(['redis', 'emulators', 'edge']);
const challengeOf = (/** @type {string} */ verifier) => createHash('sha256').update(verifier).digest('base64url');
/** @type {string[]} codes and verifiers of this run */
const secrets = [];

/** The window that such a page leaves for the edge. */
class Window extends Agent {
  /** @override @type {Agent['visit']} */
  visit(url, { headers = {}, ...sent } = {}) {
    return super.visit(url, {
      ...sent,
      headers: { 'Sec-Fetch-Site': 'cross-site', Referer: `${pageOrigin}/`, ...headers },
    });
  }
}

/** What a page of another site sends. */
class Page extends Agent {
  /** @override */
  get pageHeaders() {
    return { ...super.pageHeaders, 'Sec-Fetch-Site': 'cross-site' };
  }

  /** @param {string} code @param {string} verifier @param {Record<string, string | undefined>} [headers] */
  redeem(code, verifier, headers = {}) {
    return this.call('/auth/handoff', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify({ code, verifier }),
    });
  }
}

const page = () => new Page({ edgeOrigin: stack.edgeOrigin, hostOrigin: pageOrigin });

/** @param {import('../journey/agent.mjs').Answer} answer @param {number} status @param {string} code */
const refused = (answer, status, code) => assert.equal(assertProblem(answer, status).code, code);

/** As far as the page's address with the code. @param {string} login */
async function begin(login) {
  const window = new Window({ edgeOrigin: stack.edgeOrigin, hostOrigin: pageOrigin });
  const verifier = randomBytes(32).toString('base64url');
  const { callback } = await authorizeAt(window, 'github', login, `${pageOrigin}/chat?order=7`, {
    handoff: challengeOf(verifier),
  });
  const finished = await window.visit(callback);
  assert.equal(finished.status, 303, finished.text.slice(0, 300));
  const [address, code = ''] = (finished.headers.location ?? '').split('#causeway=');
  assert.equal(address, `${pageOrigin}/chat?order=7`);
  assert.equal(finished.headers['referrer-policy'], 'no-referrer');
  assert.ok(!window.cookies.has('__Host-Http-session'), 'the window is given no session');
  secrets.push(code, verifier);
  return { code, verifier };
}

test('S155: a page of another site takes the session of its user, and ends it', async () => {
  const { code, verifier } = await begin('ada');
  const agent = page();
  assert.equal((await agent.session()).handoff, true);
  const taken = await agent.redeem(code, verifier);
  assert.equal(taken.status, 204, taken.text);
  assert.equal(taken.headers['access-control-allow-origin'], pageOrigin);
  const cookie = agent.cookies.get('__Host-Http-session');
  assert.equal(cookie?.attributes.get('samesite'), 'None');
  assert.ok(
    cookie?.attributes.has('partitioned') && cookie.attributes.has('secure') && cookie.attributes.has('httponly'),
  );
  assert.equal((await agent.session()).user.name, 'Ada Lovelace');
  const { sessions } = JSON.parse((await agent.call('/auth/sessions')).text);
  assert.equal(sessions.length, 1);
  const copy = new Map(agent.cookies);
  assert.equal((await agent.call('/auth/logout', { method: 'POST' })).status, 204);
  assert.equal(agent.cookies.size, 0);
  agent.cookies = copy;
  assert.equal((await agent.session()).authenticated, false);
});

test('S155: a code that comes twice ends what it began', async () => {
  const { code, verifier } = await begin('grace');
  const [first, second] = [page(), page()];
  assert.equal((await first.redeem(code, verifier)).status, 204);
  refused(await second.redeem(code, verifier), 400, 'sign-in-refused');
  assert.equal(second.cookies.size, 0);
  await revocationBound();
  assert.equal((await first.session()).authenticated, false);
});

test('S155: of two at once one wins, and neither keeps it', async () => {
  const { code, verifier } = await begin('grace');
  const pages = [page(), page()];
  const statuses = await Promise.all(pages.map(async (agent) => (await agent.redeem(code, verifier)).status));
  assert.deepEqual(statuses.sort(), [204, 400]);
  await revocationBound();
  for (const agent of pages) assert.equal((await agent.session()).authenticated, false);
});

test('S155: neither a wrong verifier nor another origin gets anything for it, or uses it up', async () => {
  const { code, verifier } = await begin('katherine');
  const agent = page();
  refused(await agent.redeem(code, randomBytes(32).toString('base64url')), 400, 'sign-in-refused');
  refused(await agent.redeem(code, verifier, { Origin: 'https://evil.example' }), 403, 'forbidden');
  refused(
    await agent.redeem(code, verifier, { Origin: stack.edgeOrigin, 'Sec-Fetch-Site': 'same-origin' }),
    403,
    'forbidden',
  );
  refused(await agent.redeem(code, verifier, { 'X-CSRF': undefined }), 403, 'forbidden');
  assert.equal(agent.cookies.size, 0);
  assert.equal((await agent.redeem(code, verifier)).status, 204);
});

test('S155: a session is handed to configured pages only', async () => {
  const window = new Agent({ edgeOrigin: stack.edgeOrigin, hostOrigin: pageOrigin });
  for (const address of [
    '/',
    `${stack.edgeOrigin}/`,
    'https://evil.example/',
    `${pageOrigin}.evil.example/`,
    pageOrigin.replace('127.0.0.1', 'localhost'),
  ]) {
    const query = new URLSearchParams({ return_to: address, handoff: challengeOf('v') });
    refused(await window.visit(`/auth/github/login?${query}`, { headers: { Accept: undefined } }), 400, 'bad-request');
  }
  assert.equal(window.cookies.size, 0);
});

test("S155: a link of anybody else's begins no hand-off", async () => {
  const window = new Agent({ edgeOrigin: stack.edgeOrigin, hostOrigin: pageOrigin });
  const query = new URLSearchParams({ return_to: `${pageOrigin}/`, handoff: challengeOf('v') });
  for (const [site, referer] of [
    ['cross-site', undefined],
    ['cross-site', 'https://evil.example/'],
    ['same-origin', `${stack.edgeOrigin}/`],
    ['same-origin', undefined],
    ['same-site', undefined],
    ['none', undefined],
  ]) {
    const headers = { Accept: undefined, 'Sec-Fetch-Site': site, Referer: referer };
    refused(await window.visit(`/auth/github/login?${query}`, { headers }), 403, 'forbidden');
  }
  assert.equal(window.cookies.size, 0);
});

test('S155: nothing of this is there unless it is configured', async () => {
  const agent = new Agent(sameSite);
  const query = new URLSearchParams({ return_to: `${sameSite.hostOrigin}/`, handoff: challengeOf('v') });
  refused(await agent.visit(`/auth/github/login?${query}`, { headers: { Accept: undefined } }), 400, 'bad-request');
  const answer = await agent.call('/auth/handoff', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: '{}',
  });
  refused(answer, 404, 'not-found');
  assert.ok(!('handoff' in (await agent.session())));
});

test('neither codes nor verifiers are in the log', () => {
  const log = readFileSync(stack.parts.edge.log, 'utf8');
  assert.ok(secrets.length > 0 && log.includes('/auth/handoff'), 'there was something to see');
  for (const secret of secrets) assert.ok(!log.includes(secret));
});
