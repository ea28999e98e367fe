// Section A: answers without a code, and browsers that load a login nobody asked for.

import assert from 'node:assert/strict';

import { setCookies } from '../../support/browser.mjs';

/** @typedef {import('../case.mjs').Case} Case */

/** @type {Case[]} */
export const cases = [
  {
    id: 'S158',
    title: 'answer that names a foreign issuer or none: the sign-in goes on, and the honest answer still works',
    async attack(bff) {
      const realm = await bff.unusedRealm();
      realm.overrides.metadata = (document) => ({ ...document, authorization_response_iss_parameter_supported: true });
      realm.overrides.authorization = (parameters) => parameters.set('iss', realm.issuer);
      const browser = bff.browser();
      const honest = await (await bff.begin(browser, realm)).callback();
      const signIn = [...browser.cookies.keys()].filter(bff.profile.isOwnCookie);
      assert.equal(signIn.length, 1, 'the cookie of the sign-in');
      const [path = '', query] = honest.split('?');
      for (const error of ['access_denied', 'server_error', undefined]) {
        for (const iss of [undefined, 'https://evil.example', `${realm.issuer}/`, '']) {
          const forged = new URLSearchParams(query);
          if (error) {
            forged.delete('code');
            forged.set('error', error);
          }
          if (iss === undefined) forged.delete('iss');
          else forged.set('iss', iss);
          const why = `${error ?? 'a code'}, iss=${iss}`;
          const answer = await bff.assertSignInRejected(browser, () => browser.visit(`${path}?${forged}`), {
            realm,
            why,
            reason: iss === undefined ? 'no issuer' : 'issuer',
          });
          assert.deepEqual(setCookies(answer), [], why);
          assert.deepEqual([...browser.cookies.keys()].filter(bff.profile.isOwnCookie), signIn, why);
        }
      }
      const answer = await browser.visit(honest);
      bff.assertRedirects(answer, `the honest answer: ${answer.text.slice(0, 300)}`);
      assert.ok(bff.givesSession(answer));
    },
  },
  {
    id: 'S160',
    title: 'prefetch by any header of any browser begins no sign-in',
    async attack(bff) {
      const { oidc } = bff.realms;
      const browser = bff.browser();
      const purposes = ['prefetch', 'Prefetch', 'PREFETCH;prerender', 'prerender;prefetch', 'prerender', 'preview'];
      const headers = ['Sec-Purpose', 'Purpose', 'X-Purpose', 'X-Moz'].flatMap((name) =>
        purposes.map((purpose) => ({ [name]: purpose })),
      );
      headers.push({ 'Sec-Purpose': 'other', 'X-Moz': 'prefetch' }, { Purpose: 'a, prefetch', 'X-Purpose': 'b' });
      for (const sent of headers) {
        const answer = await browser.visit(bff.path.login(oidc.id), { headers: sent });
        const why = `${JSON.stringify(sent)} is answered ${answer.status}`;
        assert.equal(answer.status, 403, why);
        assert.equal(answer.headers.location, undefined, why);
        assert.deepEqual(setCookies(answer), [], why);
      }
      assert.deepEqual([...browser.cookies.keys()].filter(bff.profile.isOwnCookie), []);
      bff.assertRedirects(await browser.visit(bff.path.login(oidc.id)), 'a visit');
    },
  },
];
