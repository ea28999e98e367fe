// The browser of all suites keeps and sends cookies as real browsers do.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Browser, parseSetCookie } from '../support/browser.mjs';

const ORIGIN = 'http://localhost:1';

/**
 * A browser whose requests are answered here, and the requests.
 * @param {{ lines?: string[], page?: string }} options
 */
function browserWith({ lines = [], page }) {
  /** @type {{ target: string, headers: Record<string, string | string[] | undefined> }[]} */
  const requests = [];
  const browser = new Browser({
    origin: ORIGIN,
    ...(page && { page }),
    exchange: async (origin, target, { headers = {} }) => {
      requests.push({ target: origin + target, headers });
      return { status: 200, headers: { 'set-cookie': lines }, text: '', bytes: 0, target, url: origin + target };
    },
  });
  const cookieOfLast = () => requests.at(-1)?.headers.Cookie;
  return { browser, requests, cookieOfLast };
}

test('a loopback origin without TLS keeps Secure and __Host- cookies', async () => {
  const { browser } = browserWith({ lines: ['__Host-a=1; Path=/; Secure; HttpOnly; SameSite=Strict', 'b=2; Secure'] });
  await browser.visit('/');
  assert.deepEqual([...browser.cookies.keys()], ['__Host-a', 'b']);
  assert.equal(browser.cookies.get('__Host-a')?.attributes.get('samesite'), 'Strict');
});

test('a __Host- cookie with a domain or another path, or without Secure, is not kept', async () => {
  for (const attributes of ['Path=/; Secure; Domain=localhost', 'Path=/auth; Secure', 'Path=/']) {
    const { browser } = browserWith({ lines: [`__Host-a=1; ${attributes}`] });
    await browser.visit('/');
    assert.equal(browser.cookies.size, 0, attributes);
  }
});

test('SameSite decides which cookies travel with navigations and scripts of other sites', async () => {
  const lines = ['strict=1; SameSite=Strict', 'lax=1; SameSite=Lax', 'none=1; SameSite=None; Secure'];
  const own = browserWith({ lines });
  await own.browser.visit('/');
  await own.browser.call('/');
  assert.equal(own.cookieOfLast(), 'strict=1; lax=1; none=1', 'a script of its own page');
  await own.browser.arrive('/');
  assert.equal(own.cookieOfLast(), 'lax=1; none=1', 'a navigation that another site began');
  assert.equal(own.requests.at(-1)?.headers['Sec-Fetch-Site'], 'cross-site');

  const sameSite = browserWith({ lines, page: 'http://localhost:2' });
  await sameSite.browser.visit('/');
  await sameSite.browser.call('/');
  assert.equal(sameSite.cookieOfLast(), 'strict=1; lax=1; none=1', 'a script of the same site');
  assert.equal(sameSite.requests.at(-1)?.headers['Sec-Fetch-Site'], 'same-site');

  const crossSite = browserWith({ lines, page: 'http://127.0.0.1:2' });
  await crossSite.browser.visit('/');
  await crossSite.browser.visit('/');
  assert.equal(crossSite.cookieOfLast(), 'lax=1; none=1', 'a link of another site');
  await crossSite.browser.call('/');
  assert.equal(crossSite.cookieOfLast(), 'none=1', 'a script of another site');
});

test('paths, expiry and hosts limit cookies', async () => {
  const { browser, cookieOfLast } = browserWith({ lines: ['a=1; Path=/auth', 'b=2; Path=/'] });
  await browser.visit('/auth/x');
  assert.equal(browser.cookies.size, 2);
  await browser.visit('/other');
  assert.equal(cookieOfLast(), 'b=2');
  await browser.visit('/auth/y');
  assert.equal(cookieOfLast(), 'a=1; b=2');
  await browser.visit(new URL('http://127.0.0.1:1/auth/'));
  assert.equal(cookieOfLast(), undefined, 'another host');
  await browser.visit('http://127.0.0.1:1/auth/');
  assert.equal(cookieOfLast(), 'b=2', 'a target is no address: it goes to the origin');
});

test('a removed cookie is gone, and a copy of the browser keeps its own', async () => {
  const lines = ['a=1; Path=/'];
  const { browser } = browserWith({ lines });
  await browser.visit('/');
  const copy = browser.copy();
  lines[0] = 'a=; Path=/; Max-Age=0';
  await browser.visit('/');
  assert.equal(browser.cookies.size, 0);
  assert.equal(copy.cookies.get('a')?.value, '1');
  assert.equal(parseSetCookie(lines[0]).isRemoval, true);
  assert.equal(parseSetCookie('a=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT').isRemoval, true);
  assert.equal(parseSetCookie('a=1').isRemoval, false);
});

test('headers of a test override the headers of the browser', async () => {
  const { browser, requests } = browserWith({ lines: ['a=1'] });
  await browser.visit('/');
  await browser.call('/', { method: 'POST', headers: { Cookie: 'forged=1', Origin: undefined } });
  assert.equal(requests.at(-1)?.headers.Cookie, 'forged=1');
  assert.equal(requests.at(-1)?.headers.Origin, undefined);
});
