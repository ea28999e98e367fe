// Follows the provider's own pages as a browser does.

import assert from 'node:assert/strict';

import { EdgeBrowser } from '../support/edge-browser.mjs';

const MAX_STEPS = 12;

/**
 * Signs in and consents at the provider, as far as it sends the browser back: nobody has asked the edge's callback yet.
 * @param {EdgeBrowser} browser
 * @param {string} id the provider's, at the edge
 * @param {string} login
 * @param {string} [returnTo]
 */
export async function authorizeAt(browser, id, login, returnTo = '/') {
  const begun = await browser.visit(`/auth/${id}/login?return_to=${encodeURIComponent(returnTo)}`);
  assert.equal(begun.status, 303, `login answers ${begun.status}: ${begun.text.slice(0, 300)}`);
  const authorize = new URL(begun.headers.location ?? '');
  return { authorize, callback: await walk(browser, authorize, { login, password: 'any' }) };
}

/** The whole way. @param {EdgeBrowser} browser @param {string} id @param {string} login @param {string} [returnTo] */
export async function signIn(browser, id, login, returnTo) {
  const { authorize, callback } = await authorizeAt(browser, id, login, returnTo);
  return { authorize, callback, finished: await browser.visit(callback) };
}

/** A signed-in browser. @param {{ edgeOrigin: string, hostOrigin: string }} stack @param {string} id @param {string} login */
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
 * @param {Record<string, string>} fields what a form is filled with, beside what it holds already
 */
export async function walk(browser, from, fields) {
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
  throw new Error(`the provider leads nowhere after ${MAX_STEPS} steps, at last to ${answer.url}`);
}
