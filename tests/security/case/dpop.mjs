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
    title: 'DPoP: a nonce is accepted, each request has its own proof, no loop',
    async attack(bff) {
      const realm = bff.realms.bound;
      const proofs = () => realm.requestsTo('token').map(({ headers }) => read(headers.dpop));
      realm.overrides = { tokens: (body) => ({ ...body, token_type: 'DPoP' }) };
      let count = 0;
      const wantsNonce = () => ({
        ...json({ error: 'use_dpop_nonce' }, 400),
        headers: { 'content-type': 'application/json', 'dpop-nonce': `nonce-${++count}` },
      });
      // The server asks for a nonce once, as RFC 9449 specifies.
      realm.overrides.tokenEndpoint = (request, honest) =>
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
      // The server asks for nonces without end: the BFF gives up.
      const before = realm.requestsTo('token').length;
      realm.overrides.tokenEndpoint = wantsNonce;
      const other = bff.browser();
      await bff.assertSignInRejected(other, () => bff.signIn(other, realm), {
        realm,
        redeems: true,
        status: [400, 502, 503],
      });
      assert.ok(
        realm.requestsTo('token').length - before <= 2,
        `${realm.requestsTo('token').length - before} requests`,
      );
      // The same at the API.
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
      realm.overrides.tokenEndpoint = undefined;
      const after = bff.upstream.seen.length;
      const rejected = await browser.call(`${prefix}${own}`);
      assert.ok(rejected.status >= 400 && !rejected.headers['dpop-nonce'] && !rejected.headers['www-authenticate']);
      const tries = bff.upstream.seen.slice(after);
      assert.ok(tries.length <= 4, `${tries.length} requests`);
      const all = [...proofs(), proof, ...tries.map(({ headers }) => read(headers.dpop))];
      assert.equal(new Set(all.map(({ jti }) => jti)).size, all.length, 'no proof is reused');
    },
  },
  {
    id: 'S138',
    title: 'pushed authorization requests: a new one for each sign-in, and no other parameter in the URL',
    async attack(bff) {
      const realm = await bff.unusedRealm();
      realm.overrides = {
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
      assert.equal(realm.requestsTo('push').length, 3);
      assert.ok(bff.givesSession(await bff.signIn(bff.browser(), realm)));
      // A used or expired request URI: the provider reports an error, and the next sign-in pushes a new request.
      const browser = bff.browser();
      const stale = (await bff.begin(browser, realm)).authorize.searchParams.get('request_uri') ?? '';
      realm.pushed.delete(stale);
      const state = realm.requestsTo('push').at(-1)?.form.get('state') ?? '';
      const expired = new URLSearchParams({ error: 'invalid_request_uri', state });
      await bff.assertSignInRejected(browser, () => browser.visit(`${bff.path.callback(realm.id)}?${expired}`), {
        realm,
        reason: 'error',
      });
      const pushes = realm.requestsTo('push').length;
      const again = await bff.begin(browser, realm);
      assert.notEqual(again.authorize.searchParams.get('request_uri'), stale);
      assert.equal(realm.requestsTo('push').length, pushes + 1);
      assert.ok(bff.givesSession(await browser.visit(await again.callback())), 'the new request succeeds');
      for (const [why, reply] of /** @type {[string, import('../provider/recorded.mjs').Reply][]} */ ([
        ['an error', json({ error: 'invalid_request' }, 400)],
        ['a page', { status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }],
        ['a redirect', { status: 302, headers: { location: 'https://evil.example/' } }],
        ['no URI', json({ expires_in: 60 }, 201)],
        ['an outage', { status: 500, body: 'x' }],
        ['a lost answer', { lost: true }],
      ])) {
        realm.overrides = { endpoint: () => reply };
        const answer = await bff.browser().visit(bff.path.login(realm.id, '/'));
        assert.ok(
          answer.status >= 400 && !answer.headers.location,
          `${why}: ${answer.status} ${answer.headers.location}`,
        );
        await bff.assertRejectionLogged(answer, why, 'outage');
      }
    },
  },
];
