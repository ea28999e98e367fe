// Section G: the coordinator, which owns the sessions, is down.

import assert from 'node:assert/strict';

import { eventually } from './refresh.mjs';

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S119',
    title: 'coordinator down: 503 for all users, no redirect and no sign-in; afterwards all sessions go on',
    // Durable Objects cannot be stopped on one machine. They run the same code.
    runtime: 'spin',
    async attack(bff) {
      const withoutCoordinator = bff.needs(bff.running?.withoutCoordinator, 'coordinator that can be taken down');
      const realm = bff.apiRealm;
      const api = bff.profile.api.prefix + bff.profile.api.own;
      const { browser, user } = await bff.signedIn(realm);
      const cookie = browser.cookieHeader;
      const tab = bff.browser();
      const callback = await (await bff.begin(tab, realm)).callback();
      await bff.revocationBound();
      const [calls, codes, asked] = [
        bff.upstream.seen.length,
        realm.requestsTo('token').length,
        realm.requestsTo('authorize').length,
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
      assert.equal(realm.requestsTo('token').length, codes, 'the code was redeemed');
      assert.ok(await eventually(async () => (await browser.call(api)).status === 200, 30_000), bff.logTail());
      assert.equal(await bff.user(browser), user);
      assert.equal(browser.cookieHeader, cookie);
      assert.equal(realm.requestsTo('authorize').length, asked, 'no user had to sign in again');
      assert.ok((await bff.signedIn(realm)).user, 'other users can sign in');
    },
  },
];
