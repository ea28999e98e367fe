// Section H: logout by the user and by the provider.

import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';

import { signWithSecret, unsigned } from '../provider/key.mjs';
import { MALLORY } from '../provider/realm.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../provider/realm.mjs').Realm} Realm */
/** @typedef {import('../provider/key.mjs').Json} Json */

/** @param {Bff} bff @param {Realm} realm @param {string} token */
const sendLogout = (bff, realm, token) =>
  bff.browser().call(bff.path.backchannelLogout(realm.id), {
    method: 'POST',
    headers: {
      ...bff.withoutCsrf,
      Origin: undefined,
      'Sec-Fetch-Site': undefined,
      'Content-Type': 'application/x-www-form-urlencoded',
    },
    body: new URLSearchParams({ logout_token: token }).toString(),
  });

/**
 * A browser with a session whose ID token has a `sid`.
 * @param {Bff} bff @param {Realm} [realm] @param {string} [sid]
 */
async function withSid(bff, realm = bff.realms.oidc, sid = `sid-${Math.random().toString(36).slice(2)}`) {
  realm.sid = sid;
  const signed = await bff.signedIn(realm);
  realm.sid = undefined;
  return { ...signed, sid, realm };
}

/**
 * Signs out. A repeated sign-out succeeds, too.
 * @param {Bff} bff @param {import('../../support/browser.mjs').Browser} browser
 */
export async function signOut(bff, browser) {
  const answer = await browser.call(bff.path.logout, { method: 'POST' });
  assert.ok([200, 204].includes(answer.status), `logout answers ${answer.status}`);
  assert.equal(answer.headers.location, undefined);
  return answer;
}

/**
 * Logout tokens that must be rejected, each for the flaw that it is named after.
 * @param {Realm} realm @param {string} sid @param {import('../provider/stub.mjs').ProviderStub} provider
 * @returns {[string, string | Promise<string>][]}
 */
function forgedLogoutTokens(realm, sid, provider) {
  const now = Math.floor(Date.now() / 1000);
  const event = 'http://schemas.openid.net/event/backchannel-logout';
  const claims = {
    iss: realm.issuer,
    aud: realm.clientId,
    iat: now,
    exp: now + 120,
    jti: 'x1',
    sid,
    events: { [event]: {} },
  };
  const header = { alg: 'RS256', kid: realm.honestKey.kid, typ: 'logout+jwt' };
  return [
    ['nothing', ''],
    ['no JWT', 'x'],
    ['alg none', `${unsigned({ ...header, alg: 'none' }, claims)}.`],
    ['HS256 with the public key', signWithSecret({ ...header, alg: 'HS256' }, claims, realm.honestKey.pem)],
    ['HS256 with the client secret', signWithSecret({ ...header, alg: 'HS256' }, claims, realm.clientSecret)],
    ['no signature', `${unsigned(header, claims)}.`],
    ['another key under its name', provider.otherKey.signAnyway(header, claims)],
    ['an unknown key', provider.otherKey.sign({ kid: 'unknown' }, claims)],
    .../** @type {[string, Json][]} */ ([
      ['another issuer', { sid, iss: 'https://evil.example' }],
      ['no issuer', { sid, iss: undefined }],
      ['another audience', { sid, aud: 'other' }],
      ['one audience too many', { sid, aud: [realm.clientId, 'other'] }],
      ['no audience', { sid, aud: undefined }],
      ['no events', { sid, events: undefined }],
      ['another event', { sid, events: { 'http://evil.example': {} } }],
      ['events as a list', { sid, events: [event] }],
      ['an event that is a text', { sid, events: event }],
      ['a nonce', { sid, nonce: 'x' }],
      ['neither sub nor sid', {}],
      ['an empty sid', { sid: '' }],
      ['a sid that is a list', { sid: [sid] }],
      ['expired', { sid, exp: now - 300 }],
      ['issued long ago', { sid, iat: now - 3600, exp: now + 3600 }],
      ['issued in the future', { sid, iat: now + 3600, exp: now + 3700 }],
      ['no iat', { sid, iat: undefined }],
      ['no jti', { sid, jti: undefined }],
      ['an empty jti', { sid, jti: '' }],
    ]).map(([why, changes]) => /** @type {[string, Promise<string>]} */ ([why, realm.logoutToken(changes)])),
    ['type of an access token', realm.logoutToken({ sid }, { typ: 'at+jwt' })],
    ['a critical extension', realm.logoutToken({ sid }, { crit: ['x'], x: 1 })],
    ['an ID token', realm.honestKey.sign({ ...header, typ: 'JWT' }, { ...realm.claims(realm.user, null), sid })],
  ];
}

