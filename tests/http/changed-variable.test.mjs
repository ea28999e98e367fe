// Variables and secrets that change while the isolate lives. workerd cannot change a binding of a running Worker, and
// wrangler starts it anew. So a module in front of the Worker hands it the bindings with the changes that the test
// asks for. Both are in one isolate, which keeps the Worker's Wasm instance with all it remembers.
//
// On Spin variables change only in a remote store, in place of which the stand-in of the Spin CLI reads a file.

import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { setTimeout as delay } from 'node:timers/promises';

import { spinIsInstalled } from '../../scripts/stack/part/edge-spin.mjs';
import { edgePart } from '../../scripts/stack/part/edge.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { keyRing } from '../../scripts/stack/secret.mjs';
import { EdgeBrowser } from '../support/edge-browser.mjs';
import { assertProblem } from '../support/problem.mjs';
import { authorizeAt } from '../support/sign-in.mjs';
import { target } from '../support/stack.mjs';
import { stack } from './stack.mjs';

const CHANGES_PATH = '/changed-variables';
const ENTRY = `
import Edge from './worker/index.js';
export * from './worker/index.js';

let changes = {};

export default {
  async fetch(request, env, context) {
    if (new URL(request.url).pathname === '${CHANGES_PATH}') {
      changes = await request.json();
      return new Response(null, { status: 204 });
    }
    return Edge.fetch(request, { ...env, ...changes }, context);
  },
};
`;

if (target === 'workers') {
  test('S165: on Workers, a changed key, secret, list or limit holds with the next request of an isolate', async () => {
    const { edge: port } = await freePorts();
    const origin = `http://localhost:${port}`;
    const edge = edgePart({
      target,
      state: join(stack.state, 'changed-variable'),
      ports: { ...stack.ports, edge: port },
      secrets: stack.secrets,
      // The provider knows the stack's redirect URI.
      variables: { PUBLIC_ORIGIN: stack.edgeOrigin },
      entry: ENTRY,
    });
    await edge.start();
    try {
      /** @param {Record<string, string>} changes to the variables that the edge started with */
      const change = async (changes) => {
        const answer = await fetch(origin + CHANGES_PATH, { method: 'POST', body: JSON.stringify(changes) });
        assert.equal(answer.status, 204);
      };
      const browser = new EdgeBrowser({ edgeOrigin: origin, hostOrigin: stack.hostOrigin });
      const { callback } = await authorizeAt(browser, 'github', 'ada');
      callback.port = String(port);
      assert.equal((await browser.visit(callback)).status, 303);
      const isSignedIn = async () => (await browser.session()).authenticated;
      const callStatus = async () => (await browser.call('/bff/github/user')).status;
      assert.deepEqual([await isSignedIn(), await callStatus()], [true, 200]);

      await change({ GITHUB_ALLOW: 'GET /repos/*' });
      assert.deepEqual([await callStatus(), await isSignedIn()], [404, true], 'the list no longer has the path');
      await change({});
      assert.equal(await callStatus(), 200);

      for (const [secret, isRight] of /** @type {const} */ ([
        ['of-another-app-8d1f6c2e9b40a7d35e', false],
        [stack.secrets.githubClientSecret, true],
      ])) {
        const visitor = new EdgeBrowser({ edgeOrigin: origin, hostOrigin: stack.hostOrigin });
        const { callback } = await authorizeAt(visitor, 'github', 'grace');
        callback.port = String(port);
        await change({ GITHUB_CLIENT_SECRET: secret });
        const { status } = await visitor.visit(callback);
        assert.equal(status === 303, isRight, `GitHub gets the secret that is set now: ${status}`);
        assert.equal((await visitor.session()).authenticated, isRight);
      }
      await change({});

      const added = keyRing('added');
      // A copy, as the answers below may remove the cookie.
      const other = browser.copy();
      await change({ SESSION_KEYS: `${stack.secrets.sessionKeys},${added}` });
      assert.equal(await isSignedIn(), true, 'a key that was added changes nothing');
      await change({ SESSION_KEYS: added });
      assert.deepEqual([await isSignedIn(), await callStatus()], [false, 401], 'the removed key opens nothing');
      await change({});
      assert.equal((await other.session()).authenticated, true, 'the key opens as long as the ring has it');

      for (const [key, value] of /** @type {const} */ ([
        ['REVOCATION_BOUND_SECONDS', 'never'],
        ['SESSION_HOUR', '1'],
      ])) {
        await change({ [key]: value });
        for (const path of ['/', '/healthz', '/auth/session', '/nowhere'])
          assert.equal(assertProblem(await other.call(path), 503).code, 'misconfigured', path);
        assert.match(readFileSync(edge.log, 'utf8'), new RegExp(`"${key} `), `${key} is named`);
        await change({});
        assert.equal((await other.call('/healthz')).status, 200);
      }
      const log = readFileSync(edge.log, 'utf8');
      assert.match(log, /"event":"config\.changed"/, 'all of this was one isolate: another would have found no change');
    } finally {
      await edge.stop();
    }
  });
}

