// Signs a browser in by following the provider's own pages.

import assert from 'node:assert/strict';

import { EdgeBrowser } from '../support/edge-browser.mjs';

const MAX_STEPS = 12;

/**
 * Signs in and consents at the provider, up to its redirect to the edge's callback, which is not requested yet.
 * @param {EdgeBrowser} browser
 * @param {string} id the provider's, at the edge
 * @param {string} login
 * @param {string} [returnTo]
 */
export async function authorizeAt(browser, id, login, returnTo = '/') {
  const begun = await browser.visit(`/auth/${id}/login?return_to=${encodeURIComponent(returnTo)}`);
  assert.equal(begun.status, 303, `login answers ${begun.status}: ${begun.text.slice(0, 300)}`);
  const authorize = new URL(begun.headers.location ?? '');
  return { authorize, callback: await followToEdge(browser, authorize, { login, password: 'any' }) };
}

/**
 * Signs in and requests the callback.
 * @param {EdgeBrowser} browser @param {string} id @param {string} login @param {string} [returnTo]
 */
export async function signIn(browser, id, login, returnTo) {
  const { authorize, callback } = await authorizeAt(browser, id, login, returnTo);
  return { authorize, callback, finished: await browser.visit(callback) };
}

/**
 * Returns a signed-in browser.
 * @param {{ edgeOrigin: string, hostOrigin: string }} stack @param {string} id @param {string} login
 */
export async function signedIn(stack, id, login) {
  const browser = new EdgeBrowser(stack);
  const { finished } = await signIn(browser, id, login);
  assert.equal(finished.status, 303, `the callback answers ${finished.status}: ${finished.text.slice(0, 300)}`);
  assert.equal((await browser.session()).authenticated, true, `${login} is signed in`);
  return browser;
}

/**
 * Follows redirects and submits forms until the browser is sent to the edge.
 * @param {EdgeBrowser} browser
 * @param {URL} from
 * @param {Record<string, string>} fields the values to enter; hidden fields keep theirs
 */
export async function followToEdge(browser, from, fields) {
  let answer = await browser.visit(from);
  for (let step = 0; step < MAX_STEPS; step++) {
    if (answer.status === 303 || answer.status === 302) {
      const next = new URL(answer.headers.location ?? '', answer.url);
      if (next.origin === browser.origin) return next;
      answer = await browser.visit(next);
      continue;
    }
    assert.equal(answer.status, 200, `${answer.url} answers ${answer.status}: ${answer.text.slice(0, 500)}`);
    const [, action = '', inner = ''] = /<form\b[^>]*\baction="([^"]+)"[^>]*>(.*?)<\/form>/s.exec(answer.text) ?? [];
    assert.ok(action, `no form on ${answer.url}`);
    const hidden = [...inner.matchAll(/<input\b[^>]*\bname="([^"]+)"[^>]*\bvalue="([^"]*)"/g)].map(
      ([, name = '', value = '']) => [name, value],
    );
    answer = await browser.visit(new URL(action, answer.url), {
      method: 'POST',
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', Origin: new URL(answer.url).origin },
      body: new URLSearchParams({ ...fields, ...Object.fromEntries(hidden) }).toString(),
    });
  }
  throw new Error(`the provider has not led to the edge after ${MAX_STEPS} steps; the last is ${answer.url}`);
}
