// Section G at GitHub: errors come as 200, and the use of a refresh token ends the earlier access token.

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

import { json } from '../provider/recorded.mjs';
import { bearer } from '../provider/realm.mjs';
import {
  assertNoLoopAfterLostAnswer,
  assertOneRefreshForMany,
  assertSignOutDuringRefresh,
  eventually,
  receivedRefreshTokens,
} from './refresh.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */

/** The next user's id at GitHub. */
let number = 0xa00000;

/** @param {Bff} bff */
const target = (bff) => bff.profile.otherApi.prefix + bff.profile.otherApi.own;

/**
 * A user of a GitHub App whose tokens expire. Each call signs in another user: ended tokens affect one test only.
 * @param {Bff} bff @param {number} tokenSeconds
 */
async function signedIn(bff, tokenSeconds) {
  const realm = bff.needs(bff.realms.github, 'GitHub');
  realm.expires = true;
  realm.accessTokenSeconds = tokenSeconds;
  const id = `user-${(number++).toString(16)}`;
  realm.user = { id, name: id, email: `${id}@causeway.example` };
  const signed = { id, realm, ...(await bff.signedIn(realm)) };
  realm.accessTokenSeconds = 28_800;
  return signed;
}

/** A browser whose access token has expired. @param {Bff} bff */
async function withExpiredToken(bff) {
  const signed = await signedIn(bff, 1);
  await delay(1_100);
  return { ...signed, before: receivedRefreshTokens(signed.realm).length };
}

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S106',
    title:
      'a hundred concurrent requests at GitHub: one refresh, and a call that was sent with the old token is retried ' +
      'with the new one',
    async attack(bff) {
      const signed = await withExpiredToken(bff);
      const { realm } = signed;
      await assertOneRefreshForMany(bff, signed, target(bff));

      const { browser: other } = await signedIn(bff, 28_800);
      const old = [...realm.granted.keys()].at(-1) ?? '';
      let hasBegun = false;
      /** @type {() => void} */
      let release = () => {};
      const released = new Promise((resolve) => (release = () => resolve(undefined)));
      bff.otherUpstream.answer = async (request) => {
        if (bearer(request) === old && !hasBegun) {
          hasBegun = true;
          await released;
        }
        return realm.userinfo(request);
      };
      const late = other.copy().call(target(bff));
      assert.ok(await eventually(() => hasBegun));
      realm.granted.delete(old);
      const refreshes = receivedRefreshTokens(realm).length;
      assert.equal((await other.call(target(bff))).status, 200, bff.logTail());
      assert.equal(receivedRefreshTokens(realm).length - refreshes, 1, 'the token that ended early is refreshed');
      release();
      assert.equal((await late).status, 200, bff.logTail());
      assert.equal(receivedRefreshTokens(realm).length - refreshes, 1, 'one refresh');
      assert.equal(realm.reused, 0);
    },
  },
  {
    id: 'S108',
    title: 'answer of a refresh lost at GitHub: one retry, then a sign-in is needed, no loop',
    async attack(bff) {
      const signed = await withExpiredToken(bff);
      await assertNoLoopAfterLostAnswer(bff, signed, target(bff), async () =>
        assert.equal(await bff.user(signed.browser), signed.user, 'a lost answer ends no session'),
      );
    },
  },
  {
    id: 'S113',
    title: 'outages of GitHub end no session; bad_refresh_token does, though it comes as 200',
    async attack(bff) {
      /** @type {[string, import('../provider/recorded.mjs').Reply][]} */
      const outages = [
        ['500', { status: 500, body: 'x' }],
        ['503', { status: 503, headers: { 'retry-after': '1' }, body: '' }],
        ['429', { status: 429, headers: { 'retry-after': '1' }, body: '' }],
        ['incorrect_client_credentials', json({ error: 'incorrect_client_credentials' })],
        ['temporarily_unavailable', json({ error: 'temporarily_unavailable' })],
      ];
      const people = [];
      for (const [why, reply] of outages) people.push({ why, reply, ...(await withExpiredToken(bff)) });
      const { realm } = people[0] ?? assert.fail('no user');
      const isOut = new Map(people.map(({ id, reply }) => [id, reply]));
      realm.overrides = {
        tokenEndpoint: (request, honest) =>
          isOut.get(realm.refreshes.get(request.form.get('refresh_token') ?? '')?.user.id ?? '') ?? honest(),
      };
      await Promise.all(
        people.map(async ({ why, id, browser, user }) => {
          const answer = await browser.call(target(bff));
          assert.equal(answer.status, 503, `${why}: ${answer.text}`);
          assert.ok(Number(answer.headers['retry-after']) > 0, `${why}: Retry-After`);
          assert.equal(await bff.user(browser), user, `${why}: signed out`);
          isOut.delete(id);
          assert.ok(
            await eventually(async () => (await browser.call(target(bff))).status === 200, 40_000),
            `${why}: does not recover\n${bff.logTail()}`,
          );
        }),
      );
      realm.overrides = {};
      const { browser, user, id } = await withExpiredToken(bff);
      const spent =
        [...realm.refreshes.values()].find((refresh) => refresh.user.id === id) ?? assert.fail('no refresh token');
      realm.endedFamilies.add(spent.family);
      assert.ok((await bff.user(browser)) === user);
      assert.equal((await browser.call(target(bff))).status, 401, 'bad_refresh_token');
      await bff.revocationBound();
      assert.equal(await bff.user(browser), undefined, "the account's grant has ended, and with it its session");
    },
  },
  {
    id: 'S114',
    title: 'sign-out during a refresh at GitHub: the session is not revived, and the new token is revoked',
    async attack(bff) {
      const { browser, realm } = await withExpiredToken(bff);
      await assertSignOutDuringRefresh(bff, { browser, realm }, target(bff));
      const newest = [...realm.granted.keys()].at(-1) ?? '';
      const revoked = () =>
        bff.otherUpstream.seen.some(
          ({ method, path, body }) =>
            method === 'DELETE' &&
            path === `/applications/${realm.clientId}/token` &&
            JSON.parse(body).access_token === newest,
        );
      assert.ok(await eventually(revoked), `the new token is not revoked\n${bff.logTail()}`);
    },
  },
];