/**
 * Sends a delivery of GitHub's webhook.
 * @param {Bff} bff
 * @param {{ body: string, signature: string | undefined, event?: string, id?: string }} delivery
 */
const deliver = (bff, { body, signature, event = 'github_app_authorization', id = randomUUID() }) =>
  bff.browser().call(bff.path.webhook, {
    method: 'POST',
    headers: {
      ...bff.withoutCsrf,
      Origin: undefined,
      'Sec-Fetch-Site': undefined,
      'Content-Type': 'application/json',
      'X-GitHub-Event': event,
      'X-GitHub-Delivery': id,
      'X-Hub-Signature-256': signature,
    },
    body,
  });

/** The signature of a delivery. @param {string} text @param {string} key */
const signDelivery = (text, key) => `sha256=${createHmac('sha256', key).update(text).digest('hex')}`;

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S121',
    title: 'forged logout tokens end no session; a genuine one does, once',
    async attack(bff, provider) {
      const { browser, user, sid, realm } = await withSid(bff);
      for (const [why, token] of forgedLogoutTokens(realm, sid, provider)) {
        const answer = await sendLogout(bff, realm, await token);
        assert.equal(answer.status, 400, `${why}: ${answer.status} ${answer.text}`);
        assert.match(String(answer.headers['cache-control']), /no-store/);
      }
      for (const target of ['', '?logout_token=x']) {
        const answer = await bff.browser().call(bff.path.backchannelLogout(realm.id) + target, { method: 'GET' });
        assert.equal(answer.status, 405);
      }
      const twice = await realm.logoutToken({ sid });
      const both = await bff.browser().call(bff.path.backchannelLogout(realm.id), {
        method: 'POST',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
        body: `logout_token=${twice}&logout_token=${twice}`,
      });
      assert.equal(both.status, 400, 'two tokens');
      await bff.revocationBound();
      assert.equal(await bff.user(browser), user, 'still signed in');
      const honest = await realm.logoutToken({ sid });
      assert.equal((await sendLogout(bff, realm, honest)).status, 200);
      await bff.revocationBound();
      assert.equal(await bff.user(browser), undefined, 'the genuine one ends the session');
      assert.equal((await sendLogout(bff, realm, honest)).status, 400, 'accepted once');
    },
  },
  {
    id: 'S123',
    title: 'logout token for a whole user: ends all sessions of that user, and no others',
    async attack(bff) {
      const [one, two] = [await withSid(bff), await withSid(bff)];
      const other = await withSid(bff, bff.realms.recent);
      bff.realms.oidc.user = MALLORY;
      const stranger = await bff.signedIn();
      bff.provider.reset();
      const { realm } = one;
      // The token is issued a second later: it does not end a sign-in of its own second, which may be newer.
      await bff.revocationBound();
      assert.equal((await sendLogout(bff, realm, await realm.logoutToken({ sub: realm.user.id }))).status, 200);
      await bff.revocationBound();
      assert.equal(await bff.user(one.browser), undefined);
      assert.equal(await bff.user(two.browser), undefined);
      assert.equal(await bff.user(other.browser), other.user, 'the same user id at another issuer');
      assert.equal(await bff.user(stranger.browser), stranger.user, 'another user of the issuer');
      assert.ok((await bff.signedIn()).user, 'the user can sign in again');
    },
  },
  {
    id: 'S125',
    title: 'flood of forged logout tokens: one fetch of keys, genuine ones still work',
    async attack(bff, provider) {
      const realm = await bff.unusedRealm();
      const { browser, sid } = await withSid(bff, realm);
      const fetches = realm.requestsTo('keys').length;
      const rejections = bff.running && bff.rejectionCount('unknown key of a logout');
      const tokens = await Promise.all(
        Array.from({ length: 120 }, (_, index) =>
          provider.otherKey.sign(
            { kid: `unknown-${index}`, typ: 'logout+jwt' },
            { iss: realm.issuer, sid, jti: String(index) },
          ),
        ),
      );
      const answers = await Promise.all(tokens.map((token) => sendLogout(bff, realm, token)));
      assert.ok(
        answers.every(({ status }) => [400, 429].includes(status)),
        [...new Set(answers.map(({ status }) => status))].join(),
      );
      const fetched = realm.requestsTo('keys').length - fetches;
      assert.equal(fetched, 1, 'fetches of keys');
      assert.ok(
        answers.some(({ status }) => status === 400),
        'no token was checked',
      );
      await bff.waitForRejection('unknown key of a logout', rejections ?? 0, 'forged tokens');
      assert.ok(await bff.user(browser));
      assert.equal(
        (await sendLogout(bff, realm, await realm.logoutToken({ sid }))).status,
        200,
        'a genuine token beside them',
      );
      await bff.revocationBound();
      assert.equal(await bff.user(browser), undefined, 'it ends the session');
    },
  },
  {
    id: 'S126',
    title: 'forged front-channel logout: no effect, and the answer does not show whether a session exists',
    async attack(bff) {
      const { browser, user, sid, realm } = await withSid(bff, bff.realms.entra);
      const frame = (/** @type {Record<string, string>} */ query) =>
        bff.browser().visit(`${bff.path.frontchannelLogout(realm.id)}?${new URLSearchParams(query)}`, {
          headers: { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Dest': 'iframe' },
        });
      const answers = [];
      for (const query of /** @type {Record<string, string>[]} */ ([
        {},
        { iss: realm.issuer },
        { iss: realm.issuer, sid: 'guess' },
        { iss: 'https://evil.example', sid },
        { iss: `${realm.issuer}/`, sid },
        { sid: '' },
        { sid: `${sid}x` },
        { iss: realm.issuer, sid: 'x'.repeat(5_000) },
      ]))
        answers.push(await frame(query));
      const twice = await bff
        .browser()
        .visit(`${bff.path.frontchannelLogout(realm.id)}?iss=${encodeURIComponent(realm.issuer)}&sid=${sid}&sid=x`);
      answers.push(twice);
      await bff.revocationBound();
      assert.equal(await bff.user(browser), user, 'still signed in');
      const good = await frame({ iss: realm.issuer, sid });
      await bff.revocationBound();
      assert.equal(await bff.user(browser), undefined, 'a genuine one ends the session');
      const look = (/** @type {import('../../support/exchange.mjs').Answer} */ { status, headers, text }) =>
        JSON.stringify([
          status,
          text,
          Object.keys(headers)
            .filter((name) => !bff.profile.headersThatVary.includes(name))
            .sort(),
        ]);
      assert.equal(new Set([...answers, good].map(look)).size, 1, 'all answers look alike');
      assert.equal(good.status, 200);
    },
  },
  {
    id: 'S127',
    title: 'return from logout at the provider: only the right state leads elsewhere than home',
    async attack(bff) {
      const realm = bff.realms.oidc;
      const signOutAtProvider = async () => {
        const { browser } = await bff.signedIn(realm);
        await signOut(bff, browser);
        const left = await browser.visit(
          `${bff.path.endSession(realm.id)}?${bff.path.returnParameter}=${encodeURIComponent('/chat')}`,
        );
        const out = new URL(left.headers.location ?? '');
        assert.equal(`${out.origin}${out.pathname}`, realm.url('logout'));
        assert.equal(out.searchParams.get('post_logout_redirect_uri'), `${bff.origin}${bff.path.loggedOut(realm.id)}`);
        assert.ok(out.searchParams.get('id_token_hint') || out.searchParams.get('client_id'));
        return { browser, state: out.searchParams.get('state') ?? '' };
      };
      const { browser, state } = await signOutAtProvider();
      assert.ok(state.length >= 22, 'the state cannot be guessed');
      const other = await signOutAtProvider();
      for (const query of [
        '',
        '?state=',
        '?state=x',
        `?state=${state.slice(0, -1)}`,
        `?state=${other.state}`,
        `?state=${state}&state=${state}`,
        `?state=${state}&${bff.path.returnParameter}=//evil.example`.replace(state, 'x'),
      ]) {
        const answer = await browser.copy().visit(bff.path.loggedOut(realm.id) + query);
        bff.assertRedirects(answer, query);
        assert.equal(answer.headers.location, bff.path.home, query);
      }
      const thief = await bff.browser().visit(`${bff.path.loggedOut(realm.id)}?state=${state}`);
      assert.equal(thief.headers.location, bff.path.home, "another browser's state");
      const back = await browser.visit(`${bff.path.loggedOut(realm.id)}?state=${state}`);
      assert.equal(back.headers.location, '/chat');
      assert.equal(
        (await browser.visit(`${bff.path.loggedOut(realm.id)}?state=${state}`)).headers.location,
        bff.path.home,
        'the state is accepted once',
      );
      // A user who has not just signed out is not redirected to the provider.
      const { browser: signed, user } = await bff.signedIn(realm);
      assert.equal((await signed.visit(bff.path.endSession(realm.id))).headers.location, bff.path.home);
      assert.equal(await bff.user(signed), user);
    },
  },
  {
    id: 'S128',
    title: 'provider that does not revoke tokens: the user is signed out nevertheless',
    async attack(bff) {
      for (const endpoint of [
        () => ({ status: 500, body: 'x' }),
        () => ({ lost: true }),
        () => ({ status: 200, afterMs: 30_000 }),
      ]) {
        const { browser } = await bff.signedIn(bff.apiRealm);
        const thief = browser.copy();
        bff.apiRealm.overrides = { endpoint };
        const begun = Date.now();
        await signOut(bff, browser);
        assert.ok(Date.now() - begun < 15_000, `${Date.now() - begun} ms`);
        bff.apiRealm.overrides = {};
        await bff.revocationBound();
        assert.equal(await bff.user(thief), undefined);
      }
    },
  },
  {
    id: 'S129',
    title: 'signed out everywhere within the published bound',
    async attack(bff) {
      const { browser } = await bff.signedIn(bff.apiRealm);
      const thief = browser.copy();
      const api = bff.profile.api.prefix + bff.profile.api.own;
      // Concurrent calls, so that every instance has cached the session.
      await Promise.all(Array.from({ length: 40 }, () => thief.call(api)));
      await signOut(bff, browser);
      assert.equal(browser.cookies.has(bff.profile.sessionCookie), false, 'the cookie is removed');
      await bff.revocationBound();
      const calls = bff.upstream.seen.length;
      const answers = await Promise.all(Array.from({ length: 40 }, () => thief.call(api)));
      assert.deepEqual([...new Set(answers.map(({ status }) => status))], [401]);
      assert.equal(bff.upstream.seen.length, calls);
      await signOut(bff, browser);
    },
  },
  {
    id: 'S132',
    title: "GitHub's revocation webhook: accepted only with its signature",
    async attack(bff) {
      const secret = bff.needs(bff.running, 'running BFF').webhookSecret;
      const github = bff.needs(bff.realms.github, 'GitHub');
      const { browser, user } = await bff.signedIn(github);
      const id = Number(user.split(':')[1]);
      const body = JSON.stringify({ action: 'revoked', sender: { id, login: 'ada' } });
      const sign = signDelivery;
      const send = (/** @type {string | undefined} */ signature, sent = body, event = 'github_app_authorization') =>
        deliver(bff, { body: sent, signature, event });
      for (const signature of [
        undefined,
        '',
        'sha256=',
        'sha256=00',
        `sha256=${'0'.repeat(64)}`,
        sign(body, 'wrong'),
        sign(`${body} `, secret),
        sign(body, ''),
        sign(body, secret).replace('sha256', 'sha1'),
        sign(body, secret).slice(0, -1),
        `${sign(body, secret)}0`,
        `${sign(body, 'wrong')}, ${sign(body, secret)}`,
        sign(body, secret).slice(7),
      ]) {
        assert.equal((await send(signature)).status, 401, String(signature));
      }
      await bff.revocationBound();
      assert.equal(await bff.user(browser), user);
      assert.ok((await send(sign('{', secret), '{')).status < 500, 'signed but malformed');
      assert.equal((await send(sign(body, secret), body, 'push')).status, 204, 'another event');
      assert.equal((await send(sign(body, 'wrong'), body, 'push')).status, 204, 'another event with a wrong signature');
      assert.equal((await send(undefined, body, 'push')).status, 401, 'unsigned');
      const big = 'x'.repeat(65 * 1024);
      assert.equal((await send(sign(big, secret), big)).status, 413);
      await bff.revocationBound();
      assert.equal(await bff.user(browser), user);
      assert.equal((await send(sign(body, secret))).status, 204);
      await bff.revocationBound();
      assert.equal(await bff.user(browser), undefined, 'the genuine one ends the session');
    },
  },
  {
    id: 'S156',
    title: 'logout that is older than a session: that session stays, older ones end',
    async attack(bff) {
      for (const isBySid of [false, true]) {
        // A provider that has ended nothing yet: the BFF remembers ends, and would reject the older sign-in.
        const realm = await bff.unusedRealm();
        const sid = `sid-${randomUUID()}`;
        // The provider signed the older one in 50 s ago, and issued the logout token for it 100 s ago, by clocks that
        // may differ by a minute. The newer one was signed in just now.
        realm.overrides = { claims: (claims) => ({ ...claims, iat: Number(claims.iat) - 50 }) };
        const older = await withSid(bff, realm, sid);
        realm.overrides = {};
        const newer = await withSid(bff, realm, sid);
        const issued = Math.floor(Date.now() / 1000) - 100;
        const names = isBySid ? { sid } : { sub: realm.user.id };
        const late = await realm.logoutToken({ ...names, iat: issued });
        const again = await realm.logoutToken({ ...names, iat: issued });
        const why = `by ${Object.keys(names)}`;
        const answers = await Promise.all([late, again].map((token) => sendLogout(bff, realm, token)));
        assert.deepEqual(
          answers.map(({ status }) => status),
          [200, 200],
          why,
        );
        assert.equal((await sendLogout(bff, realm, late)).status, 400, `${why}: used before`);
        await bff.revocationBound();
        assert.equal(await bff.user(older.browser), undefined, `${why}: the older session ends`);
        assert.equal(await bff.user(newer.browser), newer.user, `${why}: the newer session stays`);
        assert.equal((await sendLogout(bff, realm, await realm.logoutToken(names))).status, 200);
        await bff.revocationBound();
        assert.equal(await bff.user(newer.browser), undefined, `${why}: a token of now ends it`);
      }
      // A delivery of GitHub has no time: its first attempt is what counts.
      const { github } = bff.realms;
      if (!github || !bff.running) return;
      const secret = bff.running.webhookSecret;
      const first = await bff.signedIn(github);
      const body = JSON.stringify({ action: 'revoked', sender: { id: Number(first.user.split(':')[1]) } });
      const delivery = { body, signature: signDelivery(body, secret), id: randomUUID() };
      assert.equal((await deliver(bff, delivery)).status, 204);
      await bff.revocationBound();
      assert.equal(await bff.user(first.browser), undefined, 'a delivery ends the session');
      const second = await bff.signedIn(github);
      assert.equal((await deliver(bff, delivery)).status, 204, 'the same again');
      await bff.revocationBound();
      assert.equal(await bff.user(second.browser), second.user, 'a session that began after the delivery stays');
      assert.equal((await deliver(bff, { ...delivery, id: randomUUID() })).status, 204);
      await bff.revocationBound();
      assert.equal(await bff.user(second.browser), undefined, 'another delivery ends it');
    },
  },
];
