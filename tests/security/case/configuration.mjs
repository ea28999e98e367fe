// Section I: wrong configuration, addresses that no service may have, and sign-ins without proof.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { CannotRun } from '../bff.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../../support/browser.mjs').Browser} Browser */
/** @typedef {Record<string, string | undefined>} Variables */

/** One target for each part of the BFF. @param {Bff} bff */
const targetsOf = (bff) => [
  bff.path.home,
  bff.path.session,
  bff.path.login(bff.realms.oidc.id, '/'),
  bff.path.callback(bff.realms.oidc.id),
  bff.profile.api.prefix + bff.profile.api.own,
  bff.path.stream,
  '/readyz',
  '/assets/chat-widget.js',
];

/** @typedef {import('../profile/causeway-edge.mjs').Running['restart']} Restart */

/**
 * Asserts that with these settings nothing is served, and that the log names the problem of each, but not its value.
 * @param {Bff} bff @param {Restart} restart @param {Variables} variables
 * @param {RegExp[]} problems each must be in the log of this start
 */
async function assertClosed(bff, restart, variables, problems) {
  const keys = Object.keys(variables);
  await restart(variables, true);
  for (const path of targetsOf(bff)) {
    const answer = await bff.browser().call(path);
    assert.ok(answer.status >= 500, `${keys}: ${path} answers ${answer.status}`);
    for (const key of keys) assert.ok(!answer.text.includes(key), `${key} is disclosed to visitors`);
  }
  const log = bff.running?.logSinceStart() ?? '';
  const logged = bff.entries(log).flatMap((entry) => bff.profile.configurationProblems(entry));
  for (const problem of problems)
    assert.ok(
      logged.some((text) => problem.test(text)),
      `${problem} is not in the log, which has\n${[...new Set(logged)].join('\n')}`,
    );
  for (const value of Object.values(variables))
    if (value && value.length > 20) assert.ok(!log.includes(value.slice(5)), 'a value is in the log');
}

/**
 * Asserts that the BFF serves with these settings, which are valid.
 * @param {Bff} bff @param {Restart} restart @param {Variables} variables
 */
async function assertServed(bff, restart, variables) {
  await restart(variables);
  const { browser } = await bff.signedIn(bff.apiRealm);
  assert.equal((await browser.call(bff.profile.api.prefix + bff.profile.api.own)).status, 200);
  for (const path of targetsOf(bff).filter((path) => path !== bff.path.stream)) {
    const { status } = await browser.call(path);
    assert.ok(status < 500, `${Object.keys(variables)}: ${path} answers ${status}`);
  }
  assert.deepEqual(
    bff.entries(bff.running?.logSinceStart()).flatMap((entry) => bff.profile.configurationProblems(entry)),
    [],
  );
}

