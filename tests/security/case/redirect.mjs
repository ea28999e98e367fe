// Section B: no return address leads off the configured origins, at login, callback, logout or on the error page.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { ADA } from '../provider/realm.mjs';
import { concurrently } from '../concurrently.mjs';
import { corpus } from './redirect-corpus.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */

/** @param {Bff} bff */
const entries = (bff) => corpus(bff.origin, bff.running?.hostOrigin ?? 'http://localhost:8080');

/**
 * Asserts that a browser on the BFF's origin would stay on the configured origins.
 * @param {Bff} bff @param {string} location
 */
function assertStays(bff, location, context = '') {
  let text = location;
  // Nor may it lead elsewhere after further decoding.
  for (let round = 0; round < 3; round++) {
    // After decoding there may be a space, which no parser drops from the middle of a URL.
    const plain = round ? /^[^?#]*[^ -[\]-~\u0080-\uffff]/ : /^[^?#]*[^!-[\]-~]/;
    const origins = [bff.origin, bff.running?.hostOrigin];
    assert.ok(origins.includes(new URL(text, bff.origin).origin), `${context} leads to ${location}`);
    assert.ok(!/^[\\/]{2}/.test(text) && !plain.test(text), `${context} leads to ${JSON.stringify(location)}`);
    try {
      const [path = '', ...query] = text.split('?');
      text = [decodeURIComponent(path), ...query].join('?');
    } catch {
      break;
    }
  }
}

/**
 * Signs in with a return address. Returns the browser and the location of the last redirect.
 * @param {Bff} bff @param {string} query of the login @param {string} [more] appended to the query of the callback
 */
async function signInWith(bff, query, more = '') {
  const browser = bff.browser();
  const begun = await browser.visit(`${bff.path.login(bff.realms.oidc.id)}?${query}`);
  bff.assertRedirects(begun, `login with ${query}`);
  // Another user each time, since one user may not have so many sessions.
  bff.realms.oidc.user = { ...ADA, id: randomUUID() };
  const answer = await browser.arrive((await bff.callbackOf(new URL(begun.headers.location ?? ''))) + more);
  bff.assertRedirects(answer, `callback after ${query}${more}`);
  assert.deepEqual(
    Object.keys(answer.headers).filter((name) => /evil|x-evil/.test(name)),
    [],
    query,
  );
  assert.equal([answer.headers['set-cookie']].flat().filter((cookie) => cookie?.startsWith('evil')).length, 0, query);
  assert.ok(await bff.user(browser), `no session after ${query}`);
  return { browser, location: answer.headers.location ?? '' };
}

/** The location of the last redirect of a sign-in. @param {Bff} bff @param {string} query */
const locationAfter = async (bff, query) => (await signInWith(bff, query)).location;

/** Every so many entries, one is tried at a callback alone, which takes another sign-in. */
const CALLBACK_ONLY_EVERY = 6;

/** A well-formed state of no sign-in. */
const UNKNOWN_STATE = 'A'.repeat(43);

/**
 * Asserts that a rejected sign-in does not use a return address.
 * @param {Bff} bff @param {string} encoded the parameter
 */
async function assertRejectedSignInStays(bff, encoded) {
  const rejected = bff.browser();
  const { authorize } = await bff.begin(rejected);
  for (const target of [
    `${bff.path.callback(bff.realms.oidc.id)}?${encoded}&error=x&state=${authorize.searchParams.get('state')}`,
    `${bff.path.login('nobody')}?${encoded}`,
  ]) {
    const answer = await rejected.visit(target);
    assert.ok(answer.status >= 400, `${target} answers ${answer.status}`);
    assert.equal(answer.headers.location, undefined, target);
    assert.ok(!answer.text.includes('evil'), target);
  }
}

/**
 * Asserts that a sign-out without a session leads home or to a harmless address.
 * @param {Bff} bff @param {string} entry @param {string} encoded
 * @param {string} context
 */
async function assertSignOutStays(bff, entry, encoded, context) {
  const left = await bff.browser().visit(`${bff.path.endSession(bff.realms.oidc.id)}?${encoded}`);
  const destination = left.headers.location ?? '';
  assertStays(bff, destination, context);
  assert.ok(
    destination === bff.path.home || isHarmless(bff, entry),
    `${context} is not home but ${destination} after signing out`,
  );
  const out = await bff
    .browser()
    .call(`${bff.path.logout}?${encoded}&post_logout_redirect_uri=${encodeURIComponent(entry.toWellFormed())}`, {
      method: 'POST',
    });
  if (out.headers.location !== undefined) assertStays(bff, out.headers.location, context);
  assert.ok(!out.text.includes('evil'), context);
}

/**
 * Asserts the same of a signed-in user: at a repeated callback, at sign-out, and on return from the provider's logout.
 * @param {Bff} bff @param {import('../../support/browser.mjs').Browser} browser
 * @param {string} entry @param {string} encoded
 * @param {string} context
 */
async function assertSignedInStays(bff, browser, entry, encoded, context) {
  const again = await browser.visit(
    `${bff.path.callback(bff.realms.oidc.id)}?state=${UNKNOWN_STATE}&code=x&${encoded}`,
  );
  bff.assertRedirects(again, context);
  assert.equal(again.headers.location, bff.path.home, context);
  const signedOut = await browser.call(`${bff.path.logout}?${encoded}`, { method: 'POST' });
  assert.ok(
    [200, 204].includes(signedOut.status) &&
      signedOut.headers.location === undefined &&
      !signedOut.text.includes('evil'),
    `${context}: logout answers ${signedOut.status}`,
  );
  const logout = new URL(
    (await browser.visit(`${bff.path.endSession(bff.realms.oidc.id)}?${encoded}`)).headers.location ?? '',
    bff.origin,
  );
  assert.equal(
    logout.origin + logout.pathname,
    bff.realms.oidc.url('logout'),
    `${context}: not to the provider's logout`,
  );
  assert.equal(
    logout.searchParams.get('post_logout_redirect_uri'),
    `${bff.origin}${bff.path.loggedOut(bff.realms.oidc.id)}`,
    context,
  );
  const home = await browser.visit(
    `${bff.path.loggedOut(bff.realms.oidc.id)}?state=${logout.searchParams.get('state')}&${encoded}`,
  );
  assertStays(bff, home.headers.location ?? '', context);
  assert.ok(
    home.headers.location === bff.path.home || isHarmless(bff, entry),
    `${context} is not home but ${home.headers.location} back from the provider's logout`,
  );
}

/** @param {string} id @param {string} title @returns {import('../case.mjs').Case} */
function corpusCase(id, title) {
  return {
    id,
    title,
    async attack(bff) {
      const parameter = bff.path.returnParameter;
      await concurrently([...new Set(entries(bff)[id])].entries(), async ([index, entry]) => {
        const context = `${parameter}=${JSON.stringify(entry)}`;
        const encoded = `${parameter}=${encodeURIComponent(entry.toWellFormed())}`;
        // A return address at the callback changes nothing.
        const { browser, location } = await signInWith(bff, encoded, `&${encoded}`);
        assertStays(bff, location, context);
        assert.ok(location === bff.path.home || isHarmless(bff, entry), `${context} is not home but ${location}`);
        if (index % CALLBACK_ONLY_EVERY === 0)
          assert.equal(
            (await signInWith(bff, '', `&${encoded}`)).location,
            bff.path.home,
            `${context} at the callback alone`,
          );
        await assertRejectedSignInStays(bff, encoded);
        await assertSignOutStays(bff, entry, encoded, context);
        await assertSignedInStays(bff, browser, entry, encoded, context);
      });
    },
  };
}

/**
 * Whether an address stays on the BFF's origin however often it is decoded, or is one of the host page, with any query.
 * @param {Bff} bff @param {string} entry
 */
function isHarmless(bff, entry) {
  const host = bff.running?.hostOrigin;
  if (host !== undefined && entry.startsWith(host) && /^(?:$|[/?#])/.test(entry.slice(host.length))) return true;
  if (!/^\/[!-.0-[\]-~]/.test(entry)) return false;
  try {
    assertStays(bff, entry);
    return true;
  } catch {
    return false;
  }
}

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  corpusCase('S28', 'return address: slashes and backslashes'),
  corpusCase('S29', 'return address: white space and controls'),
  corpusCase('S30', 'return address: encoded separators'),
  corpusCase('S31', 'return address: schemes'),
  corpusCase('S32', 'return address: users, suffixes and look-alike hosts'),
  corpusCase('S33', 'return address: Unicode'),
  corpusCase('S34', 'return address: line breaks'),
  corpusCase('S35', 'return address: fragments, queries and ports'),
  {
    id: 'S36',
    title: 'return address given twice; a corpus of five hundred entries; valid addresses are kept',
    async attack(bff) {
      const all = Object.values(entries(bff)).flat();
      assert.ok(new Set(all).size >= 500, `${new Set(all).size} entries`);
      const parameter = bff.path.returnParameter;
      for (const [first, second] of [
        ['/a', '//evil.example'],
        ['//evil.example', '/a'],
        ['/a', '/b'],
        ['/a', '/a'],
      ]) {
        const location = await locationAfter(
          bff,
          `${parameter}=${encodeURIComponent(first ?? '')}&${parameter}=${encodeURIComponent(second ?? '')}`,
        );
        assert.equal(location, bff.path.home, `${first} and ${second}`);
      }
      const host = bff.running?.hostOrigin;
      for (const good of [
        '/',
        '/chat',
        '/chat/?q=1&r=%2F',
        '/caf%C3%A9',
        ...(host ? [`${host}/`, `${host}/page?x=//y#z`] : []),
      ]) {
        assert.equal(await locationAfter(bff, `${parameter}=${encodeURIComponent(good)}`), good);
      }
    },
  },
];
