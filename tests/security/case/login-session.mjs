// Section A, the browser and its session: parallel and forced sign-ins, session fixation, the return to the page.

import assert from 'node:assert/strict';

import { parseSetCookie, setCookies } from '../../support/browser.mjs';
import { ADA, MALLORY } from '../provider/realm.mjs';

/** Browsers keep about this much for one site; servers reject more. */
const MAX_COOKIE_BYTES = 8 * 1024;

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S17',
    title: 'sign-ins forced a hundred times by another site; none begins without a click of the user',
    async attack(bff) {
      const { browser, user } = await bff.signedIn();
      const session = browser.cookies.get(bff.profile.sessionCookie)?.value;
      for (let count = 0; count < 100; count++) {
        const image = await browser.visit(bff.path.login(bff.realms.oidc.id, '/'), {
          headers: {
            'Sec-Fetch-Site': 'cross-site',
            'Sec-Fetch-Mode': 'no-cors',
            'Sec-Fetch-Dest': 'image',
            'Sec-Fetch-User': undefined,
          },
        });
        assert.notEqual(image.status, 431);
      }
      // An older browser sends no Sec-Fetch headers.
      let begun = 0;
      for (let count = 0; count < 100; count++) {
        const bare = {
          'Sec-Fetch-Site': undefined,
          'Sec-Fetch-Mode': undefined,
          'Sec-Fetch-Dest': undefined,
          'Sec-Fetch-User': undefined,
        };
        const answer = await browser.visit(bff.path.login(bff.realms.oidc.id, '/'), { headers: bare });
        assert.ok(bff.isRedirect(answer) || answer.status === 429, String(answer.status));
        if (bff.isRedirect(answer)) begun++;
      }
      // Without several sign-ins the bound on cookies would not be tested.
      assert.ok(begun > 10, `${begun} sign-ins have begun`);
      assert.ok(
        (browser.cookieHeader ?? '').length < MAX_COOKIE_BYTES,
        `${browser.cookieHeader?.length} bytes of cookies`,
      );
      assert.ok([...browser.cookies.keys()].length <= 10, `${browser.cookies.size} cookies`);
      assert.equal(browser.cookies.get(bff.profile.sessionCookie)?.value, session);
      assert.equal(await bff.user(browser), user);

      // A provider does not ask a user whom it knows, so a navigation alone could sign a visitor of any page in.
      const visitor = bff.browser();
      const asked = bff.realms.oidc.requestsTo('authorize').length;
      for (const more of [
        { Referer: 'https://evil.example/' },
        { 'Sec-Fetch-User': undefined },
        { Origin: 'null' },
        { 'Sec-Fetch-Site': 'same-site', Referer: 'http://sibling.localhost/' },
      ]) {
        const answer = await visitor.visit(bff.path.login(bff.realms.oidc.id, '/'), {
          headers: { 'Sec-Fetch-Site': 'cross-site', ...more },
        });
        assert.equal(answer.headers.location, undefined, `${JSON.stringify(more)}: redirects to the provider`);
        assert.deepEqual([...visitor.cookies.keys()], [], 'no sign-in has begun');
        assert.doesNotMatch(answer.text, /<script|<meta[^>]*refresh|<form/i, 'only a click begins it');
      }
      const page = await visitor.visit(bff.path.login(bff.realms.oidc.id, '/'), {
        headers: { 'Sec-Fetch-Site': 'cross-site' },
      });
      const [, href = ''] = /<a href="([^"]+)"/.exec(page.text) ?? [];
      const clicked = await visitor.visit(href.replaceAll('&amp;', '&'), {
        headers: { 'Sec-Fetch-Site': 'same-origin' },
      });
      assert.equal(bff.realms.oidc.requestsTo('authorize').length, asked);
      bff.assertRedirects(
        await visitor.arrive(await bff.callbackOf(new URL(clicked.headers.location ?? ''))),
        'the callback',
      );
      assert.ok(await bff.user(visitor), 'a user who confirms is signed in');
    },
  },
  {
    id: 'S18',
    title: 'concurrent sign-ins in two tabs both succeed',
    async attack(bff) {
      const browser = bff.browser();
      const flows = [
        await bff.begin(browser, bff.realms.oidc, '/?tab=1'),
        await bff.begin(browser, bff.realms.oidc, '/?tab=2'),
      ];
      const callbacks = await Promise.all(flows.map((flow) => flow.callback()));
      for (const index of [1, 0]) {
        const answer = await browser.visit(callbacks[index] ?? '');
        bff.assertRedirects(answer, answer.text);
        assert.ok((answer.headers.location ?? '').endsWith(`tab=${index + 1}`), answer.headers.location);
        assert.ok(await bff.user(browser));
      }
    },
  },
  {
    id: 'S19',
    title: 'callback reached again while signed in leads to the application, without a loop',
    async attack(bff) {
      const browser = bff.browser();
      const callback = await (await bff.begin(browser)).callback();
      bff.assertRedirects(await browser.arrive(callback), 'the callback');
      const redeemed = bff.realms.oidc.requestsTo('token').length;
      const user = await bff.user(browser);
      for (const headers of [{}, { 'Sec-Purpose': 'prefetch' }]) {
        const again = await browser.visit(callback, { headers });
        bff.assertRedirects(again, 'a signed-in user sees an error page');
        assert.equal(again.headers.location, bff.path.home);
        assert.equal(bff.givesSession(again), false);
      }
      assert.equal(bff.realms.oidc.requestsTo('token').length, redeemed, 'the code is not redeemed again');
      assert.equal(await bff.user(browser), user);
    },
  },
  {
    id: 'S21',
    title: 'session fixation: a sign-in changes the session id, and the old one ends',
    async attack(bff) {
      bff.realms.oidc.user = MALLORY;
      const attacker = await bff.signedIn();
      // The attacker plants a valid session of their own, then the victim signs in.
      const victim = attacker.browser.copy();
      bff.realms.oidc.user = ADA;
      bff.assertRedirects(await bff.signIn(victim), 'the callback');
      assert.notEqual(
        victim.cookies.get(bff.profile.sessionCookie)?.value,
        attacker.browser.cookies.get(bff.profile.sessionCookie)?.value,
      );
      await bff.revocationBound();
      assert.equal(await bff.user(attacker.browser), undefined, "the attacker's session has ended");
      assert.notEqual(await bff.user(victim), attacker.user);
      assert.ok(await bff.user(victim));
    },
  },
  {
    id: 'S22',
    title: 'sign-in as another user ends the old session; nothing is merged',
    async attack(bff) {
      const realm = bff.apiRealm;
      const { browser, user } = await bff.signedIn(realm);
      const old = browser.copy();
      realm.user = MALLORY;
      await bff.signIn(browser, realm);
      assert.notEqual(await bff.user(browser), user);
      await bff.revocationBound();
      assert.equal(await bff.user(old), undefined);
      const calls = bff.upstream.seen.length;
      assert.equal((await browser.call(bff.profile.api.prefix + bff.profile.api.own)).status, 200);
      const token = bff.upstream.tokens().slice(calls)[0] ?? '';
      assert.equal(realm.granted.get(token)?.id, MALLORY.id, "the new user's own token");
    },
  },
  {
    id: 'S23',
    title: 'forged Host and forwarding headers do not change the redirect URI',
    async attack(bff) {
      const expected = `${bff.origin}${bff.path.callback(bff.realms.oidc.id)}`;
      let begun = 0;
      for (const headers of [
        { Host: 'evil.example' },
        { 'X-Forwarded-Host': 'evil.example' },
        { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Port': '444' },
        { Forwarded: 'host=evil.example;proto=https' },
        { 'X-Original-URL': 'https://evil.example/' },
        { 'X-Host': 'evil.example' },
        { 'X-Forwarded-Server': 'evil.example' },
        { 'X-Rewrite-URL': '/evil' },
      ]) {
        const answer = await bff.browser().visit(bff.path.login(bff.realms.oidc.id, '/'), { headers });
        if (!bff.isRedirect(answer)) {
          assert.ok(answer.status >= 400, JSON.stringify(headers));
          continue;
        }
        begun++;
        const redirect = new URL(answer.headers.location ?? '').searchParams.get('redirect_uri');
        assert.equal(redirect, expected, JSON.stringify(headers));
      }
      assert.ok(begun > 0, 'some of them begin a sign-in');
    },
  },
  {
    id: 'S24',
    title: 'first page after a sign-in that came from another site: signed in, no loop',
    async attack(bff) {
      const browser = bff.browser();
      const flow = await bff.begin(browser);
      const fromProvider = { 'Sec-Fetch-Site': 'cross-site' };
      const answer = await browser.arrive(await flow.callback());
      bff.assertRedirects(answer, 'the callback');
      const cookie = setCookies(answer)
        .map(parseSetCookie)
        .find(({ name }) => name === bff.profile.sessionCookie);
      const isStrict = cookie?.attributes.get('samesite') === 'Strict';
      // The chain of redirects began at the provider, so a Strict cookie is not sent with its last step.
      const landing = await browser.visit(answer.headers.location ?? '', {
        headers: { ...fromProvider, ...(isStrict && { Cookie: undefined }) },
      });
      assert.equal(landing.status, 200, 'the page is served without the cookie, and does not redirect to the provider');
      assert.ok(await bff.user(browser), "the page's script sends the cookie, and is signed in");
    },
  },
];
