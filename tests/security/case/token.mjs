// Section C: the signatures and keys of ID tokens.

import assert from 'node:assert/strict';

import { signWithSecret, unsigned } from '../provider/key.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../provider/realm.mjs').Realm} Realm */
/** @typedef {import('../provider/realm.mjs').Overrides} Overrides */

/**
 * Asserts that a sign-in with these overrides is rejected for this reason, after the code was redeemed.
 * @param {Bff} bff @param {Overrides} overrides @param {string} why @param {Realm} [realm]
 * @param {string | string[]} [reason]
 */
export async function assertTokenRejected(bff, overrides, why, realm = bff.realms.oidc, reason = 'signature') {
  realm.overrides = overrides;
  const browser = bff.browser();
  await bff.assertSignInRejected(browser, () => bff.signIn(browser, realm), { realm, redeems: true, why, reason });
  realm.overrides = {};
}

/**
 * Asserts that a sign-in with these overrides succeeds.
 * @param {Bff} bff @param {Overrides} overrides @param {string} why @param {Realm} [realm]
 */
export async function assertTokenAccepted(bff, overrides, why, realm = bff.realms.oidc) {
  realm.overrides = overrides;
  const answer = await bff.signIn(bff.browser(), realm);
  assert.ok(bff.givesSession(answer), `${why}: ${answer.status}\n${bff.logTail()}`);
  realm.overrides = {};
}

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S37',
    title: 'ID token without a signature',
    async attack(bff) {
      for (const alg of [
        'none',
        'None',
        'nOnE',
        'NONE',
        '',
        'null',
        undefined,
        null,
        0,
        ['none'],
        'RS256 ',
        'rs256',
        'RS256\u0000',
      ]) {
        for (const signature of ['', 'AA', 'honest']) {
          await assertTokenRejected(
            bff,
            {
              idToken: async ({ header, claims, key }) =>
                signature === 'honest'
                  ? key.signAnyway({ ...header, alg }, claims)
                  : `${unsigned({ ...header, alg }, claims)}.${signature}`,
            },
            `alg ${JSON.stringify(alg)}, signature ${signature || 'empty'}`,
          );
        }
      }
      await assertTokenRejected(bff, { idToken: ({ header, claims }) => unsigned(header, claims) }, 'no third part');
      await assertTokenRejected(
        bff,
        { idToken: ({ header, claims }) => `${unsigned(header, claims)}.` },
        'RS256 without a signature',
      );
      await assertTokenRejected(
        bff,
        { idToken: async ({ header, claims, key }) => `${await key.sign(header, claims)}x` },
        'signature too long',
      );
      await assertTokenRejected(
        bff,
        {
          idToken: async ({ header, claims, key }) => {
            const [head, , signature] = (await key.sign(header, claims)).split('.');
            return `${head}.${unsigned(header, { ...claims, sub: 'another-user' }).split('.')[1]}.${signature}`;
          },
        },
        'claims changed after signing',
      );
      await assertTokenRejected(bff, { idToken: () => undefined }, 'no ID token at all');
      await assertTokenAccepted(
        bff,
        { idToken: ({ header, claims, key }) => key.signAnyway(header, claims) },
        'the same with its signature',
      );
    },
  },
  {
    id: 'S38',
    title: 'ID token signed with the public key as a secret',
    async attack(bff) {
      for (const alg of ['HS256', 'HS384', 'HS512', 'RS256']) {
        await assertTokenRejected(
          bff,
          { idToken: ({ header, claims, key }) => signWithSecret({ ...header, alg }, claims, key.pem) },
          `${alg} with the PEM`,
        );
        const der = (/** @type {string} */ pem) => Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64');
        await assertTokenRejected(
          bff,
          { idToken: ({ header, claims, key }) => signWithSecret({ ...header, alg }, claims, key.pem.trim()) },
          `${alg} with the trimmed PEM`,
        );
        await assertTokenRejected(
          bff,
          { idToken: ({ header, claims, key }) => signWithSecret({ ...header, alg }, claims, der(key.pem)) },
          `${alg} with the DER`,
        );
        await assertTokenRejected(
          bff,
          { idToken: ({ header, claims, key }) => signWithSecret({ ...header, alg }, claims, JSON.stringify(key.jwk)) },
          `${alg} with the JWK`,
        );
        await assertTokenRejected(
          bff,
          {
            idToken: ({ header, claims, key }) =>
              signWithSecret({ ...header, alg }, claims, Buffer.from(String(key.jwk.n), 'base64url')),
          },
          `${alg} with the modulus`,
        );
      }
      await assertTokenAccepted(
        bff,
        { idToken: ({ header, claims, key }) => key.signAnyway(header, claims) },
        'the same with its own signature',
      );
    },
  },
  {
    id: 'S39',
    title: 'ID token signed with an empty secret, keys without an algorithm',
    async attack(bff) {
      const realm = await bff.unusedRealm();
      const keys = (/** @type {{ keys: import('../provider/key.mjs').Json[] }} */ set) => ({
        keys: set.keys.map((key) => ({ ...key, alg: undefined, use: undefined })),
      });
      for (const secret of ['', '\u0000']) {
        await assertTokenRejected(
          bff,
          { keys, idToken: ({ header, claims }) => signWithSecret({ ...header, alg: 'HS256' }, claims, secret) },
          `HS256 with ${JSON.stringify(secret)}`,
          realm,
        );
      }
      await assertTokenAccepted(bff, { keys }, 'a genuine token, by a key that names no algorithm', realm);
      const octets = await bff.unusedRealm();
      const secretKey = (/** @type {unknown} */ k) => () => ({ keys: [{ kty: 'oct', kid: 'honest-1', k }] });
      await assertTokenRejected(
        bff,
        {
          keys: secretKey(''),
          idToken: ({ header, claims }) => signWithSecret({ ...header, alg: 'HS256' }, claims, ''),
        },
        'a secret in the key set',
        octets,
      );
    },
  },
  {
    id: 'S41',
    title: 'key id that looks like a path or a query',
    async attack(bff, provider) {
      const realm = await bff.unusedRealm();
      await assertTokenAccepted(bff, {}, 'at first', realm);
      const fetches = realm.requestsTo('keys').length;
      for (const kid of [
        '../../../etc/passwd',
        "' OR '1'='1",
        'honest-1/../honest-1',
        '/dev/null',
        '',
        ' honest-1',
        'HONEST-1',
        'honest-1\u0000',
        'x'.repeat(10_000),
        `${provider.origin}/stolen`,
        '${jndi:ldap://evil.example}',
        '__proto__',
        'constructor',
      ]) {
        await assertTokenRejected(bff, { header: (header) => ({ ...header, kid }) }, `kid ${kid.slice(0, 40)}`, realm);
      }
      for (const kid of [1, true, ['honest-1'], { a: 1 }]) {
        await assertTokenRejected(
          bff,
          { idToken: ({ header, claims, key }) => key.signAnyway({ ...header, kid }, claims) },
          `kid ${JSON.stringify(kid)}`,
          realm,
        );
      }
      // A null kid is no kid: the only key is used.
      await assertTokenAccepted(
        bff,
        { idToken: ({ header, claims, key }) => key.signAnyway({ ...header, kid: null }, claims) },
        'kid null',
        realm,
      );
      await assertTokenRejected(
        bff,
        { idToken: ({ header, claims }) => provider.otherKey.signAnyway({ ...header, kid: null }, claims) },
        'kid null, by another key',
        realm,
      );
      assert.ok(
        realm.requestsTo('keys').length - fetches <= bff.instances,
        'an unknown kid causes at most one more fetch of keys',
      );
      assert.deepEqual(
        provider.strays.filter(({ path }) => path.includes('stolen')),
        [],
      );
      await assertTokenAccepted(bff, {}, 'afterwards', realm);
    },
  },
  {
    id: 'S42',
    title: 'flood of unknown key ids: one fetch of keys, genuine tokens are still accepted',
    async attack(bff, provider) {
      const realm = await bff.unusedRealm();
      await assertTokenAccepted(bff, {}, 'before', realm);
      const fetches = realm.requestsTo('keys').length;
      const rejections = bff.running && bff.rejectionCount('unknown key');
      realm.overrides = {
        idToken: ({ header, claims }) => provider.otherKey.sign({ ...header, kid: `unknown-${Math.random()}` }, claims),
      };
      const answers = await Promise.all(Array.from({ length: 150 }, () => bff.signIn(bff.browser(), realm)));
      assert.ok(answers.every((answer) => answer.status >= 400 && !bff.givesSession(answer)));
      const fetched = realm.requestsTo('keys').length - fetches;
      assert.equal(fetched, 1, 'fetches of keys for 150 forged tokens');
      await bff.waitForRejection('unknown key', rejections ?? 0, 'forged tokens');
      await assertTokenAccepted(bff, {}, 'genuine tokens are still accepted', realm);
    },
  },
  {
    id: 'S43',
    title: 'ID token that brings its own key: rejected, nothing is fetched',
    async attack(bff, provider) {
      const evil = provider.otherKey;
      const url = `${provider.origin}/stolen`;
      for (const extra of [
        { jwk: evil.jwk },
        { jku: url },
        { x5u: url },
        { x5c: [Buffer.from('evil').toString('base64')] },
        { jwk: evil.jwk, jku: url, x5u: url, kid: evil.kid },
      ]) {
        await assertTokenRejected(
          bff,
          { idToken: ({ header, claims }) => evil.signAnyway({ ...header, ...extra }, claims) },
          `header ${Object.keys(extra)}`,
        );
      }
      assert.deepEqual(
        provider.strays.filter(({ path }) => path === '/stolen'),
        [],
      );
      await assertTokenAccepted(
        bff,
        {
          idToken: ({ header, claims, key }) =>
            key.signAnyway({ ...header, jku: url, x5u: url, jwk: evil.jwk }, claims),
        },
        'signed by the known key, whatever key it brings',
      );
      assert.deepEqual(
        provider.strays.filter(({ path }) => path === '/stolen'),
        [],
      );
      // `crit` names extensions that the receiver must understand. The BFF understands none.
      await assertTokenRejected(
        bff,
        { idToken: ({ header, claims, key }) => key.signAnyway({ ...header, crit: ['evil'], evil: true }, claims) },
        'a critical extension',
      );
      await assertTokenRejected(
        bff,
        { idToken: ({ header, claims, key }) => key.signAnyway({ ...header, crit: ['b64'], b64: false }, claims) },
        'an unencoded payload',
      );
    },
  },
  {
    id: 'S45',
    title: 'ID token without a key id: the keys of the set that fit its algorithm are tried, and no others',
    async attack(bff, provider) {
      const withoutKid = (/** @type {import('../provider/key.mjs').Json} */ header) => ({ ...header, kid: undefined });
      const only = await bff.unusedRealm();
      await assertTokenAccepted(bff, { header: withoutKid }, 'one key', only);
      const several = await bff.unusedRealm();
      several.keys = [provider.key, provider.otherKey];
      await assertTokenAccepted(bff, {}, 'several keys, and the token names one', several);
      await assertTokenAccepted(bff, { header: withoutKid }, 'several keys, and the token names none', several);
      const others = await bff.unusedRealm();
      others.keys = [provider.otherKey, provider.otherKey];
      await assertTokenRejected(
        bff,
        { idToken: ({ header, claims }) => provider.key.sign(withoutKid(header), claims) },
        'no key of the set, and the token names none',
        others,
      );
      // A key of another provider is never used.
      await assertTokenRejected(
        bff,
        { idToken: ({ header, claims }) => provider.otherKey.sign(withoutKid(header), claims) },
        "a key that is not the provider's",
        only,
      );
    },
  },
  {
    id: 'S52',
    title: 'keys rotated between login and callback: the new key is accepted after one fetch; the old one is rejected',
    async attack(bff, provider) {
      const realm = await bff.unusedRealm();
      await assertTokenAccepted(bff, {}, 'the first key', realm);
      const browser = bff.browser();
      const flow = await bff.begin(browser, realm);
      const fetches = realm.requestsTo('keys').length;
      realm.keys = [provider.otherKey];
      const answer = await browser.visit(await flow.callback());
      assert.ok(bff.givesSession(answer), `after the rotation: ${answer.status}`);
      assert.equal(realm.requestsTo('keys').length, fetches + 1);
      const [old] = [provider.key];
      const late = bff.browser();
      const lateFlow = await bff.begin(late, realm);
      realm.overrides = { idToken: ({ header, claims }) => old.sign({ ...header, kid: old.kid }, claims) };
      if (bff.instances > 1) {
        // Another instance may accept the old key, for as long as a unit test of this number checks. An instance that
        // rejects it must do so for its key.
        const answer = await late.visit(await lateFlow.callback());
        if (!bff.isRedirect(answer)) await bff.assertRejectionLogged(answer, 'signed with the old key', 'unknown key');
        assert.equal(bff.isRedirect(answer), (await bff.user(late)) !== undefined);
        return;
      }
      await bff.assertSignInRejected(late, async () => late.visit(await lateFlow.callback()), {
        realm,
        redeems: true,
        why: 'signed with the old key',
        reason: 'unknown key',
      });
    },
  },
  {
    id: 'S149',
    title: 'unknown or invalid keys are rejected, and cause no trap',
    async attack(bff) {
      const jwk = bff.realms.oidc.honestKey.jwk;
      for (const bad of [
        { keys: [] },
        { keys: null },
        {},
        [],
        null,
        { keys: [null, 1, 'x', {}] },
        { keys: [{ kty: 'RSA' }] },
        { keys: [{ ...jwk, n: '' }] },
        { keys: [{ ...jwk, n: 'AA' }] },
        { keys: [{ ...jwk, n: '!' }] },
        { keys: [{ ...jwk, e: 'AA' }] },
        { keys: [{ ...jwk, kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' }] },
        { keys: [{ ...jwk, kty: 'OKP', crv: 'Ed25519', x: 'AA' }] },
        { keys: [{ ...jwk, use: 'enc' }] },
        { keys: [{ ...jwk, alg: 'RS512' }] },
      ]) {
        const realm = await bff.unusedRealm();
        realm.overrides = { keys: () => bad };
        const browser = bff.browser();
        await bff.assertSignInRejected(browser, () => bff.signIn(browser, realm), {
          realm,
          redeems: true,
          status: [400, 502, 503],
          why: `key set ${JSON.stringify(bad).slice(0, 80)}`,
          reason: ['signature', 'outage'],
        });
        realm.overrides = {};
      }
      await assertTokenAccepted(bff, {}, 'other providers still work');
    },
  },
  {
    id: 'S157',
    title: 'the same key twice, several keys under one id: the right one verifies, another does not',
    async attack(bff, provider) {
      const { jwk } = bff.realms.oidc.honestKey;
      const other = { ...provider.otherKey.jwk, kid: jwk.kid };
      for (const [why, keys] of /** @type {[string, unknown[]][]} */ ([
        ['the same key twice', [jwk, jwk]],
        ['the same key a hundred times', Array.from({ length: 100 }, () => jwk)],
        ['the same key under two ids', [jwk, { ...jwk, kid: 'again' }]],
        ['the same key with and without its use', [{ ...jwk, use: undefined }, jwk]],
        ['another key under its id, behind it', [jwk, other]],
        ['another key under its id, before it', [other, jwk]],
        [
          'bad keys under its id',
          [null, {}, { ...jwk, n: 'AA' }, { ...jwk, e: 'AA' }, { ...jwk, use: 'enc' }, { ...jwk, n: '!' }, jwk],
        ],
      ])) {
        const realm = await bff.unusedRealm();
        await assertTokenAccepted(bff, { keys: () => ({ keys }) }, why, realm);
        if (keys.includes(other)) continue;
        await assertTokenRejected(
          bff,
          {
            keys: () => ({ keys }),
            idToken: ({ header, claims }) => provider.otherKey.signAnyway(header, claims),
          },
          `${why}: signed by a key that is not there`,
          realm,
        );
      }
      // Without an id, the same key twice is one key.
      await assertTokenAccepted(
        bff,
        { keys: () => ({ keys: [jwk, jwk] }), header: (header) => ({ ...header, kid: undefined }) },
        'the same key twice, and the token names none',
        await bff.unusedRealm(),
      );
    },
  },
];
