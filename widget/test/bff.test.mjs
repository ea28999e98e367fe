import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';

import { createClient } from '../src/client/client.js';

const EDGE = 'https://edge.example';

describe("a request to a service's API", () => {
  /** @type {[string, RequestInit][]} */
  let requests = [];
  beforeEach(() => {
    requests = [];
    const answer = async (/** @type {string} */ address, /** @type {RequestInit} */ init) => {
      requests.push([address, init]);
      return new Response('{}');
    };
    mock.method(globalThis, 'fetch', answer);
  });

  afterEach(() => mock.restoreAll());

  const client = createClient({ edge: EDGE });

  test('goes to the edge, with the header that a link cannot have, and follows no redirect', async () => {
    const init = /** @type {RequestInit} */ ({
      method: 'POST',
      headers: { 'X-CSRF': '0', Accept: 'text/plain' },
      redirect: 'follow',
      credentials: 'omit',
    });
    await client.bff('github').fetch('/user/repos?page=2&of=../me', init);
    const [[address, { method, headers, redirect, credentials }] = ['', {}]] = requests;
    assert.equal(address, `${EDGE}/bff/github/user/repos?page=2&of=../me`);
    assert.deepEqual([method, redirect, credentials], ['POST', 'error', 'include']);
    assert.deepEqual(Object.fromEntries(new Headers(headers)), { accept: 'text/plain', 'x-csrf': '1' });
  });

  test('stays within the service', async () => {
    await client.bff('a b').fetch('/x/../y');
    assert.equal(requests[0]?.[0], `${EDGE}/bff/a%20b/y`);
    /** @type {[string, string][]} */
    const refused = [
      ['github', '/../graph/v1.0/me'],
      ['github', '/../../auth/logout'],
      ['github', '/%2e%2e/graph/me'],
      ['github', '/.%2E\\..\\events/chat'],
      ['github', '/\t../graph/me'],
      ['github', '-other/user'],
      ['github', ''],
      ['..', '/auth/logout'],
      ['.', '/github/user'],
    ];
    for (const [service, path] of refused)
      await assert.rejects(client.bff(service).fetch(path), TypeError, `${service} ${path}`);
    assert.equal(requests.length, 1);
  });
});
