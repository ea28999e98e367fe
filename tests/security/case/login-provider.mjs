// Section A: a provider whose metadata, tokens or answers are wrong at sign-in.

import assert from 'node:assert/strict';

import { setCookies } from '../../support/browser.mjs';
import { json } from '../provider/recorded.mjs';

/** @typedef {import('../case.mjs').Case} Case */

/** @type {Case[]} */
export const cases = [
  {
    id: 'S11',
    title: 'provider whose metadata would downgrade PKCE: the sign-in does not start',
    async attack(bff) {
      for (const methods of [['plain'], []]) {
        const realm = await bff.unusedRealm();
        realm.overrides.metadata = (document) => ({ ...document, code_challenge_methods_supported: methods });
        const answer = await bff.browser().visit(bff.path.login(realm.id, '/'));
        assert.ok(answer.status >= 400, `starts with ${JSON.stringify(methods)}: ${answer.status}`);
        assert.equal(answer.headers.location, undefined);
        assert.deepEqual(setCookies(answer), []);
      }
      const { authorize } = await bff.begin(bff.browser());
      assert.equal(authorize.searchParams.get('code_challenge_method'), 'S256');
      assert.match(authorize.searchParams.get('code_challenge') ?? '', /^[A-Za-z0-9_-]{43}$/);
      assert.equal(authorize.searchParams.get('response_type'), 'code');
    },
  },
  {
    id: 'S14',
    title: 'nonce missing, wrong or of another sign-in',
    async attack(bff) {
      const { oidc } = bff.realms;
      const other = (await bff.begin(bff.browser())).authorize.searchParams.get('nonce');
      for (const nonce of [undefined, null, '', 'wrong', other, 1, [], true]) {
        oidc.overrides.claims = (claims) => ({ ...claims, nonce });
        const browser = bff.browser();
        await bff.assertSignInRejected(browser, () => bff.signIn(browser), {
          redeems: true,
          why: `nonce ${JSON.stringify(nonce)}`,
          reason: 'nonce',
        });
      }
    },
  },
  {
    id: 'S16',
    title: 'authentication older than requested, or of unknown age',
    async attack(bff) {
      const { recent } = bff.realms;
      const { authorize } = await bff.begin(bff.browser(), recent);
      assert.equal(authorize.searchParams.get('max_age'), '60');
      const now = Math.floor(Date.now() / 1000);
      for (const authTime of [undefined, null, now - 60 - 120, now + 600, 'now', true, 0]) {
        recent.overrides.claims = (claims) => ({ ...claims, auth_time: authTime });
        const browser = bff.browser();
        await bff.assertSignInRejected(browser, () => bff.signIn(browser, recent), {
          realm: recent,
          redeems: true,
          why: `auth_time ${authTime}`,
          reason: 'age of authentication',
        });
      }
      recent.reset();
      assert.ok(bff.givesSession(await bff.signIn(bff.browser(), recent)));
    },
  },
  {
    id: 'S25',
    title: 'token endpoint that redirects is not followed',
    async attack(bff, provider) {
      const { oidc } = bff.realms;
      for (const status of [301, 302, 303, 307, 308]) {
        oidc.overrides.tokenEndpoint = () => ({ status, headers: { location: `${provider.origin}/stolen` } });
        const browser = bff.browser();
        await bff.assertSignInRejected(browser, () => bff.signIn(browser), {
          redeems: true,
          why: `token endpoint answers ${status}`,
          status: [400, 503],
        });
      }
      assert.ok(!provider.strays.some(({ path }) => path === '/stolen'), 'the redirect was followed');
    },
  },
  {
    id: 'S26',
    title: 'token endpoint with an invalid token response',
    async attack(bff) {
      const { oidc } = bff.realms;
      /** @typedef {import('../provider/recorded.mjs').Reply} Reply */
      const bodyOf = (/** @type {Reply} */ { body }) => JSON.parse(String(body));
      const but = (/** @type {(body: any) => unknown} */ change) => (/** @type {Reply} */ reply) => ({
        ...reply,
        body: JSON.stringify(change(bodyOf(reply))),
      });
      const text = (/** @type {(text: string) => string} */ change) => (/** @type {Reply} */ reply) => ({
        ...reply,
        body: change(String(reply.body)),
      });
      /** Each changes the genuine answer in one way. @type {[string, (reply: Reply) => Reply, string][]} */
      const replies = [
        [
          'HTML',
          (reply) => ({ ...reply, headers: { 'content-type': 'text/html' }, body: '<h1>sign in</h1>' }),
          'not JSON',
        ],
        ['another content type', (reply) => ({ ...reply, headers: { 'content-type': 'text/html' } }), 'not JSON'],
        ['no content type', (reply) => ({ ...reply, headers: {} }), 'not JSON'],
        ['an oversize body', but((body) => ({ ...body, padding: 'x'.repeat(3 * 1024 * 1024) })), 'too long'],
        ['nothing', text(() => ''), 'no token response'],
        ['a list', but((body) => [body]), 'no token response'],
        ['a string', but((body) => JSON.stringify(body)), 'no token response'],
        ['null', but(() => null), 'no token response'],
        ['broken JSON', text((body) => body.slice(0, -1)), 'no token response'],
        ['something after it', text((body) => `${body}{}`), 'no token response'],
        ['no token', but((body) => ({ ...body, access_token: undefined })), 'no token response'],
        ['an empty token', but((body) => ({ ...body, access_token: '' })), 'token unfit for a header'],
        ['a number', but((body) => ({ ...body, access_token: 1 })), 'no token response'],
        ['no type', but((body) => ({ ...body, token_type: undefined })), 'token type'],
        ['another type', but((body) => ({ ...body, token_type: 'mac' })), 'token type'],
        ['a type that is a number', but((body) => ({ ...body, token_type: 2 })), 'token type'],
        ['an error as 200', (reply) => ({ ...reply, ...json({ error: 'invalid_grant' }) }), 'no token response'],
        [
          'NUL in a token',
          but((body) => ({ ...body, access_token: `${body.access_token}\u0000` })),
          'token unfit for a header',
        ],
        [
          'a line break in a token',
          but((body) => ({ ...body, access_token: `${body.access_token}\r\nX-Evil: 1` })),
          'token unfit for a header',
        ],
        ['an outage', (reply) => ({ ...reply, status: 500 }), 'outage'],
        ['a lost answer', (reply) => ({ ...reply, lost: true }), 'outage'],
      ];
      oidc.overrides.tokenEndpoint = (_request, honest) => honest();
      assert.ok(bff.givesSession(await bff.signIn(bff.browser())), 'the genuine answer is accepted');
      for (const [why, change, reason] of replies) {
        oidc.overrides.tokenEndpoint = async (_request, honest) => change(await honest());
        const browser = bff.browser();
        await bff.assertSignInRejected(browser, () => bff.signIn(browser), {
          redeems: true,
          why,
          reason,
          status: reason === 'outage' ? [502, 503] : 400,
        });
      }
    },
  },
];
