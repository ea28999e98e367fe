// Section I: proofs of possession and pushed requests.

import assert from 'node:assert/strict';

import { decodeJwt, decodeProtectedHeader } from 'jose';

import { json } from '../provider/recorded.mjs';

/** @param {string | string[] | undefined} proof */
function read(proof) {
  assert.ok(typeof proof === 'string' && proof, 'one proof');
  const header = decodeProtectedHeader(proof);
  assert.equal(header.typ, 'dpop+jwt');
  assert.ok(header.jwk && !('d' in header.jwk), 'the public key alone');
  return { ...decodeJwt(proof), key: JSON.stringify(header.jwk) };
}

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S137',
    title: 'DPoP: a nonce is taken once, proofs are of one request each, no loop',
    async attack(bff) {
      const realm = bff.realms.bound;
      const proofs = () => realm.asked('token').map(({ headers }) => read(headers.dpop));
      realm.lies = { tokens: (body) => ({ ...body, token_type: 'DPoP' }) };
      let count = 0;
      const wantsNonce = () => ({
        ...json({ error: 'use_dpop_nonce' }, 400),
        headers: { 'content-type': 'application/json', 'dpop-nonce': `nonce-${++count}` },
      });
      // Once, as the specification has it.
      realm.lies.tokenEndpoint = (request, honest) =>
        read(request.headers.dpop).nonce === undefined ? wantsNonce() : honest();
      const { browser } = await bff.signedIn(realm);
      const [first, second, ...more] = proofs();
      assert.ok(first && second && !more.length, `${proofs().length} requests`);
      assert.equal(second.nonce, 'nonce-1');
      assert.equal(second.key, first.key, 'the key of the session');
      for (const proof of [first, second]) {
        assert.equal(proof.htm, 'POST');
        assert.equal(proof.htu, realm.url('token'));
      }
      // Without end: it gives up.
      const before = realm.asked('token').length;
      realm.lies.tokenEndpoint = wantsNonce;
      const other = bff.browser();
      await bff.refused(other, () => bff.signIn(other, realm), { realm, redeems: true, status: [400, 502, 503] });
      assert.ok(realm.asked('token').length - before <= 2, `${realm.asked('token').length - before} requests`);
      // At the API.
      const { prefix, own } = bff.profile.boundApi;
      const begun = bff.upstream.seen.length;
      assert.equal((await browser.call(`${prefix}${own}?a=1`)).status, 200);
      const [called] = bff.upstream.seen.slice(begun);
      assert.match(called?.headers.authorization ?? '', /^DPoP /);
      const proof = read(called?.headers.dpop);
      assert.equal(proof.htu, `${bff.upstream.origin}${own}`, 'without the query');
      assert.equal(proof.htm, 'GET');
      assert.ok(proof.ath, 'bound to the token');
      bff.upstream.answer = () => ({
        status: 401,
        headers: { 'www-authenticate': 'DPoP error="use_dpop_nonce"', 'dpop-nonce': `nonce-${++count}` },
      });
      realm.lies.tokenEndpoint = undefined;
      const after = bff.upstream.seen.length;
      const refused = await browser.call(`${prefix}${own}`);
      assert.ok(refused.status >= 400 && !refused.headers['dpop-nonce'] && !refused.headers['www-authenticate']);
      const tries = bff.upstream.seen.slice(after);
      assert.ok(tries.length <= 4, `${tries.length} requests`);
      const all = [...proofs(), proof, ...tries.map(({ headers }) => read(headers.dpop))];
      assert.equal(new Set(all.map(({ jti }) => jti)).size, all.length, 'no proof twice');
    },
  },
  {
    id: 'S138',
    title: 'pushed authorization requests: a new one each time, nothing beside it in the address',
    async attack(bff) {
      const realm = await bff.fresh();
      realm.lies = {
        metadata: (document) => ({
          ...document,
          pushed_authorization_request_endpoint: realm.url('push'),
          require_pushed_authorization_requests: true,
        }),
      };
      const uris = new Set();
      for (let count = 0; count < 3; count++) {
        const { authorize } = await bff.begin(bff.browser(), realm, '/');
        assert.deepEqual([...authorize.searchParams.keys()].sort(), ['client_id', 'request_uri']);
        uris.add(authorize.searchParams.get('request_uri'));
      }
      assert.equal(uris.size, 3);
      assert.equal(realm.asked('push').length, 3);
      assert.ok(bff.givesSession(await bff.signIn(bff.browser(), realm)));
      // One that was used or is over at the provider: it says so, and the next sign-in pushes anew.
      const browser = bff.browser();
      const stale = (await bff.begin(browser, realm)).authorize.searchParams.get('request_uri') ?? '';
      realm.pushed.delete(stale);
      const state = realm.asked('push').at(-1)?.form.get('state') ?? '';
      const over = new URLSearchParams({ error: 'invalid_request_uri', state });
      await bff.refused(browser, () => browser.visit(`${bff.path.callback(realm.id)}?${over}`), {
        realm,
        reason: 'error',
      });
      const pushes = realm.asked('push').length;
      const again = await bff.begin(browser, realm);
      assert.notEqual(again.authorize.searchParams.get('request_uri'), stale);
      assert.equal(realm.asked('push').length, pushes + 1);
      assert.ok(bff.givesSession(await browser.visit(await again.callback())), 'the new one leads in');
      for (const [why, reply] of /** @type {[string, import('../provider/recorded.mjs').Reply][]} */ ([
        ['an error', json({ error: 'invalid_request' }, 400)],
        ['a page', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }],
        ['a redirect', { status: 302, headers: { location: 'https://evil.example/' } }],
        ['no URI', json({ expires_in: 60 }, 201)],
        ['an outage', { status: 500, body: 'x' }],
        ['a lost answer', { lost: true }],
      ])) {
        realm.lies = { endpoint: () => reply };
        const answer = await bff.browser().visit(bff.path.login(realm.id, '/'));
        assert.ok(
          answer.status >= 400 && !answer.headers.location,
          `${why}: ${answer.status} ${answer.headers.location}`,
        );
        await bff.rejected(answer, why, 'outage');
      }
    },
  },
];
