// Signs a browser in by following the identity provider's own pages.

import assert from 'node:assert/strict';

import { EdgeBrowser } from './edge-browser.mjs';

/** @typedef {'github' | 'entra'} Provider */

/**
 * Signs in at the provider, up to its redirect to the edge's callback, which is not requested yet.
 * @param {EdgeBrowser} browser
 * @param {Provider} provider
 * @param {string} login of one of the emulators' users
 * @param {string} [returnTo]
 * @param {Record<string, string>} [more] query parameters of the login
 */
export async function authorizeAt(browser, provider, login, returnTo = '/', more = {}) {
  const query = new URLSearchParams({ return_to: returnTo, ...more });
  return authorizeFrom(browser, `/auth/${provider}/login?${query}`, login);
}

/**
 * Signs in at an emulator, from where a BFF begins a sign-in up to the redirect to its callback.
 * @param {import('./browser.mjs').Browser} browser @param {string} start of the sign-in, at the BFF
 * @param {string} login of one of the emulators' users
 */
export async function authorizeFrom(browser, start, login) {
  const begun = await browser.visit(start);
  assert.ok([302, 303].includes(begun.status), `login answers ${begun.status}: ${begun.text.slice(0, 300)}`);
  const authorize = new URL(begun.headers.location ?? '');
  const { action, fields } = formOf((await browser.visit(authorize)).text, login);
  const chosen = await browser.visit(new URL(action, authorize), {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded', Origin: authorize.origin },
    body: new URLSearchParams(fields).toString(),
  });
  assert.equal(chosen.status, 302, `the provider answers ${chosen.status}: ${chosen.text.slice(0, 300)}`);
  return { authorize, callback: new URL(chosen.headers.location ?? '') };
}

/**
 * Signs in and requests the callback.
 * @param {EdgeBrowser} browser @param {Provider} provider @param {string} login @param {string} [returnTo]
 */
export async function signIn(browser, provider, login, returnTo) {
  const { authorize, callback } = await authorizeAt(browser, provider, login, returnTo);
  return { authorize, callback, finished: await browser.visit(callback) };
}

/**
 * Returns a signed-in browser and its user.
 * @param {{ edgeOrigin: string, hostOrigin: string }} stack @param {Provider} provider @param {string} login
 */
export async function signedIn(stack, provider, login) {
  const browser = new EdgeBrowser(stack);
  const { finished } = await signIn(browser, provider, login);
  assert.equal(finished.status, 303, `the callback answers ${finished.status}: ${finished.text.slice(0, 300)}`);
  const { authenticated, user } = await browser.session();
  assert.equal(authenticated, true, `${login} is signed in`);
  return { browser, user };
}

/** The form behind a user's button: its action and its fields. @param {string} html @param {string} login */
function formOf(html, login) {
  for (const [, action = '', inner = ''] of html.matchAll(/<form\b[^>]*\baction="([^"]*)"[^>]*>(.*?)<\/form>/gs)) {
    const fields = [...inner.matchAll(/<input\b[^>]*\bname="([^"]*)"[^>]*\bvalue="([^"]*)"/g)].map(
      ([, name = '', value = '']) => [name, unescape(value)],
    );
    if (
      fields.some(
        ([name, value]) =>
          (name === 'login' && value === login) || (name === 'email' && value?.startsWith(`${login}@`)),
      )
    ) {
      return { action: unescape(action), fields };
    }
  }
  throw new Error(`the provider's page has no button for ${login}:\n${html.slice(0, 1000)}`);
}

/** @param {string} text */
function unescape(text) {
  const entities = /** @type {Record<string, string>} */ ({
    '&amp;': '&',
    '&lt;': '<',
    '&gt;': '>',
    '&quot;': '"',
    '&#39;': "'",
    '&#x27;': "'",
  });
  return text.replace(/&(?:amp|lt|gt|quot|#39|#x27);/g, (entity) => entities[entity] ?? entity);
}
