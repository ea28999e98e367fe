// Section A: login and callback.

import assert from 'node:assert/strict';

import { setCookies } from '../../support/browser.mjs';
import { json } from '../provider/recorded.mjs';
import { MALLORY } from '../provider/realm.mjs';

/** @typedef {import('../case.mjs').Case} Case */

/** @param {string} target @param {(query: URLSearchParams) => void} change */
function changed(target, change) {
  const [path, query] = target.split('?');
  const parameters = new URLSearchParams(query);
  change(parameters);
  return `${path}?${parameters}`;
}

/** @type {Case[]} */
export const cases = [
  {
    id: 'S1',
    title: 'callback without state and without a sign-in in progress',
    async attack(bff) {
      const callback = bff.path.callback(bff.realms.oidc.id);
      for (const query of [
        '',
        '?',
        '?code=x',
        '?code=x&state=',
        '?state=',
        '?state=undefined&code=x',
        '?state=null&code=x',
      ]) {
        await bff.assertSignInRejected(bff.browser(), () => bff.browser().visit(callback + query), {
          reason: 'no state',
        });
      }
    },
  },
  {
    id: 'S2',
    title: 'callback in a browser that did not begin the sign-in',
    async attack(bff, provider) {
      bff.realms.oidc.user = MALLORY;
      const callback = await (await bff.begin(bff.browser())).callback();
      const victim = bff.browser();
      await bff.assertSignInRejected(victim, () => victim.visit(callback), {
        why: 'victim without a sign-in',
        reason: 'unknown sign-in',
      });
      const busy = bff.browser();
      await bff.begin(busy);
      await bff.assertSignInRejected(busy, () => busy.visit(callback), {
        why: 'victim with another sign-in in progress',
        reason: 'unknown sign-in',
      });
      provider.reset();
      const { browser, user } = await bff.signedIn();
      const answer = await browser.visit(callback);
      assert.equal(bff.givesSession(answer), false);
      assert.equal(await bff.user(browser), user, 'a signed-in victim keeps their session');
    },
  },
  {
    id: 'S3',
    title: 'callback replayed after success; a failure uses up the sign-in, too',
    async attack(bff) {
      const browser = bff.browser();
      const callback = await (await bff.begin(browser)).callback();
      const before = browser.copy();
      const answer = await browser.visit(callback);
      bff.assertRedirects(answer, 'the callback');
      assert.deepEqual(
        [...browser.cookies.keys()].filter(bff.profile.isOwnCookie),
        [bff.profile.sessionCookie],
        "the sign-in's cookie is removed",
      );
      const thief = bff.browser();
      await bff.assertSignInRejected(thief, () => thief.visit(callback), {
        why: 'replayed without its cookie',
        reason: 'unknown sign-in',
      });
      await bff.assertSignInRejected(before, () => before.copy().visit(callback), {
        why: 'replayed with its cookie',
        reason: 'state used before',
      });
      const other = bff.browser();
      const flow = await bff.begin(other);
      await bff.assertSignInRejected(
        other,
        async () => other.visit(changed(await flow.callback(), (query) => query.delete('code'))),
        { reason: 'no code' },
      );
      assert.deepEqual(
        [...other.cookies.keys()].filter(bff.profile.isOwnCookie),
        [],
        'a rejected sign-in leaves no cookie',
      );
    },
  },
  {
    id: 'S151',
    title: 'callback sent twenty times concurrently: of the first writers of its state one redeems the code (S3)',
    async attack(bff) {
      // The provider answers slowly, so that its own check of the code does not decide this.
      const { oidc } = bff.realms;
      const tab = bff.browser();
      const target = await (await bff.begin(tab)).callback();
      const codes = oidc.requestsTo('token').length;
      oidc.overrides.tokenEndpoint = async (_request, honest) => ({ ...(await honest()), afterMs: 300 });
      const answers = await Promise.all(Array.from({ length: 20 }, () => tab.copy().visit(target)));
      assert.equal(oidc.requestsTo('token').length - codes, 1, 'requests with the code');
      assert.equal(
        answers.filter((each) => bff.givesSession(each)).length,
        1,
        `${answers.map(({ status }) => status)}`,
      );
    },
  },
  {
    id: 'S4',
    title: "one provider's sign-in finished at another's callback",
    async attack(bff) {
      const github = bff.needs(bff.realms.github, 'second provider');
      const { oidc } = bff.realms;
      for (const [begun, finished] of /** @type {const} */ ([
        [github, oidc],
        [oidc, github],
      ])) {
        const browser = bff.browser();
        const callback = await (await bff.begin(browser, begun)).callback();
        const moved = callback.replace(bff.path.callback(begun.id), bff.path.callback(finished.id));
        await bff.assertSignInRejected(browser, () => browser.visit(moved), {
          realm: finished,
          reason: 'cookie of another sign-in',
        });
      }
    },
  },
  {
    id: 'S5',
    title: 'callback that names a wrong issuer',
    async attack(bff) {
      const { oidc, github } = bff.realms;
      const others = [
        'https://evil.example',
        `${oidc.issuer}/`,
        oidc.issuer.toUpperCase(),
        oidc.issuer.replace('http:', 'https:'),
        '',
        ' ',
        ...(github ? [github.issuer] : []),
      ];
      for (const iss of others) {
        const browser = bff.browser();
        oidc.overrides.authorization = (parameters) => parameters.set('iss', iss);
        const flow = await bff.begin(browser);
        await bff.assertSignInRejected(browser, async () => browser.visit(await flow.callback()), {
          why: `iss=${iss}`,
          reason: 'issuer',
        });
      }
      // An error of another issuer must be rejected as well: it would end the sign-in in progress.
      for (const iss of ['https://evil.example', ...(github ? [github.issuer] : [])]) {
        const browser = bff.browser();
        oidc.overrides.authorization = (parameters) => {
          parameters.delete('code');
          parameters.set('error', 'access_denied');
          parameters.set('iss', iss);
        };
        const flow = await bff.begin(browser);
        await bff.assertSignInRejected(browser, async () => browser.visit(await flow.callback()), {
          why: `an error, iss=${iss}`,
          reason: 'issuer',
        });
      }
      if (!github) return;
      for (const iss of ['https://evil.example', oidc.issuer]) {
        const browser = bff.browser();
        github.overrides.authorization = (parameters) => parameters.set('iss', iss);
        const flow = await bff.begin(browser, github);
        await bff.assertSignInRejected(browser, async () => browser.visit(await flow.callback()), {
          realm: github,
          why: `GitHub, iss=${iss}`,
          reason: 'issuer',
        });
      }
      for (const [realm, iss] of /** @type {const} */ ([
        [oidc, oidc.issuer],
        [github, github.issuer],
        [github, undefined],
      ])) {
        realm.overrides.authorization = (parameters) => void (iss && parameters.set('iss', iss));
        assert.ok(
          bff.givesSession(await bff.signIn(bff.browser(), realm)),
          `${realm.id} with the right issuer or none`,
        );
      }
    },
  },
  {
    id: 'S6',
    title: 'callback that names no issuer though the provider always does',
    async attack(bff) {
      const realm = await bff.unusedRealm();
      realm.overrides.metadata = (document) => ({ ...document, authorization_response_iss_parameter_supported: true });
      const browser = bff.browser();
      const flow = await bff.begin(browser, realm);
      await bff.assertSignInRejected(browser, async () => browser.visit(await flow.callback()), {
        realm,
        reason: 'no issuer',
      });
      realm.overrides.authorization = (parameters) => parameters.set('iss', realm.issuer);
      assert.ok(bff.givesSession(await bff.signIn(bff.browser(), realm)), 'with it the sign-in succeeds');
    },
  },
  {
    id: 'S7',
    title: 'callback with a parameter twice',
    async attack(bff) {
      const { oidc } = bff.realms;
      for (const name of ['state', 'code', 'iss', 'error']) {
        for (const second of ['same', 'other']) {
          const browser = bff.browser();
          const flow = await bff.begin(browser);
          const target = changed(await flow.callback(), (query) => {
            const first = query.get(name) ?? (name === 'iss' ? oidc.issuer : 'access_denied');
            query.set(name, first);
            query.append(name, second === 'same' ? first : 'other');
          });
          await bff.assertSignInRejected(browser, () => browser.visit(target), {
            why: `${name} twice, the ${second}`,
            reason: 'repeated parameter',
          });
        }
      }
    },
  },
  {
    id: 'S9',
    title: "mix-up: the honest provider's code is not sent to the attacker's token endpoint",
    async attack(bff) {
      const evil = bff.needs(bff.realms.github, 'second provider');
      const honest = bff.realms.oidc;
      const browser = bff.browser();
      // The attacker's provider redirects the victim to the honest one, with the client's id there.
      const { authorize } = await bff.begin(browser, evil);
      const onward = new URL(honest.url('authorize'));
      onward.search = authorize.search;
      onward.searchParams.set('client_id', honest.clientId);
      const callback = await bff.callbackOf(onward);
      const code = new URLSearchParams(callback.split('?')[1]).get('code');
      for (const iss of [undefined, honest.issuer]) {
        // By RFC 9207 the honest provider names its issuer. Without that, the callback path of each provider protects.
        const target = changed(callback, (query) => void (iss && query.set('iss', iss)));
        const answer = await browser.visit(target.replace(bff.path.callback(evil.id), bff.path.callback(honest.id)));
        assert.equal(bff.givesSession(answer), false);
      }
      const other = bff.browser();
      const again = await bff.begin(other, evil);
      const mixed = changed(await again.callback(), (query) => {
        query.set('code', code ?? '');
        query.set('iss', honest.issuer);
      });
      await bff.assertSignInRejected(other, () => other.visit(mixed), { realm: evil, reason: 'issuer' });
      assert.ok(
        !evil.requestsTo('token').some(({ form }) => form.get('code') === code),
        "the honest provider's code reached the attacker",
      );
    },
  },
  {
    id: 'S10',
    title: "an attacker's code injected into the victim's callback",
    async attack(bff) {
      const { oidc } = bff.realms;
      const inject = async (/** @type {string} */ why, /** @type {string} */ reason) => {
        oidc.user = MALLORY;
        const stolen =
          new URLSearchParams((await (await bff.begin(bff.browser())).callback()).split('?')[1]).get('code') ?? '';
        const victim = bff.browser();
        const flow = await bff.begin(victim);
        const target = changed(await flow.callback(), (query) => query.set('code', stolen));
        await bff.assertSignInRejected(victim, () => victim.visit(target), { redeems: true, why, reason });
      };
      await inject('PKCE stops it', 'rejected by provider');
      // A provider that ignores PKCE: the nonce stops it, before any token is used.
      oidc.overrides.tokenEndpoint = async (request, honest) => {
        const code = oidc.codes.get(request.form.get('code') ?? '');
        if (code)
          code.challenge = (await import('node:crypto'))
            .createHash('sha256')
            .update(request.form.get('code_verifier') ?? '')
            .digest('base64url');
        return honest();
      };
      await inject('the nonce stops it', 'nonce');
    },
  },
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
    id: 'S12',
    title: 'markup in the error of a callback is not shown',
    async attack(bff) {
      const browser = bff.browser();
      const { authorize } = await bff.begin(browser);
      const query = new URLSearchParams({
        error: 'access_denied<script>alert(1)</script>',
        error_description: '<img src=x onerror=alert(1)>"\'`{{98765*43210}}',
        error_uri: 'javascript:alert(1)',
        state: authorize.searchParams.get('state') ?? '',
      });
      const answer = await bff.assertSignInRejected(
        browser,
        () => browser.visit(`${bff.path.callback(bff.realms.oidc.id)}?${query}`),
        { reason: 'error' },
      );
      for (const part of ['alert', 'onerror', '4267635650', 'access_denied', 'javascript:'])
        assert.ok(!answer.text.includes(part), part);
      assert.match(String(answer.headers['content-security-policy']), /default-src 'none'/);
      // Without a sign-in in progress the error is rejected, too.
      const stranger = bff.browser();
      await bff.assertSignInRejected(
        stranger,
        () => stranger.visit(`${bff.path.callback(bff.realms.oidc.id)}?${query}`),
        {
          reason: 'unknown sign-in',
        },
      );
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
    id: 'S15',
    title: 'parameters of the authorization request injected at login',
    async attack(bff) {
      const { oidc } = bff.realms;
      const honest = (await bff.begin(bff.browser())).authorize;
      const injected = {
        scope: 'openid admin',
        redirect_uri: 'https://evil.example/',
        response_mode: 'form_post',
        response_type: 'token',
        prompt: 'none',
        client_id: 'evil',
        acr_values: 'x',
        login_hint: 'x',
        nonce: 'known',
        state: 'known',
        code_challenge: 'known',
        resource: 'https://evil.example',
        max_age: '0',
        request: 'x',
        request_uri: 'https://evil.example',
        domain_hint: 'evil',
      };
      for (const separator of ['?', '&']) {
        const query = new URLSearchParams(injected).toString();
        const target =
          separator === '?' ? `${bff.path.login(oidc.id)}?${query}` : bff.path.login(oidc.id, `/?${query}`);
        const authorize = new URL((await bff.browser().visit(target)).headers.location ?? '');
        assert.deepEqual([...authorize.searchParams.keys()].sort(), [...honest.searchParams.keys()].sort());
        for (const name of ['scope', 'redirect_uri', 'response_type', 'client_id', 'code_challenge_method']) {
          assert.deepEqual(authorize.searchParams.getAll(name), honest.searchParams.getAll(name), name);
        }
        for (const name of ['state', 'nonce', 'code_challenge'])
          assert.notEqual(authorize.searchParams.get(name), 'known', name);
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