if (target === 'spin') {
  test(
    'S165: on Spin, a changed key, secret or list holds after a second; a store that does not answer signs nobody out',
    { skip: spinIsInstalled() && 'the Spin CLI reads variables that change from a remote store only' },
    async () => {
      const { edge: port } = await freePorts();
      const variableStore = join(stack.state, 'variable-store.toml');
      /** @param {Record<string, string>} values in the store; the others are those that the edge started with */
      const change = (values) => {
        const lines = Object.entries(values).map(([key, value]) => `${key.toLowerCase()} = ${JSON.stringify(value)}\n`);
        writeFileSync(variableStore, lines.join(''));
      };
      change({});
      const edge = edgePart({
        target,
        state: join(stack.state, 'changed-variable'),
        ports: { ...stack.ports, edge: port },
        secrets: stack.secrets,
        variables: { PUBLIC_ORIGIN: stack.edgeOrigin },
        variableStore,
      });
      await edge.start();
      try {
        const browser = new EdgeBrowser({ edgeOrigin: `http://localhost:${port}`, hostOrigin: stack.hostOrigin });
        const { callback } = await authorizeAt(browser, 'github', 'ada');
        callback.port = String(port);
        assert.equal((await browser.visit(callback)).status, 303);
        /** @param {boolean} isSignedIn @param {number} status of a call @param {string} why */
        const becomes = async (isSignedIn, status, why) => {
          const expected = [isSignedIn, status];
          /** @type {unknown[]} */
          let found = [];
          // Each time with the cookie, which an answer may remove.
          for (const deadline = Date.now() + 5_000; Date.now() < deadline; await delay(100)) {
            const [session, call] = [await browser.copy().session(), await browser.copy().call('/bff/github/user')];
            found = [session.authenticated, call.status];
            if (isDeepStrictEqual(found, expected)) return;
          }
          assert.deepEqual(found, expected, why);
        };
        await becomes(true, 200, 'signed in');
        change({ GITHUB_ALLOW: 'GET /repos/*' });
        await becomes(true, 404, 'the list no longer has the path');
        /** @param {boolean} isSignedIn after a whole sign-in */
        const signsIn = async (isSignedIn) => {
          for (const deadline = Date.now() + 5_000; ; await delay(100)) {
            const visitor = new EdgeBrowser({ edgeOrigin: `http://localhost:${port}`, hostOrigin: stack.hostOrigin });
            const { callback } = await authorizeAt(visitor, 'github', 'grace');
            callback.port = String(port);
            const { status } = await visitor.visit(callback);
            if ((status === 303) === isSignedIn) return;
            assert.ok(Date.now() < deadline, `the callback answers ${status}`);
          }
        };
        change({ GITHUB_CLIENT_SECRET: 'of-another-app-8d1f6c2e9b40a7d35e' });
        await signsIn(false);
        change({});
        await signsIn(true);
        change({ SESSION_KEYS: `${stack.secrets.sessionKeys},${keyRing('added')}` });
        await becomes(true, 200, 'a key that was added changes nothing');
        change({ SESSION_KEYS: keyRing('added') });
        await becomes(false, 401, 'the removed key opens nothing');
        change({});
        await becomes(true, 200, 'the key opens as long as the ring has it');
        rmSync(variableStore);
        // An instance that has read them goes on for a minute. One that starts now has nothing, and refuses.
        for (let tries = 0; tries < 20; tries += 1) {
          const answer = await browser.copy().call('/auth/session');
          if (answer.status === 503) assert.equal(assertProblem(answer, 503).code, 'misconfigured');
          else
            assert.equal(JSON.parse(answer.text).authenticated, true, 'nobody is signed out by an outage of the store');
          await delay(100);
        }
        change({ REVOCATION_BOUND_SECONDS: 'never' });
        for (const deadline = Date.now() + 5_000; ; await delay(100)) {
          const answer = await browser.copy().call('/auth/session');
          if (answer.status !== 503 && Date.now() < deadline) continue;
          assert.equal(assertProblem(answer, 503).code, 'misconfigured');
          break;
        }
      } finally {
        await edge.stop();
      }
    },
  );
}
