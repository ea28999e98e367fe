// Section G: tokens are refreshed once, whatever happens meanwhile.

import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';

import { json } from '../provider/recorded.mjs';
import { MALLORY } from '../provider/realm.mjs';
import { signOut } from './logout.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../../support/browser.mjs').Browser} Browser */
/** @typedef {import('../provider/realm.mjs').Realm} Realm */

/** @param {Bff} bff */
const target = (bff) => bff.profile.api.prefix + bff.profile.api.own;

/** The refresh tokens that a realm has received, in order. @param {Realm} realm */
export const receivedRefreshTokens = (realm) =>
  realm
    .requestsTo('token')
    .filter(({ form }) => form.get('grant_type') === 'refresh_token')
    .map(({ form }) => form.get('refresh_token') ?? '');

/** A browser whose access token has expired. @param {Bff} bff */
async function withExpiredToken(bff) {
  const realm = bff.apiRealm;
  realm.accessTokenSeconds = 1;
  const { browser, user } = await bff.signedIn(realm);
  realm.accessTokenSeconds = 3600;
  await delay(1_100);
  return { browser, user, realm, before: receivedRefreshTokens(realm).length };
}

/**
 * The same for several users, so that the provider can answer each differently.
 * @param {Bff} bff @param {number} count
 */
async function manyWithExpiredTokens(bff, count) {
  const realm = bff.apiRealm;
  realm.accessTokenSeconds = 1;
  const people = [];
  for (let index = 0; index < count; index++) {
    realm.user = { id: `of-many-${index}`, name: `User ${index}`, email: `${index}@causeway.example` };
    people.push({ id: realm.user.id, ...(await bff.signedIn(realm)) });
  }
  realm.accessTokenSeconds = 3600;
  await delay(1_100);
  return people;
}

/** @param {string[]} tokens */
export const maxRepeats = (tokens) =>
  Math.max(0, ...tokens.map((token) => tokens.filter((other) => other === token).length));

/** Waits until a condition holds, and returns whether it does. @param {() => boolean | Promise<boolean>} holds */
export async function eventually(holds, waitMs = 10_000) {
  for (const deadline = Date.now() + waitMs; Date.now() < deadline; await delay(25)) if (await holds()) return true;
  return false;
}

/**
 * Asserts that a sign-out during a refresh ends the session for good.
 * @param {Bff} bff @param {{ browser: Browser, realm: Realm }} signed @param {string} api
 */
export async function assertSignOutDuringRefresh(bff, { browser, realm }, api) {
  const thief = browser.copy();
  let hasBegun = false;
  realm.overrides = {
    tokenEndpoint: async (_request, honest) => {
      hasBegun = true;
      return { ...(await honest()), afterMs: 1_500 };
    },
  };
  const refreshing = browser.copy().call(api);
  assert.ok(await eventually(() => hasBegun));
  await signOut(bff, browser);
  const { status } = await refreshing;
  assert.ok(status >= 400, `the call during the sign-out: ${status}`);
  await bff.revocationBound();
  assert.equal(await bff.user(thief), undefined, 'the session is revived');
  assert.equal((await thief.call(api)).status, 401);
}

/**
 * Asserts that a lost answer of a refresh leads to the allowed retries and then to a sign-in, without a loop.
 * @param {Bff} bff @param {{ browser: Browser, realm: Realm, before: number }} signed @param {string} api
 * @param {() => Promise<unknown>} [whileSignInNeeded]
 */
export async function assertNoLoopAfterLostAnswer(
  bff,
  { browser, realm, before },
  api,
  whileSignInNeeded = async () => {},
) {
  realm.overrides = { tokenEndpoint: async (_request, honest) => ({ ...(await honest()), lost: true }) };
  const first = await browser.call(api);
  assert.ok(first.status === 401 || first.status === 503, String(first.status));
  // The provider has rotated the token and answers again: it takes the repeated token for a stolen one.
  realm.overrides = {};
  const hasEnded = await eventually(async () => (await browser.call(api)).status === 401, 60_000);
  assert.ok(hasEnded, `the retries do not end\n${bff.logTail()}`);
  const answer = await browser.call(api);
  assert.ok(bff.profile.signInNeeded(answer), `${answer.status} ${answer.text}`);
  await whileSignInNeeded();
  const tokens = receivedRefreshTokens(realm).slice(before);
  assert.deepEqual(
    [maxRepeats(tokens), tokens.length],
    [1 + bff.profile.refreshRepeats, 1 + bff.profile.refreshRepeats],
    'how often it was sent',
  );
  for (let count = 0; count < 10; count++) await browser.call(api);
  assert.equal(receivedRefreshTokens(realm).length - before, tokens.length, 'no loop');
  realm.reused = 0;
  bff.assertRedirects(await bff.signIn(browser, realm), 'the callback');
  assert.equal((await browser.call(api)).status, 200, 'after a new sign-in calls work');
}

