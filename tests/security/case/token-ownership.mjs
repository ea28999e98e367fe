// Section G: which token is sent, if a session has several tokens and if an installation's token serves all users.

import assert from 'node:assert/strict';

import { calculateJwkThumbprint, decodeJwt, decodeProtectedHeader } from 'jose';

import { ADA, MALLORY, bearer } from '../provider/realm.mjs';
import { json } from '../provider/recorded.mjs';

/** An API that does not know a new token yet needs a moment, which an immediate repeat would not give it. */
const LEAST_PAUSE_MS = 500;

/** The key of a proof. @param {import('../provider/recorded.mjs').Recorded} request */
function thumbprint({ headers }) {
  const { jwk } = decodeProtectedHeader(String(headers.dpop));
  return calculateJwkThumbprint(/** @type {import('jose').JWK} */ (jwk));
}

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S116',
    title: 'two users call two APIs concurrently: each session has its own key, and each user and API its own token',
    async attack(bff) {
      const {
        realms: { narrow: realm },
        profile: { restrictedApis },
      } = bff;
      realm.overrides = { tokens: (body) => ({ ...body, token_type: 'DPoP' }) };
      const people = [];
      for (const user of [ADA, MALLORY]) {
        realm.user = user;
        people.push({ id: user.id, ...(await bff.signedIn(realm)) });
      }
      const stubs = [bff.upstream, bff.otherUpstream];
      const begun = stubs.map(({ seen }) => seen.length);
      const calls = people.flatMap(({ id, browser }) =>
        restrictedApis.flatMap(({ prefix, own }) =>
          Array.from({ length: 5 }, () => browser.copy().call(`${prefix}${own}?of=${id}`)),
        ),
      );
      for (const { status, text } of await Promise.all(calls)) assert.equal(status, 200, `${text}\n${bff.logTail()}`);
      /** @type {Map<string, Set<string>>} */
      const keys = new Map();
      /** @type {Set<string>} */
      const tokens = new Set();
      for (const [
        index,
        {
          token: { resource },
        },
      ] of restrictedApis.entries()) {
        const seen = stubs[index]?.seen.slice(begun[index]) ?? [];
        assert.equal(seen.length, people.length * 5);
        for (const request of seen) {
          const [token, id] = [bearer(request), request.query.get('of') ?? ''];
          assert.equal(realm.granted.get(token)?.id, id, "another's token");
          assert.equal(realm.audiences.get(token), resource, 'the token of another API');
          assert.ok(decodeJwt(String(request.headers.dpop)).ath, 'bound to the token');
          keys.set(id, (keys.get(id) ?? new Set()).add(await thumbprint(request)));
          tokens.add(token);
        }
      }
      assert.equal(tokens.size, people.length * restrictedApis.length, 'one for each user and API, and reused');
      for (const { form, ...request } of realm.requestsTo('token')) {
        const id =
          (realm.codes.get(form.get('code') ?? '') ?? realm.refreshes.get(form.get('refresh_token') ?? ''))?.user.id ??
          '';
        keys.set(id, (keys.get(id) ?? new Set()).add(await thumbprint({ form, ...request })));
      }
      assert.deepEqual([...keys.keys()].sort(), people.map(({ id }) => id).sort());
      for (const [id, own] of keys) assert.equal(own.size, 1, `${id} has ${own.size} keys`);
      assert.equal(new Set([...keys.values()].flatMap((own) => [...own])).size, people.length, 'two users, two keys');
      assert.equal(realm.reused, 0);
    },
  },
  {
    id: 'S116',
    title:
      "token of a GitHub App's installation: requested once, with a valid JWT and the service's permissions; " +
      'sent to that API alone',
    async attack(bff) {
      const { app } = bff.needs(bff.running, 'running BFF');
      const { prefix, own, installation } = bff.profile.appApi;
      const { browser } = await bff.signedIn(bff.apiRealm);
      const begun = bff.upstream.seen.length;
      assert.equal((await bff.browser().call(prefix + own)).status, 401);
      assert.equal(app.minted.length, 0, 'without a session no token is requested');
      for (let count = 0; count < 3; count++) {
        const answer = await browser.call(prefix + own);
        assert.equal(answer.status, 200, `${answer.text} ${app.rejected}\n${bff.logTail()}`);
      }
      const { browser: other } = await bff.signedIn(bff.apiRealm);
      assert.equal((await other.call(prefix + own)).status, 200);
      assert.deepEqual(app.rejected, []);
      const [{ token, ...asked } = assert.fail('no token was requested'), ...more] = app.minted;
      assert.ok(more.length < bff.instances, `requested ${app.minted.length} times`);
      assert.deepEqual(asked, {
        installation: installation.id,
        permissions: installation.permissions,
        repositories: installation.repositories,
      });
      const tokens = new Set([token, ...more.map((each) => each.token)]);
      const calls = bff.upstream.seen.slice(begun);
      assert.equal(calls.length, 4);
      for (const request of calls) assert.ok(tokens.has(bearer(request)), "the app's token");
      await browser.call(bff.profile.api.prefix + bff.profile.api.own);
      assert.ok(
        !tokens.has(bearer(bff.upstream.seen.at(-1) ?? assert.fail('no call'))),
        'another service gets another token',
      );
      for (const { path, headers } of bff.otherUpstream.seen)
        assert.ok(!tokens.has(headers.authorization?.split(' ')[1] ?? ''), path);
    },
  },
  {
    id: 'S100',
    title:
      "API that does not know an installation's new token yet: the same token is sent again after a pause; " +
      "one that stays rejected is the API's failure, and ends no session",
    async attack(bff) {
      const { app, restart } = bff.needs(bff.running, 'running BFF');
      const { prefix, own } = bff.profile.appApi;
      const { browser, user } = await bff.signedIn(bff.apiRealm);
      // Forgets the tokens of earlier cases.
      await restart();
      const minted = app.minted.length;
      for (const { rejections, status } of [
        { rejections: 1, status: 200 },
        { rejections: Infinity, status: 502 },
      ]) {
        const begun = bff.upstream.seen.length;
        const sent = () => bff.upstream.seen.slice(begun);
        bff.upstream.answer = () => (sent().length > rejections ? json({}) : json({ message: 'Bad credentials' }, 401));
        const answer = await browser.call(prefix + own);
        assert.equal(answer.status, status, `${answer.text}\n${bff.logTail()}`);
        assert.equal(sent().length, status === 200 ? 2 : 3);
        for (const [index, request] of sent().entries()) {
          assert.equal(bearer(request), app.minted.at(-1)?.token);
          const previous = sent()[index - 1];
          if (previous) assert.ok(request.at - previous.at >= LEAST_PAUSE_MS, 'after a pause');
        }
      }
      assert.ok(app.minted.length - minted <= bff.instances, 'no other token is requested');
      assert.equal(await bff.user(browser), user, 'the session goes on');
    },
  },
];
