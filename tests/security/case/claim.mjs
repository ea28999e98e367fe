// Section C: the claims of ID tokens, and the identity of users.

import assert from 'node:assert/strict';

import { setCookies } from '../../support/browser.mjs';
import { CONSUMERS_TENANT } from '../provider/kind.mjs';
import { ADA } from '../provider/realm.mjs';
import { assertTokenAccepted, assertTokenRejected } from './token.mjs';

/** @typedef {import('../provider/key.mjs').Json} Json */

const now = () => Math.floor(Date.now() / 1000);

/** @param {Json} changes */
const but = (changes) => ({ claims: (/** @type {Json} */ claims) => ({ ...claims, ...changes }) });

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S47',
    title: 'token times of wrong types; fractions are legal',
    async attack(bff) {
      const rejectsTimes = (/** @type {Json} */ changes) =>
        assertTokenRejected(bff, but(changes), JSON.stringify(changes), undefined, 'token times');
      for (const name of ['exp', 'iat', 'nbf']) {
        for (const value of ['tomorrow', String(now() + 600), true, [now() + 600], {}, '', -1, -1e300, 1e300])
          await rejectsTimes({ [name]: value });
      }
      for (const exp of [undefined, null, 0]) await rejectsTimes({ exp });
      for (const iat of [undefined, null, 0]) await rejectsTimes({ iat });
      // Beyond the range of 64-bit times, and of JavaScript's exact integers.
      await assertTokenRejected(
        bff,
        {
          idToken: ({ header, claims, key }) =>
            key.sign(header, JSON.stringify(claims).replace(/"exp":\d+/, '"exp":9223372036854775808')),
        },
        'exp 2^63',
        undefined,
        'token times',
      );
      await assertTokenAccepted(
        bff,
        but({ exp: now() + 600.5, iat: now() - 0.5, nbf: now() - 0.25 }),
        'fractions of a second',
      );
    },
  },
  {
    id: 'S48',
    title: 'token times just inside and just outside the tolerance',
    async attack(bff) {
      const margin = 8;
      const { toleranceSeconds } = bff.profile;
      await assertTokenAccepted(bff, but({ exp: now() - toleranceSeconds + margin }), 'expired within the tolerance');
      await assertTokenAccepted(
        bff,
        but({ nbf: now() + toleranceSeconds - margin, iat: now() + toleranceSeconds - margin }),
        'by a clock that is ahead',
      );
      await assertTokenRejected(bff, but({ exp: now() - toleranceSeconds - 1 }), 'expired', undefined, 'token times');
      await assertTokenRejected(
        bff,
        but({ nbf: now() + toleranceSeconds + margin }),
        'not yet valid',
        undefined,
        'token times',
      );
      await assertTokenRejected(
        bff,
        but({ iat: now() + toleranceSeconds + margin }),
        'issued in the future',
        undefined,
        'token times',
      );
      await assertTokenRejected(
        bff,
        but({ iat: now() + 86_400 * 365 }),
        'issued in the far future',
        undefined,
        'token times',
      );
    },
  },
  {
    id: 'S49',
    title: 'audience and authorized party',
    async attack(bff) {
      const { clientId } = bff.realms.oidc;
      const others = [
        undefined,
        null,
        '',
        'other',
        [],
        ['other'],
        [clientId, 'other'],
        ['other', clientId],
        [[clientId]],
        { 0: clientId },
        clientId.toUpperCase(),
        `${clientId} `,
        `${clientId},other`,
        true,
      ];
      for (const aud of others)
        await assertTokenRejected(bff, but({ aud }), `aud ${JSON.stringify(aud)}`, undefined, 'issuer or audience');
      for (const azp of ['other', '', clientId.toUpperCase(), [clientId], 1])
        await assertTokenRejected(bff, but({ azp }), `azp ${JSON.stringify(azp)}`, undefined, 'issuer or audience');
      await assertTokenAccepted(bff, but({ aud: [clientId], azp: clientId }), 'a list with this client alone');
    },
  },
  {
    id: 'S50',
    title: 'issuer that is almost right',
    async attack(bff) {
      const { issuer } = bff.realms.oidc;
      const others = [
        undefined,
        null,
        '',
        `${issuer}/`,
        issuer.toUpperCase(),
        issuer.replace('http:', 'https:'),
        issuer.replace('localhost', 'lоcalhost'),
        `${issuer} `,
        `${issuer}\u200b`,
        issuer.replace('localhost', 'LOCALHOST'),
        `${issuer}#`,
        `${issuer}?`,
        [issuer],
        issuer.replace('/realm/', '/realm/./'),
        issuer.replace('realm', '%72ealm'),
        bff.realms.recent.issuer,
      ];
      for (const iss of others)
        await assertTokenRejected(bff, but({ iss }), `iss ${JSON.stringify(iss)}`, undefined, 'issuer or audience');
      await assertTokenAccepted(bff, but({ iss: issuer }), 'the issuer itself');
    },
  },
  {
    id: 'S51',
    title: 'Entra: other tenants, versions and keys',
    async attack(bff, provider) {
      const entra = bff.needs(bff.realms.entra, 'Entra');
      const other = '11111111-2222-4333-8444-555555555555';
      const issuerOf = (/** @type {string} */ tenant) => `${provider.origin}/${tenant}/v2.0`;
      for (const [why, changes] of /** @type {[string, Json][]} */ ([
        ['tid of another tenant than iss', { tid: other }],
        ['iss of another tenant than tid', { iss: issuerOf(other) }],
        ['another tenant in both', { tid: other, iss: issuerOf(other) }],
        ['{tenantid} not replaced', { iss: issuerOf('{tenantid}') }],
        ['{tenantid} as tid', { tid: '{tenantid}', iss: issuerOf('{tenantid}') }],
        ['tid that is no GUID', { tid: 'common', iss: issuerOf('common') }],
        ['tid in upper case', { tid: entra.tenant.toUpperCase() }],
        ['no tid', { tid: undefined }],
        ['the tenant of personal accounts', { tid: CONSUMERS_TENANT, iss: issuerOf(CONSUMERS_TENANT) }],
        ['version 1', { ver: '1.0' }],
        ['no version', { ver: undefined }],
        ['a version that is a number', { ver: 2 }],
        ['the issuer of version 1', { iss: `https://sts.windows.net/${entra.tenant}/` }],
        ['no oid', { oid: undefined }],
        ['an empty oid', { oid: '' }],
      ]))
        await assertTokenRejected(bff, but(changes), why, entra, 'tenant');
      await assertTokenAccepted(
        bff,
        but({ tid: entra.tenant, iss: issuerOf(entra.tenant), ver: '2.0' }),
        'its own tenant',
        entra,
      );
      // Each key in Entra's key set names its issuer: a key of personal accounts does not sign for an organisation.
      await bff.restarted({}, async () => {
        entra.overrides = {
          keys: (set) => ({ keys: set.keys.map((key) => ({ ...key, issuer: issuerOf(CONSUMERS_TENANT) })) }),
        };
        const browser = bff.browser();
        await bff.assertSignInRejected(browser, () => bff.signIn(browser, entra), {
          realm: entra,
          redeems: true,
          why: 'a key of personal accounts',
          reason: 'tenant',
        });
      });
      await bff.restarted({}, async () => {
        await assertTokenAccepted(
          bff,
          { keys: (set) => ({ keys: set.keys.map((key) => ({ ...key, issuer: issuerOf('{tenantid}') })) }) },
          'a key of all tenants',
          entra,
        );
      });
    },
  },
  {
    id: 'S53',
    title: 'forged provider metadata: the sign-in does not begin',
    async attack(bff, provider) {
      const overrides = /** @type {[string, (document: Json) => unknown][]} */ ([
        ['another issuer', (document) => ({ ...document, issuer: 'https://evil.example' })],
        ['issuer with a slash', (document) => ({ ...document, issuer: `${document.issuer}/` })],
        ['no issuer', (document) => ({ ...document, issuer: undefined })],
        ...['authorization_endpoint', 'token_endpoint', 'jwks_uri'].flatMap((name) =>
          [
            'http://evil.example/x',
            'https://10.0.0.1/x',
            'https://169.254.169.254/latest',
            'https://[fd00::1]/x',
            'https://[::ffff:192.168.0.1]/x',
            'file:///etc/passwd',
            'javascript:alert(1)',
            '',
            'x',
          ].map(
            (url) =>
              /** @type {[string, (document: Json) => unknown]} */ ([
                `${name} ${url}`,
                (document) => ({ ...document, [name]: url }),
              ]),
          ),
        ),
        ['no JSON', () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' })],
        ['not found', () => ({ status: 404, body: '' })],
        ['a redirect', () => ({ status: 302, headers: { location: `${provider.origin}/stolen` } })],
        ['an oversize document', (document) => ({ ...document, padding: 'x'.repeat(2 * 1024 * 1024) })],
      ]);
      for (const [why, metadata] of overrides) {
        const realm = await bff.unusedRealm();
        realm.overrides = { metadata };
        const answer = await bff.browser().visit(bff.path.login(realm.id, '/'));
        assert.ok(answer.status >= 400, `${why}: ${answer.status} ${answer.headers.location}`);
        assert.equal(answer.headers.location, undefined, why);
        assert.deepEqual(setCookies(answer), [], why);
      }
      assert.deepEqual(
        provider.strays.filter(({ path }) => path === '/stolen'),
        [],
      );
      const honest = await bff.unusedRealm();
      assert.ok(bff.givesSession(await bff.signIn(bff.browser(), honest)), 'with genuine metadata it begins');
    },
  },
  {
    id: 'S54',
    title: 'userinfo of another user is ignored',
    async attack(bff) {
      const realm = await bff.unusedRealm();
      realm.overrides = {
        person: (person) => ({ ...person, sub: 'another-user', email: 'admin@causeway.example' }),
        ...but({ name: undefined, email: undefined }),
      };
      const browser = bff.browser();
      const answer = await bff.signIn(browser, realm);
      if (realm.requestsTo('userinfo').length) assert.equal(bff.givesSession(answer), false);
      else assert.ok((await bff.user(browser))?.endsWith(ADA.id), 'the ID token alone names the user');
    },
  },
  {
    id: 'S56',
    title: 'tokens of other kinds in place of an ID token',
    async attack(bff) {
      for (const typ of ['at+jwt', 'application/at+jwt', 'logout+jwt', 'dpop+jwt', 'secevent+jwt', 'JOSE', '', 1]) {
        await assertTokenRejected(
          bff,
          { idToken: ({ header, claims, key }) => key.signAnyway({ ...header, typ }, claims) },
          `typ ${typ}`,
        );
      }
      await assertTokenRejected(
        bff,
        but({ events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }),
        'a logout token',
      );
      await assertTokenRejected(bff, but({ nonce: undefined, scope: 'openid' }), 'an access token', undefined, 'nonce');
      await assertTokenRejected(
        bff,
        { tokens: (body) => ({ ...body, id_token: body.access_token }) },
        'the access token itself',
      );
      await assertTokenRejected(
        bff,
        { tokens: (body) => ({ ...body, id_token: [body.id_token] }) },
        'a list',
        undefined,
        'no token response',
      );
      await assertTokenAccepted(
        bff,
        { idToken: ({ header, claims, key }) => key.signAnyway({ ...header, typ: undefined }, claims) },
        'no type at all',
      );
      await assertTokenAccepted(bff, {}, 'an ID token');
    },
  },
  {
    id: 'S58',
    title: 'same e-mail address with another id, or same id in another tenant: another user',
    async attack(bff, provider) {
      const users = new Set();
      for (const realm of [bff.realms.oidc, bff.realms.entra, bff.realms.recent]) {
        for (const id of [ADA.id, '33333333-aaaa-4bbb-8ccc-000000000003']) {
          realm.user = { ...ADA, id };
          users.add((await bff.signedIn(realm)).user);
        }
      }
      assert.equal(users.size, 6, [...users].join(' '));
      assert.ok(![...users].some((user) => user.includes('@')), 'no user id is an e-mail address');
      if (!bff.running) return;
      // Two tenants may use the same id for two users.
      const entra = bff.needs(bff.realms.entra, 'Entra');
      const { clientId, clientSecret, tenant } = entra;
      const all = provider.entra({ id: 'organizations', tenant: 'organizations', clientId, clientSecret });
      const tenants = [tenant, '11111111-2222-4333-8444-555555555555'];
      const issuerOf = (/** @type {string} */ tid) => `${provider.origin}/${tid}/v2.0`;
      await bff.restarted({ ENTRA_TENANT: 'organizations', ENTRA_TENANTS: tenants.join(',') }, async () => {
        const people = new Set();
        for (const tid of tenants) {
          all.overrides = {
            metadata: (document) => ({ ...document, issuer: issuerOf('{tenantid}') }),
            claims: (claims) => ({ ...claims, tid, iss: issuerOf(tid) }),
          };
          const browser = bff.browser();
          const begun = await browser.visit(bff.path.login(entra.id, '/'));
          const answer = await browser.visit(await bff.callbackOf(new URL(begun.headers.location ?? '')));
          assert.ok(bff.givesSession(answer), `${tid}: ${answer.status}\n${bff.logTail()}`);
          people.add(await bff.user(browser));
        }
        assert.equal(people.size, 2, [...people].join(' '));
      });
      provider.realms.delete(all.id);
    },
  },
  {
    id: 'S59',
    title: 'e-mail addresses that would pass an allow-list do not identify the user',
    async attack(bff) {
      const { user } = await bff.signedIn();
      for (const email of [
        'ada@causeway.example@evil.example',
        'ada@evil.example,@causeway.example',
        'ada@cаuseway.example',
        '"ada@causeway.example"@evil.example',
        'ada@causeway.example\u0000@evil.example',
        `${'a'.repeat(5000)}@x`,
      ]) {
        bff.realms.oidc.user = { ...ADA, email };
        const browser = bff.browser();
        const answer = await bff.signIn(browser);
        assert.ok(bff.isRedirect(answer) || answer.status === 400, email);
        if (bff.isRedirect(answer)) assert.equal(await bff.user(browser), user, 'the address does not change the user');
      }
    },
  },
];
