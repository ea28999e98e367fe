// Section A: login and callback.

import assert from 'node:assert/strict';

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
      // A page chooses what the provider asks in addition, and never that it asks nothing.
      for (const prompt of ['none', 'none login', 'LOGIN', '']) {
        const browser = bff.browser();
        const answer = await browser.visit(`${bff.path.login(oidc.id)}?${new URLSearchParams({ prompt })}`);
        assert.equal(answer.status, 400, `prompt=${prompt}`);
        assert.equal(answer.headers.location, undefined, `prompt=${prompt}`);
        assert.deepEqual([...browser.cookies.keys()].filter(bff.profile.isOwnCookie), [], `prompt=${prompt}`);
      }
    },
  },
];
