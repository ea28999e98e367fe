// Section I: malformed input and forged events.

import assert from 'node:assert/strict';

import { concurrently } from '../concurrently.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../../support/browser.mjs').Browser} Browser */

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
];