/**
 * Asserts that a hundred concurrent calls are served after one refresh.
 * @param {Bff} bff @param {{ browser: Browser, realm: Realm, before: number }} signed @param {string} api
 */
export async function assertOneRefreshForMany(bff, { browser, realm, before }, api) {
  const answers = await Promise.all(Array.from({ length: 100 }, () => browser.call(api)));
  assert.deepEqual(
    answers.map(({ status }) => status),
    answers.map(() => 200),
    bff.logTail(),
  );
  assert.equal(receivedRefreshTokens(realm).length - before, 1, 'refreshes');
}

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S106',
    title: 'a hundred concurrent requests with an expired token: one refresh, all served',
    async attack(bff) {
      const signed = await withExpiredToken(bff);
      await assertOneRefreshForMany(bff, signed, target(bff));
      assert.equal(signed.realm.reused, 0);
    },
  },
  {
    id: 'S107',
    title: 'rotation with reuse detection: no refresh token is sent twice in random schedules',
    async attack(bff) {
      const realm = bff.apiRealm;
      realm.overrides = {
        tokenEndpoint: async (_request, honest) => ({ ...(await honest()), afterMs: Math.random() * 120 }),
      };
      const sessions = await Promise.all(Array.from({ length: 4 }, () => withExpiredToken(bff)));
      for (let round = 0; round < 6; round++) {
        realm.accessTokenSeconds = 1;
        const calls = sessions.flatMap(({ browser }) =>
          Array.from({ length: 8 }, async () => {
            await delay(Math.random() * 150);
            return browser.call(target(bff));
          }),
        );
        for (const { status } of await Promise.all(calls)) assert.equal(status, 200);
        await delay(1_100);
      }
      assert.equal(realm.reused, 0, 'a used refresh token was sent');
      assert.equal(maxRepeats(receivedRefreshTokens(realm)), 1);
    },
  },
  {
    id: 'S152',
    title: "this runtime's own coordinator: of many writers one wins, round after round",
    async attack(bff) {
      const { browser, realm } = await withExpiredToken(bff);
      for (let round = 0; round < 5; round++) {
        const before = receivedRefreshTokens(realm).length;
        realm.accessTokenSeconds = 1;
        const answers = await Promise.all(Array.from({ length: 40 }, () => browser.call(target(bff))));
        assert.ok(
          answers.every(({ status }) => status === 200),
          `round ${round}: ${answers.map(({ status }) => status)}`,
        );
        await delay(1_100);
        const count = receivedRefreshTokens(realm).length - before;
        // The last of them may arrive after the new token has expired.
        assert.ok(count >= 1 && count <= 3, `round ${round}: ${count} refreshes`);
        assert.equal(
          maxRepeats(receivedRefreshTokens(realm).slice(before)),
          1,
          `round ${round}: a refresh token twice`,
        );
      }
      assert.equal(realm.reused, 0);
    },
  },
  {
    id: 'S108',
    title: 'answer of a refresh lost: one retry, then a sign-in is needed, no loop',
    async attack(bff) {
      await assertNoLoopAfterLostAnswer(bff, await withExpiredToken(bff), target(bff));
    },
  },
  {
    id: 'S113',
    title: 'outages of the provider end no session; invalid_grant does',
    async attack(bff) {
      /** @type {[string, import('../provider/recorded.mjs').Reply][]} */
      const outages = [
        ['500', { status: 500, body: 'x' }],
        ['502 with a page', { status: 502, headers: { 'content-type': 'text/html' }, body: '<html>' }],
        ['429', { status: 429, headers: { 'retry-after': '1' }, body: '' }],
        ['temporarily_unavailable', json({ error: 'temporarily_unavailable' }, 400)],
        ['server_error', json({ error: 'server_error' }, 400)],
        ['invalid_client', json({ error: 'invalid_client' }, 401)],
        ['a page as 200', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }],
        ['503', { status: 503, headers: { 'retry-after': '1' }, body: '' }],
        ['no answer', { status: 503, afterMs: 60_000 }],
      ];
      const realm = bff.apiRealm;
      const people = await manyWithExpiredTokens(bff, outages.length);
      const isOut = new Set(people.map(({ id }) => id));
      realm.overrides = {
        tokenEndpoint: (request, honest) => {
          const id = realm.refreshes.get(request.form.get('refresh_token') ?? '')?.user.id ?? '';
          const reply = outages[people.findIndex((person) => person.id === id)]?.[1];
          return isOut.has(id) && reply ? reply : honest();
        },
      };
      await Promise.all(
        people.map(async ({ id, browser, user }, index) => {
          const why = outages[index]?.[0];
          const answer = await browser.call(target(bff));
          assert.ok([502, 503].includes(answer.status), `${why}: ${answer.status} ${answer.text}`);
          assert.ok(Number(answer.headers['retry-after']) > 0, `${why}: Retry-After`);
          assert.equal(await bff.user(browser), user, `${why}: signed out`);
          isOut.delete(id);
          // An unreadable answer may have rotated the token; then the provider itself ends the grant.
          const recovered = await eventually(
            async () => [200, 401].includes((await browser.call(target(bff))).status),
            40_000,
          );
          assert.ok(recovered, `${why}: does not recover`);
          if (why !== 'a page as 200') assert.equal((await browser.call(target(bff))).status, 200, why);
        }),
      );
      realm.overrides = {};
      const { browser, user } = await withExpiredToken(bff);
      const elsewhere = browser.copy();
      assert.equal(await bff.user(elsewhere), user);
      realm.overrides = { tokenEndpoint: () => json({ error: 'invalid_grant' }, 400) };
      assert.equal((await browser.call(target(bff))).status, 401, 'invalid_grant');
      await bff.revocationBound();
      assert.equal(
        await bff.user(elsewhere),
        undefined,
        "the account's grant has ended, and with it the session that began with it",
      );
    },
  },
  {
    id: 'S114',
    title: 'sign-out during a refresh: the session is not revived, and the new token is revoked',
    async attack(bff) {
      const { browser, realm } = await withExpiredToken(bff);
      await assertSignOutDuringRefresh(bff, { browser, realm }, target(bff));
      const newest = [...realm.refreshes.keys()].at(-1) ?? '';
      assert.ok(await eventually(() => realm.revoked.has(newest)), `the new token is not revoked\n${bff.logTail()}`);
    },
  },
  {
    id: 'S116',
    title: "many users refresh and call concurrently: no call carries another user's token",
    async attack(bff) {
      const realm = bff.apiRealm;
      realm.accessTokenSeconds = 1;
      const people = await Promise.all(
        Array.from({ length: 12 }, async (_, index) => {
          const browser = bff.browser();
          const flow = await bff.begin(browser, realm);
          return { browser, flow, index };
        }),
      );
      for (const { browser, flow, index } of people) {
        realm.user = { id: `user-${index}`, name: `User ${index}`, email: `${index}@causeway.example` };
        bff.assertRedirects(await browser.arrive(await flow.callback()), 'the callback');
      }
      realm.accessTokenSeconds = 3600;
      await delay(1_100);
      const begun = bff.upstream.seen.length;
      await Promise.all(
        Array.from({ length: 5 }, () =>
          people.map(({ browser, index }) =>
            browser.call(`${bff.profile.api.prefix}${bff.profile.api.family}/of-${index}`),
          ),
        ).flat(),
      );
      const calls = bff.upstream.seen.slice(begun);
      assert.equal(calls.length, 60);
      for (const { path, headers } of calls)
        assert.equal(realm.granted.get(headers.authorization?.slice(7) ?? '')?.id, `user-${path.split('-')[1]}`, path);
    },
  },
  {
    id: 'S120',
    title: 'refresh without a new refresh token keeps the old one; fewer scopes are accepted',
    async attack(bff) {
      const { browser, realm, before } = await withExpiredToken(bff);
      const forgiving = {
        tokenEndpoint: async (
          /** @type {import('../provider/recorded.mjs').Recorded} */ request,
          /** @type {() => Promise<import('../provider/recorded.mjs').Reply>} */ honest,
        ) => {
          const reply = await honest();
          const refresh = realm.refreshes.get(request.form.get('refresh_token') ?? '');
          if (refresh) refresh.used = false;
          return reply;
        },
      };
      realm.accessTokenSeconds = 1;
      realm.overrides = { ...forgiving, tokens: (body) => ({ ...body, refresh_token: undefined, scope: 'openid' }) };
      assert.equal((await browser.call(target(bff))).status, 200);
      await delay(1_100);
      assert.equal((await browser.call(target(bff))).status, 200);
      const tokens = receivedRefreshTokens(realm).slice(before);
      assert.equal(tokens.length, 2);
      assert.equal(tokens[0], tokens[1], 'the old one is kept');
    },
  },
  {
    id: 'S55',
    title: 'refreshed ID token of another user, issuer or client: the session ends',
    async attack(bff) {
      /** @type {[string, Record<string, unknown>][]} */
      const overrides = [
        ['nothing', {}],
        ['sub', { sub: MALLORY.id }],
        ['iss', { iss: 'https://evil.example' }],
        ['aud', { aud: 'other' }],
        ['nonce', { nonce: 'another' }],
        ['auth_time', { auth_time: 1 }],
      ];
      const realm = bff.apiRealm;
      const people = await manyWithExpiredTokens(bff, overrides.length);
      const calls = bff.upstream.seen.length;
      realm.overrides = {
        claims: (claims) => ({ ...claims, ...overrides[people.findIndex(({ id }) => id === claims.sub)]?.[1] }),
      };
      const answers = await Promise.all(people.map(({ browser }) => browser.call(target(bff))));
      realm.overrides = {};
      assert.deepEqual(
        answers.map(({ status }) => status < 400),
        overrides.map(([why]) => why === 'nothing'),
        `calls are answered: ${answers.map(({ status }) => status)}`,
      );
      assert.equal(bff.upstream.seen.length - calls, 1, "the API was called with another user's token");
      await delay(1_100);
      for (const [index, { browser, user }] of people.entries()) {
        const why = overrides[index]?.[0] ?? '';
        assert.equal(
          (await browser.call(target(bff))).status,
          why === 'nothing' ? 200 : 401,
          `${why}: the account is still linked`,
        );
        if (why === 'nothing') assert.equal(await bff.user(browser), user);
        if (['sub', 'iss', 'aud'].includes(why))
          assert.equal(await bff.user(browser), undefined, `${why}: the session goes on`);
      }
    },
  },
  {
    id: 'S100',
    title: 'API that answers 401: one refresh, one retry, then 401 and no redirect',
    async attack(bff) {
      const realm = bff.apiRealm;
      const { browser, user } = await bff.signedIn(realm);
      const post = `${bff.profile.api.prefix}${bff.profile.api.family}/1`;
      let before = receivedRefreshTokens(realm).length;
      // The API accepts only the newest token, as if earlier ones had ended early.
      bff.upstream.answer = ({ headers, body }) =>
        headers.authorization?.endsWith([...realm.granted.keys()].at(-1) ?? '') &&
        receivedRefreshTokens(realm).length > before
          ? json({ body })
          : { status: 401, headers: { 'www-authenticate': 'Bearer error="invalid_token"' } };
      let begun = bff.upstream.seen.length;
      const retried = await browser.call(target(bff));
      assert.equal(retried.status, 200, retried.text);
      assert.equal(receivedRefreshTokens(realm).length - before, 1);
      assert.equal(bff.upstream.seen.length - begun, 2);
      before = receivedRefreshTokens(realm).length;
      // Another user: a BFF may limit how often it refreshes after an API's 401.
      const { browser: another } = await bff.signedIn(realm);
      const withBody = await another.call(post, {
        method: 'POST',
        headers: { 'Content-Type': 'text/plain' },
        body: 'once more',
      });
      assert.equal(withBody.status, 200, withBody.text);
      assert.equal(JSON.parse(withBody.text).body, 'once more', 'the body, too');
      // An API that accepts no token is not retried without end.
      bff.upstream.answer = () => ({ status: 401 });
      begun = bff.upstream.seen.length;
      before = receivedRefreshTokens(realm).length;
      const rejected = await browser.call(target(bff));
      assert.ok(bff.profile.signInNeeded(rejected), `${rejected.status} ${rejected.text}`);
      assert.equal(rejected.headers.location, undefined);
      assert.equal(rejected.headers['www-authenticate'], undefined);
      assert.ok(bff.upstream.seen.length - begun <= 2 && receivedRefreshTokens(realm).length - before <= 1);
      assert.equal(await bff.user(browser), user, 'a 401 of an API ends no session');
    },
  },
];
