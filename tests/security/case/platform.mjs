// Section I: wrong configuration, malformed input, forged events.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { CannotRun } from '../bff.mjs';
import { concurrently } from '../concurrently.mjs';

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

/** Malformed values for headers, queries and names. */
const malformedValues = [
  '',
  ' ',
  '=',
  ';',
  ';;;===',
  '%',
  '%zz',
  '%00',
  '"',
  '\\',
  '{}',
  '[]',
  'null',
  'Bearer',
  'Bearer ',
  'Basic ====',
  '\u00ff\u00fe',
  'a=b=c; =; =x; x',
  'x'.repeat(7_000),
  '-1',
  '1e999',
  '../..',
  'application/json; charset="',
  'multipart/form-data',
  ';q=',
  'bytes=0-18446744073709551616',
  'gzip;q=nan',
];

/**
 * Asserts that endpoints for servers and for the BFF's own pages reject malformed headers.
 * @param {Bff} bff @param {Browser} browser signed in
 */
async function assertMalformedHeadersRejected(bff, browser) {
  const { oidc } = bff.realms;
  const targets = [
    ['POST', bff.path.handoff],
    ['POST', bff.path.disconnect('nobody')],
    ['DELETE', bff.path.ownSession('x')],
    ['POST', bff.path.webhook],
    ['POST', bff.path.backchannelLogout(oidc.id)],
    ['GET', bff.path.frontchannelLogout(oidc.id)],
    ['POST', bff.path.deliver],
  ];
  const names = [
    'Authorization',
    'Content-Type',
    'Cookie',
    'Origin',
    'Sec-Fetch-Site',
    ...Object.keys(bff.csrf),
    'X-Hub-Signature-256',
    'Causeway-Signature',
  ];
  const attempts = targets.flatMap(([method = '', target = '']) =>
    names.flatMap((name) => malformedValues.map((value) => ({ method, target, name, value }))),
  );
  await concurrently(attempts, async ({ method, target, name, value }) => {
    const answer = await browser
      .copy()
      .call(target, { method, headers: { [name]: value }, ...(method === 'POST' && { body: '{' }) });
    // Front-channel logout answers 200 whether or not it did anything.
    const isSilent = method === 'GET' && answer.status === 200;
    assert.ok(
      isSilent || (answer.status >= 400 && answer.status < 500),
      `${name}: ${JSON.stringify(value.slice(0, 40))} at ${target}: ${answer.status} ${answer.text.slice(0, 200)}`,
    );
  });
}

/** In place of a name in a path: each is unknown or malformed. */
const MALFORMED_NAMES = [
  '%',
  '%z',
  '%zz',
  '%00',
  '%0d%0a',
  '%2f',
  '%2e%2e',
  '%c0%af',
  '%ff',
  '%ed%a0%80',
  '%u0041',
  '..%2f',
  '"',
  "'",
  '{}',
  '{id}',
  '*',
  '__proto__',
  'x'.repeat(5_000),
];

/**
 * Asserts that a malformed name in a path is rejected, or leads home.
 * @param {Bff} bff @param {Browser} browser signed in
 */
async function assertMalformedNamesRejected(bff, browser) {
  const named = [
    ['GET', bff.path.login],
    ['GET', bff.path.callback],
    ['POST', bff.path.disconnect],
    ['DELETE', bff.path.ownSession],
    ['POST', bff.path.backchannelLogout],
    ['GET', bff.path.frontchannelLogout],
    ['GET', bff.path.endSession],
    ['GET', bff.path.loggedOut],
  ];
  const attemptsByName = MALFORMED_NAMES.flatMap((escape) =>
    /** @type {[string, (name: string) => string][]} */ (named).map(([method, path]) => ({
      method,
      target: path(escape),
    })),
  );
  await concurrently(attemptsByName, async ({ method, target }) => {
    for (const way of /** @type {const} */ (['call', 'visit'])) {
      const answer = await browser.copy()[way](target, { method, ...(method === 'POST' && { body: '' }) });
      assert.ok(
        (answer.status >= 400 && answer.status < 500) ||
          (bff.isRedirect(answer) && answer.headers.location === bff.path.home),
        `${method} ${target.slice(0, 80)}: ${answer.status} ${answer.text.slice(0, 200)}`,
      );
    }
  });
}

/**
 * Posts an event.
 * @param {Bff} bff @param {Browser} browser @param {unknown} body text is sent as it is
 * @param {Record<string, string | string[] | undefined>} [headers]
 */
