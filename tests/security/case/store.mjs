// Section G: what owns the sessions is down.

import assert from 'node:assert/strict';

import { until } from './refresh.mjs';

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S119',
    title:
      'coordinator down: 503 for everybody, no redirect and no sign-in; when it is back everybody is signed in as before',
    // Durable Objects cannot be taken down on one machine; what is decided there is decided by the same code.
    runtime: 'spin',
    async attack(bff) {
      const withoutCoordinator = bff.needs(bff.running?.withoutCoordinator, 'coordinator that can be taken down');
      const realm = bff.apiRealm;
      const api = bff.profile.api.prefix + bff.profile.api.own;
      const { browser, user } = await bff.signedIn(realm);
      const cookie = browser.cookieHeader;
      const tab = bff.browser();
      const callback = await (await bff.begin(tab, realm)).callback();
      await bff.bound();
      const [calls, codes, asked] = [
        bff.upstream.seen.length,
        realm.asked('token').length,
        realm.asked('authorize').length,
      ];
      await withoutCoordinator(async () => {
        for (const [path, sent] of /** @type {[string, import('../../support/exchange.mjs').Sent][]} */ ([
          [bff.path.session, {}],
          [api, {}],
          [bff.path.stream, {}],
          [
            bff.path.event,
            { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"type":"message","data":{}}' },
          ],
          [bff.path.logout, { method: 'POST' }],
        ])) {
          const answer = await browser.copy().call(path, sent);
          assert.equal(answer.status, 503, `${path}: ${answer.text}`);
          assert.ok(Number(answer.headers['retry-after']) > 0, `${path}: Retry-After`);
          assert.deepEqual([answer.headers.location, answer.headers['set-cookie']], [undefined, undefined], path);
        }
        const finished = await tab.visit(callback);
        assert.equal(finished.status, 503, finished.text);
        assert.equal(finished.headers.location, undefined);
        assert.ok(!bff.givesSession(finished));
      });
      assert.equal(bff.upstream.seen.length, calls, 'an API was called');
      assert.equal(realm.asked('token').length, codes, 'the code was redeemed');
      assert.ok(await until(async () => (await browser.call(api)).status === 200, 30_000), bff.tail());
      assert.equal(await bff.user(browser), user);
      assert.equal(browser.cookieHeader, cookie);
      assert.equal(realm.asked('authorize').length, asked, 'nobody had to sign in again');
      assert.ok((await bff.signedIn(realm)).user, 'others sign in again');
    },
  },
];
