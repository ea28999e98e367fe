// Limits and prompts that an operator sets, on both runtimes.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { edgePart } from '../../scripts/stack/part/edge.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { EdgeBrowser } from '../support/edge-browser.mjs';
import { assertProblem } from '../support/problem.mjs';
import { authorizeAt } from '../support/sign-in.mjs';
import { target } from '../support/stack.mjs';
import { stack } from './stack.mjs';

/** @typedef {import('../support/exchange.mjs').Answer} Answer */

const LIMIT = 2;
/** What an operator adds to wrangler.toml: Cloudflare's limiters have limits of their own. */
const LIMITERS = ['EVENTS_RATE', 'LOGIN_RATE', 'LOGOUT_RATE']
  .map(
    (name, n) => `
[[ratelimits]]
name = "${name}_${LIMIT}"
namespace_id = "${1004 + n}"
simple = { limit = ${LIMIT}, period = 60 }
`,
  )
  .join('');

describe('an edge whose limits and prompts are set', () => {
  /** @type {import('../../scripts/stack/process.mjs').Part} */
  let edge;
  /** @type {number} */
  let port;
  before(async () => {
    ({ edge: port } = await freePorts());
    edge = edgePart({
      target,
      state: join(stack.state, 'setting'),
      ports: { ...stack.ports, edge: port },
      secrets: stack.secrets,
      variables: {
        // The provider knows the stack's redirect URI.
        PUBLIC_ORIGIN: stack.edgeOrigin,
        EVENTS_PER_MINUTE: String(LIMIT),
        LOGIN_STEPS_PER_MINUTE: String(LIMIT),
        LOGOUTS_PER_MINUTE: String(LIMIT),
        CLIENT_ADDRESS_HEADER: 'X-Real-IP',
        ENTRA_PROMPT: 'login',
        GITHUB_PROMPT: 'select_account',
      },
      manifest: (text) => (target === 'workers' ? text + LIMITERS : text),
    });
    await edge.start();
  });
  after(() => edge.stop());

  const visitor = () => new EdgeBrowser({ edgeOrigin: `http://localhost:${port}`, hostOrigin: stack.hostOrigin });
  /** @param {string} path @param {string} address of the client */
  const visit = (path, address) => visitor().visit(path, { headers: { Accept: undefined, 'X-Real-IP': address } });

  /** Sends requests until they are limited. @param {() => Promise<Answer>} send @param {number} status of the first */
  async function assertLimited(send, status) {
    assert.equal((await send()).status, status);
    // Twice the limit passes if a minute ends in between.
    for (let step = 2; step <= 2 * LIMIT; step++) await send();
    const rejected = await send();
    assert.equal(assertProblem(rejected, 429).code, 'too-many-requests');
    assert.match(rejected.headers['retry-after'] ?? '', /^[1-9]\d*$/);
  }

  test('limits the steps of sign-ins, for each address', async () => {
    await assertLimited(() => visit('/auth/github/login?return_to=/', '198.51.100.7'), 303);
    const other = await visit('/auth/github/login?return_to=/', '198.51.100.8');
    assert.equal(other.status, 303, 'another address has a count of its own');
  });

  test('limits the events of a user', async () => {
    const browser = visitor();
    const from = browser.visit.bind(browser);
    // With an address and a user of its own: on Spin, Redis counts for the stack's other edge, too.
    browser.visit = (target, sent = {}) =>
      from(target, { ...sent, headers: { 'X-Real-IP': '198.51.100.9', ...sent.headers } });
    const { callback } = await authorizeAt(browser, 'github', 'barbara');
    callback.port = String(port);
    assert.equal((await browser.visit(callback)).status, 303);
    // A request is counted before it is read, so an invalid event counts, too.
    const headers = { 'Content-Type': 'application/json' };
    await assertLimited(() => browser.call('/events/chat', { method: 'POST', headers, body: '{' }), 400);
    assert.equal((await browser.session()).authenticated, true, 'only events are limited');
  });

  test("limits the logouts in a provider's name that nothing proves, for each address", async () => {
    /** @param {string} address */
    const deliver = (address) =>
      visitor().call('/auth/github/webhook', {
        method: 'POST',
        headers: {
          ...{ Origin: undefined, 'X-CSRF': undefined },
          ...{ 'Sec-Fetch-Site': undefined, 'Sec-Fetch-Mode': undefined, 'Sec-Fetch-Dest': undefined },
          ...{ 'Content-Type': 'application/json', 'X-Real-IP': address },
          ...{ 'X-GitHub-Event': 'github_app_authorization', 'X-GitHub-Delivery': '1' },
          'X-Hub-Signature-256': `sha256=${'0'.repeat(64)}`,
        },
        body: '{}',
      });
    await assertLimited(() => deliver('198.51.100.7'), 401);
    assert.equal((await deliver('198.51.100.8')).status, 401, 'another address has a count of its own');
  });

  test('asks the provider for the prompt that is set, or for a stronger one of the page', async () => {
    for (const [n, [path, prompt]] of /** @type {const} */ ([
      ['entra/login', 'login'],
      ['entra/login?prompt=select_account', 'login'],
      ['entra/login?prompt=consent', 'consent'],
      ['github/login', 'select_account'],
      ['github/login?prompt=select_account', 'select_account'],
      ['github/login?prompt=login', 'login'],
    ]).entries()) {
      const begun = await visit(`/auth/${path}`, `198.51.100.${20 + n}`);
      assert.equal(begun.status, 303, path);
      assert.deepEqual(new URL(begun.headers.location ?? '').searchParams.getAll('prompt'), [prompt], path);
    }
  });
});
