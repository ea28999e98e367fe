// Section B: no return address leads off the configured origins, at login, callback, logout or on the error page.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';

import { ADA } from '../provider/realm.mjs';
import { concurrently } from '../concurrently.mjs';
import { corpus } from './redirect-corpus.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */

/** @param {Bff} bff */
const entries = (bff) => corpus(bff.origin, bff.running?.hostOrigin ?? 'http://localhost:8080');

/** Where a browser on the BFF's origin would go, and whether it stays. @param {Bff} bff @param {string} location */
function assertStays(bff, location, about = '') {
  let text = location;
  // Whatever decodes it once more on the way must not find another place in it either.
  for (let round = 0; round < 3; round++) {
    // What is decoded may hold a space, which no parser drops from the middle of an address.
    const plain = round ? /^[^?#]*[^ -[\]-~\u0080-\uffff]/ : /^[^?#]*[^!-[\]-~]/;
    const origins = [bff.origin, bff.running?.hostOrigin];
    assert.ok(origins.includes(new URL(text, bff.origin).origin), `${about} leads to ${location}`);
    assert.ok(!/^[\\/]{2}/.test(text) && !plain.test(text), `${about} leads to ${JSON.stringify(location)}`);
    try {
      const [path = '', ...query] = text.split('?');
      text = [decodeURIComponent(path), ...query].join('?');
    } catch {
      break;
    }
  }
}

/**
 * Signs in with a return address and tells where it led, and who is signed in now.
 * @param {Bff} bff @param {string} query of the login @param {string} [more] put into the address of the callback, by whoever could
 */
async function returned(bff, query, more = '') {
  const browser = bff.browser();
  const begun = await browser.visit(`${bff.path.login(bff.realms.oidc.id)}?${query}`);
  bff.assertRedirects(begun, `login with ${query}`);
  // Somebody each time: nobody has room for so many sessions at once.
  bff.realms.oidc.user = { ...ADA, id: randomUUID() };
  const answer = await browser.arrive((await bff.back(new URL(begun.headers.location ?? ''))) + more);
  bff.assertRedirects(answer, `callback after ${query}${more}`);
  assert.deepEqual(
    Object.keys(answer.headers).filter((name) => /evil|x-evil/.test(name)),
    [],
    query,
  );
  assert.equal([answer.headers['set-cookie']].flat().filter((cookie) => cookie?.startsWith('evil')).length, 0, query);
  assert.ok(await bff.user(browser), `nobody is signed in by ${query}`);
  return { browser, location: answer.headers.location ?? '' };
}

/** Where it led. @param {Bff} bff @param {string} query */
const returnedTo = async (bff, query) => (await returned(bff, query)).location;

/** Of so many entries one is tried at a callback whose sign-in began without any: each costs a sign-in. */
const ALONE_EACH = 6;

/** No state of any sign-in, in the form that one has. */
const STATE_OF_NOBODY = 'A'.repeat(43);

/** @param {string} id @param {string} title @returns {import('../case.mjs').Case} */
function classOf(id, title) {
  return {
    id,
    title,
    async attack(bff) {
      const parameter = bff.path.returnParameter;
      await concurrently([...new Set(entries(bff)[id])].entries(), async ([index, entry]) => {
        const about = `${parameter}=${JSON.stringify(entry)}`;
        const encoded = `${parameter}=${encodeURIComponent(entry.toWellFormed())}`;
        // Said at the callback it changes nothing, whatever the sign-in has begun with.
        const { browser, location } = await returned(bff, encoded, `&${encoded}`);
        assertStays(bff, location, about);
        assert.ok(location === bff.path.home || isHarmless(bff, entry), `${about} is not home but ${location}`);
        if (index % ALONE_EACH === 0)
          assert.equal(
            (await returned(bff, '', `&${encoded}`)).location,
            bff.path.home,
            `${about} at the callback alone`,
          );
        const refused = bff.browser();
        const { authorize } = await bff.begin(refused);
        for (const target of [
          `${bff.path.callback(bff.realms.oidc.id)}?${encoded}&error=x&state=${authorize.searchParams.get('state')}`,
          `${bff.path.login('nobody')}?${encoded}`,
        ]) {
          const answer = await refused.visit(target);
          assert.ok(answer.status >= 400, `${target} answers ${answer.status}`);
          assert.equal(answer.headers.location, undefined, target);
          assert.ok(!answer.text.includes('evil'), target);
        }
        const left = await bff.browser().visit(`${bff.path.endSession(bff.realms.oidc.id)}?${encoded}`);
        const place = left.headers.location ?? '';
        assertStays(bff, place, about);
        assert.ok(
          place === bff.path.home || isHarmless(bff, entry),
          `${about} is not home but ${place} after signing out`,
        );
        const out = await bff
          .browser()
          .call(`${bff.path.logout}?${encoded}&post_logout_redirect_uri=${encodeURIComponent(entry.toWellFormed())}`, {
            method: 'POST',
          });
        if (out.headers.location !== undefined) assertStays(bff, out.headers.location, about);
        assert.ok(!out.text.includes('evil'), about);
        // The same of somebody who is signed in: by a callback again, by signing out, and back from the provider's logout.
        const again = await browser.visit(
          `${bff.path.callback(bff.realms.oidc.id)}?state=${STATE_OF_NOBODY}&code=x&${encoded}`,
        );
        bff.assertRedirects(again, about);
        assert.equal(again.headers.location, bff.path.home, about);
        const gone = await browser.call(`${bff.path.logout}?${encoded}`, { method: 'POST' });
        assert.ok(
          [200, 204].includes(gone.status) && gone.headers.location === undefined && !gone.text.includes('evil'),
          `${about}: logout answers ${gone.status}`,
        );
        const away = new URL(
          (await browser.visit(`${bff.path.endSession(bff.realms.oidc.id)}?${encoded}`)).headers.location ?? '',
          bff.origin,
        );
        assert.equal(
          away.origin + away.pathname,
          bff.realms.oidc.url('logout'),
          `${about}: not to the provider, to sign out there`,
        );
        assert.equal(
          away.searchParams.get('post_logout_redirect_uri'),
          `${bff.origin}${bff.path.loggedOut(bff.realms.oidc.id)}`,
          about,
        );
        const home = await browser.visit(
          `${bff.path.loggedOut(bff.realms.oidc.id)}?state=${away.searchParams.get('state')}&${encoded}`,
        );
        assertStays(bff, home.headers.location ?? '', about);
        assert.ok(
          home.headers.location === bff.path.home || isHarmless(bff, entry),
          `${about} is not home but ${home.headers.location} back from the provider's logout`,
        );
      });
    },
  };
}

/** An address that stays here however often it is decoded, or one of the host page, whose query may say what it likes. @param {Bff} bff @param {string} entry */
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
  classOf('S28', 'return address: slashes and backslashes'),
  classOf('S29', 'return address: white space and controls'),
  classOf('S30', 'return address: encoded separators'),
  classOf('S31', 'return address: schemes'),
  classOf('S32', 'return address: users, suffixes and look-alike hosts'),
  classOf('S33', 'return address: Unicode'),
  classOf('S34', 'return address: line breaks'),
  classOf('S35', 'return address: fragments, queries and ports'),
  {
    id: 'S36',
    title: 'return address given twice; five hundred entries; good ones survive',
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
        const location = await returnedTo(
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
        assert.equal(await returnedTo(bff, `${parameter}=${encodeURIComponent(good)}`), good);
      }
    },
  },
];