const weak = (/** @type {number} */ bytes) => `weak:${Buffer.alloc(bytes, 'k').toString('base64url')}`;
const strong = () => `strong:${randomBytes(32).toString('base64url')}`;

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S134',
    title: 'wrong configuration closes every route',
    attack: (bff) =>
      bff.reconfigured(async (restart) => {
        const providers = bff.running?.settings.OIDC_PROVIDERS;
        await assertServed(bff, restart, {
          ENTRA_TENANT: '11111111-2222-4333-8444-555555555555',
          GRAPH_ALLOW: 'GET /me, GET /x',
          REVOCATION_BOUND_SECONDS: '2',
          OIDC_PROVIDERS: providers,
        });
        // All problems are named, and each alone closes the BFF.
        const wrong = { ENTRA_TENANT: 'not-a-tenant', REVOCATION_BOUND_SECONDS: 'never', OIDC_PROVIDERS: '{"broken' };
        await assertClosed(
          bff,
          restart,
          wrong,
          Object.keys(wrong).map((key) => new RegExp(`^${key} `)),
        );
        await assertClosed(bff, restart, { REVOCATION_BOUND_SECONDS: 'never' }, [/^REVOCATION_BOUND_SECONDS /]);
        await assertClosed(bff, restart, { GRAPH_ALLOW: 'GET me, DROP /x' }, [/^GRAPH_ALLOW /]);
        // An empty list is not the same as unset, or the check would be off silently (GHSA-652x).
        await assertClosed(bff, restart, { ENTRA_GROUPS: ',' }, [/^ENTRA_GROUPS /]);
      }),
  },
  {
    id: 'S135',
    title: 'unknown fields, weak secrets and plain HTTP close every route',
    attack: (bff) =>
      bff.reconfigured(async (restart) => {
        const providers = JSON.parse(bff.running?.settings.OIDC_PROVIDERS ?? '[]');
        const changed = (/** @type {object} */ changes) =>
          JSON.stringify(
            providers.map((/** @type {object} */ provider, /** @type {number} */ index) => ({
              ...provider,
              ...(index === 1 && changes),
            })),
          );
        await assertServed(bff, restart, {
          SESSION_KEYS: strong(),
          OIDC_PROVIDERS: changed({ issuer: 'https://login.example', scopes: ['openid'] }),
        });
        await assertClosed(bff, restart, { SESSION_KEYS: weak(16), OIDC_PROVIDERS: changed({ pkce: false }) }, [
          /^SESSION_KEYS /,
          /^OIDC_PROVIDERS .*pkce/,
        ]);
        await assertClosed(bff, restart, { OIDC_PROVIDERS: changed({ issuer: 'http://login.example' }) }, [
          /^OIDC_PROVIDERS /,
        ]);
        await assertClosed(bff, restart, { SESSION_KEYS: weak(32) }, [/^SESSION_KEYS /]);
        await assertClosed(bff, restart, { DEVELOPMENT: undefined }, [/^PUBLIC_ORIGIN /]);
      }),
  },
  {
    id: 'S162',
    title: 'service that names request headers of identity, origin or connection',
    attack: (bff) =>
      bff.reconfigured(async (restart) => {
        const own = JSON.parse(bff.running?.settings.SERVICES ?? '[]');
        const naming = (/** @type {string[]} */ names) => ({
          SERVICES: JSON.stringify([{ ...own[0], request_headers: names }, ...own.slice(1)]),
        });
        for (const name of [
          'Cookie',
          'Authorization',
          'Host',
          'X-Forwarded-For',
          'Remote-User',
          'Connection',
          'Transfer-Encoding',
          'Sec-Fetch-Site',
          'X_Forwarded_For',
          'X-HTTP-Method-Override',
          'X-Goog-IAP-JWT-Assertion',
          'X-ARR-ClientCert',
          'X-UserId',
        ])
          await assertClosed(bff, restart, naming(['Prefer', name]), [/^SERVICES .*request_headers/]);
        await assertServed(bff, restart, naming(['ConsistencyLevel', 'Prefer']));
      }),
  },
  {
    id: 'S104',
    title: 'API at a private or metadata address',
    attack: (bff) =>
      bff.reconfigured(async (restart) => {
        const own = JSON.parse(bff.running?.settings.SERVICES ?? '[]');
        const services = (/** @type {[string, boolean][]} */ entries) => ({
          SERVICES: JSON.stringify([
            ...own,
            ...entries.map(([url, isPrivate], index) => ({
              name: `inner-${index}`,
              url,
              provider: bff.apiRealm.id,
              shares_token: true,
              allow: ['GET /x'],
              private_network: isPrivate,
            })),
          ]),
        });
        await assertServed(
          bff,
          restart,
          services([
            ['https://10.0.0.1', true],
            ['https://[fd00::1]', true],
            ['https://api.example', false],
          ]),
        );
        /** @type {[string, boolean][]} */
        const rejected = [
          ['https://10.0.0.1', false],
          ['https://172.16.0.1', false],
          ['https://192.168.1.1', false],
          ['https://[fd00::1]', false],
          ['https://[::ffff:10.0.0.1]', false],
          ['https://0x0a000001', false],
          ['https://100.64.0.1', false],
          // Rejected even where private addresses are allowed.
          ['https://169.254.169.254/latest', true],
          ['https://[fe80::1]', true],
          ['https://[::ffff:169.254.169.254]', true],
          ['https://metadata.google.internal', true],
          ['https://metadata.goog', true],
          ['http://api.example', true],
        ];
        await assertClosed(
          bff,
          restart,
          services(rejected),
          rejected.map((_, index) => new RegExp(`^SERVICES entry ${own.length + index + 1}:`)),
        );
        await assertClosed(bff, restart, services([['https://10.0.0.1', false]]), [/^SERVICES entry /]);
      }),
  },
  {
    id: 'S146',
    title: 'tokens cannot be checked: no sign-in succeeds',
    async attack(bff) {
      if (!bff.running) throw new CannotRun('needs a BFF that the suite can restart');
      const realm = await bff.unusedRealm();
      for (const [
        why,
        overrides,
        status,
        reason,
      ] of /** @type {[string, import('../provider/realm.mjs').Overrides, number, string][]} */ ([
        ['no key set', { keys: () => ({ status: 500, body: 'x' }) }, 503, 'outage'],
        [
          'a page instead of a key set',
          { keys: () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }) },
          503,
          'outage',
        ],
        ['no ID token', { idToken: () => undefined }, 400, 'signature'],
      ])) {
        realm.overrides = overrides;
        const browser = bff.browser();
        await bff.assertSignInRejected(browser, () => bff.signIn(browser, realm), {
          realm,
          redeems: true,
          status,
          why,
          reason,
        });
      }
      const providers = JSON.parse(bff.running.settings.OIDC_PROVIDERS ?? '[]');
      await bff.reconfigured(async (restart) => {
        for (const missing of ['issuer', 'client_id']) {
          await assertClosed(
            bff,
            restart,
            { OIDC_PROVIDERS: JSON.stringify([{ ...providers[0], [missing]: undefined }, ...providers.slice(1)]) },
            [new RegExp(`^OIDC_PROVIDERS .*${missing}`)],
          );
        }
        await assertClosed(bff, restart, { OIDC_CLIENT_SECRETS: '{}', SESSION_KEYS: undefined }, [
          /^OIDC_CLIENT_SECRETS /,
          /^SESSION_KEYS /,
        ]);
        await assertClosed(bff, restart, { OIDC_CLIENT_SECRETS: '{}' }, [/^OIDC_CLIENT_SECRETS /]);
      });
    },
  },
];