const postEvent = (bff, browser, body, headers = {}) =>
  browser.call(bff.path.event, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

/**
 * Asserts that the subject of a forwarded event is the signed-in user, whatever the event claims.
 * @param {Bff} bff @param {Browser} browser @param {string} user
 */
async function assertSubjectIgnored(bff, browser, user) {
  const claims = {
    subject: 'evil:admin',
    tenant: 'evil',
    user: 'admin',
    id: 'known',
    source: 'evil',
    time: '1970-01-01T00:00:00Z',
    specversion: '0.3',
  };
  const before = bff.bridge.seen.length;
  await postEvent(
    bff,
    browser,
    { type: 'message', data: { text: 'x' }, ...claims },
    { 'ce-subject': 'evil:admin', 'X-Subject': 'evil', 'X-Causeway-Subject': 'evil', 'kafka-key': 'evil' },
  );
  const sent = bff.bridge.seen.slice(before).filter(({ path }) => path.startsWith('/v1/events'));
  assert.equal(sent.length, 1, 'the event is forwarded');
  const envelope = { ...JSON.parse(sent[0]?.body ?? '{}'), data: undefined };
  const forwarded = JSON.stringify(envelope) + JSON.stringify(sent[0]?.rawHeaders);
  assert.ok(!/evil|admin|1970|"known"|0\.3/.test(forwarded), forwarded);
  const [tenant = '', id = ''] = user.split(':');
  assert.ok(forwarded.includes(tenant) && forwarded.includes(id), 'its subject is the signed-in user');
}

/**
 * Asserts that malformed events, and events with members of the envelope, are rejected and not forwarded.
 * @param {Bff} bff @param {Browser} browser
 */
async function assertMalformedEventsRejected(bff, browser) {
  const spoofs = {
    key: 'evil:admin',
    partition: 3,
    offset: 0,
    topic: 'other',
    channel: 'other',
    headers: { ce_subject: 'evil' },
    ce_subject: 'evil',
    ce_id: 'known',
    data_base64: 'ZXZpbA==',
    traceparent: 'evil',
  };
  const passed = bff.bridge.seen.length;
  const good = { type: 'message', data: {} };
  for (const [why, body, headers] of /** @type {[string, unknown, Record<string, string>][]} */ ([
    ['oversize', { type: 'message', data: { text: 'x'.repeat(70 * 1024) } }, {}],
    ['no JSON', 'x', {}],
    ['a list', [], {}],
    ['null', 'null', {}],
    ['no data', { type: 'message' }, {}],
    ['a line break in the type', { type: 'a\r\nce_subject: evil', data: {} }, {}],
    ['a type of its own', { type: { a: 1 }, data: {} }, {}],
    ...Object.entries(spoofs).map(
      ([name, value]) =>
        /** @type {[string, unknown, Record<string, string>]} */ ([
          `${name} in the body`,
          { ...good, [name]: value },
          {},
        ]),
    ),
    ['a list of its members', ['message', {}], {}],
    ['a duplicate type', '{"type":"a","type":"b","data":{}}', {}],
    ['something after it', '{"type":"a","data":{}}{}', {}],
    ['NUL in the type', { type: 'a\u0000', data: {} }, {}],
    ['a key too long', good, { 'Idempotency-Key': 'x'.repeat(129) }],
    ['another media type', good, { 'Content-Type': 'text/plain' }],
  ])) {
    const answer = await postEvent(bff, browser, body, headers);
    assert.ok(answer.status >= 400 && answer.status < 500, `${why}: ${answer.status}`);
  }
  assert.equal(bff.bridge.seen.length, passed, 'a rejected event is not forwarded');
}

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
    id: 'S136',
    title: 'malformed headers, cookies and escapes: rejected, never a server error',
    async attack(bff) {
      const { browser } = await bff.signedIn(bff.apiRealm);
      const names = [
        'Authorization',
        'Content-Type',
        'Cookie',
        'Origin',
        'Accept',
        'Sec-Fetch-Site',
        ...Object.keys(bff.csrf),
        'Last-Event-ID',
        'Idempotency-Key',
        'traceparent',
        'Range',
        'If-None-Match',
        'Accept-Encoding',
        'Content-Encoding',
        'User-Agent',
        'Accept-Language',
      ];
      const targets = [
        ['GET', bff.path.session],
        ['POST', bff.path.event],
        ['GET', bff.profile.api.prefix + bff.profile.api.own],
        ['GET', bff.path.login(bff.realms.oidc.id, '/')],
        ['POST', bff.path.logout],
      ];
      const attempts = targets.flatMap(([method = '', target = '']) =>
        names
          .filter((name) => target !== bff.path.logout || name === 'Cookie')
          .flatMap((name) => malformedValues.map((value) => ({ method, target, name, value }))),
      );
      await concurrently(attempts, async ({ method, target, name, value }) => {
        const answer = await (target === bff.path.logout ? bff.browser() : browser.copy()).call(target, {
          method,
          headers: { [name]: value },
          ...(method === 'POST' && { body: '{' }),
        });
        assert.ok(
          answer.status > 0 && answer.status < 500,
          `${name}: ${JSON.stringify(value.slice(0, 40))} at ${target}: ${answer.status} ${answer.text.slice(0, 200)}`,
        );
      });
      for (const query of malformedValues) {
        for (const target of [
          bff.path.callback(bff.realms.oidc.id),
          bff.path.login(bff.realms.oidc.id).split('?')[0],
        ]) {
          const answer = await browser
            .copy()
            .visit(
              `${target}?state=${encodeURIComponent(query)}&code=${query.replace(/[^!-~]/g, '')}&return_to=${query.replace(/[^!-~]/g, '')}`,
            );
          assert.ok(answer.status < 500, `${target} ${query}: ${answer.status}`);
        }
      }
      assert.ok(await bff.user(browser));
    },
  },
  {
    id: 'S136',
    title: 'the same at endpoints for servers and its own pages, and in place of a name',
    async attack(bff) {
      const { browser } = await bff.signedIn(bff.apiRealm);
      await assertMalformedHeadersRejected(bff, browser);
      await assertMalformedNamesRejected(bff, browser);
      assert.ok(await bff.user(browser));
    },
  },
  {
    id: 'S139',
    title: 'event that names another user as its subject: ignored; malformed events are rejected',
    async attack(bff) {
      const { browser, user } = await bff.signedIn(bff.apiRealm);
      bff.bridge.answer = () => ({ status: 202, headers: { 'content-type': 'application/json' }, body: '{}' });
      await assertSubjectIgnored(bff, browser, user);
      await assertMalformedEventsRejected(bff, browser);
    },
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
