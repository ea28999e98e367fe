// Section I: configuration that is wrong, input that is malformed, events that pretend.

import assert from 'node:assert/strict';

import { CannotRun } from '../bff.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {Record<string, string | undefined>} Variables */

/** With such settings nothing is served, and the log names the key but not the value. @param {Bff} bff @param {Variables} variables @param {string} key */
async function closed(bff, variables, key) {
  await bff.restarted(variables, async () => {
    const logged = bff.running?.log().length ?? 0;
    for (const path of [bff.path.home, bff.path.session, bff.path.login(bff.realms.oidc.id, '/'), bff.path.callback(bff.realms.oidc.id), bff.profile.api.prefix + bff.profile.api.own, bff.path.stream, '/readyz', '/assets/chat-widget.js']) {
      const answer = await bff.browser().call(path);
      assert.ok(answer.status >= 500, `${key}: ${path} answers ${answer.status}`);
      assert.ok(!answer.text.includes(key), `${key} is told to visitors`);
    }
    const log = bff.running?.log().slice(logged - 2_000 > 0 ? logged - 2_000 : 0) ?? '';
    assert.ok(log.includes(key), `${key} is not named in the log`);
    const value = variables[key] ?? '';
    if (value.length > 20) assert.ok(!log.includes(value.slice(5)), `the value of ${key} is in the log`);
  }, true);
}

const weak = (/** @type {number} */ bytes) => `weak:${Buffer.alloc(bytes, 'k').toString('base64url')}`;

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S134',
    title: 'wrong configuration closes every route',
    async attack(bff) {
      await closed(bff, { ENTRA_TENANT: 'not-a-tenant' }, 'ENTRA_TENANT');
      await closed(bff, { GRAPH_ALLOW: 'GET me, DROP /x' }, 'GRAPH_ALLOW');
      await closed(bff, { REVOCATION_BOUND_SECONDS: 'never' }, 'REVOCATION_BOUND_SECONDS');
      await closed(bff, { OIDC_PROVIDERS: '{"broken' }, 'OIDC_PROVIDERS');
    },
  },
  {
    id: 'S135',
    title: 'unknown fields, weak secrets and plain HTTP refuse the start',
    async attack(bff) {
      const running = bff.needs(bff.running, 'running BFF');
      await closed(bff, { SESSION_KEYS: weak(16) }, 'SESSION_KEYS');
      await closed(bff, { SESSION_KEYS: weak(32) }, 'SESSION_KEYS');
      const providers = JSON.parse(running.settings.OIDC_PROVIDERS ?? '[]');
      await closed(bff, { OIDC_PROVIDERS: JSON.stringify(providers.map((/** @type {object} */ provider) => ({ ...provider, pkce: false }))) }, 'OIDC_PROVIDERS');
      await closed(bff, { OIDC_PROVIDERS: JSON.stringify([{ ...providers[0], issuer: 'http://login.example' }]) }, 'OIDC_PROVIDERS');
      await closed(bff, { DEVELOPMENT: undefined }, 'PUBLIC_ORIGIN');
    },
  },
  {
    id: 'S104',
    title: 'API at a private or metadata address',
    async attack(bff) {
      const service = (/** @type {string} */ url) => ({ SERVICES: JSON.stringify([{ name: 'inner', url, provider: 'entra', allow: ['GET /x'] }]) });
      for (const url of ['https://10.0.0.1', 'https://169.254.169.254/latest', 'https://[fd00::1]', 'https://[::ffff:10.0.0.1]', 'https://metadata.google.internal', 'http://api.example']) {
        await closed(bff, service(url), 'SERVICES');
      }
    },
  },
  {
    id: 'S136',
    title: 'malformed headers, cookies and escapes: refused, never an error of the server',
    async attack(bff) {
      const { browser } = await bff.signedIn(bff.apiRealm);
      const junk = ['', ' ', '=', ';', ';;;===', '%', '%zz', '%00', '"', '\\', '{}', '[]', 'null', 'Bearer', 'Bearer ', 'Basic ====', '\u00ff\u00fe', 'a=b=c; =; =x; x', 'x'.repeat(7_000), '-1', '1e999', '../..', 'application/json; charset="', 'multipart/form-data', ';q=', 'bytes=0-18446744073709551616', 'gzip;q=nan'];
      const names = ['Authorization', 'Content-Type', 'Cookie', 'Origin', 'Accept', 'Sec-Fetch-Site', 'X-CSRF', 'Last-Event-ID', 'Idempotency-Key', 'traceparent', 'Range', 'If-None-Match', 'Accept-Encoding', 'Content-Encoding', 'User-Agent', 'Accept-Language'];
      const targets = [['GET', bff.path.session], ['POST', bff.path.event], ['GET', bff.profile.api.prefix + bff.profile.api.own], ['GET', bff.path.login(bff.realms.oidc.id, '/')], ['POST', bff.path.logout]];
      for (const [method, target] of targets) {
        for (const name of names) {
          if (target === bff.path.logout && name !== 'Cookie') continue;
          for (const value of junk) {
            const answer = await (target === bff.path.logout ? bff.browser() : browser.copy()).call(target ?? '', { method, headers: { [name]: value }, ...(method === 'POST' && { body: '{' }) });
            assert.ok(answer.status < 500, `${name}: ${JSON.stringify(value.slice(0, 40))} at ${target}: ${answer.status} ${answer.text.slice(0, 200)}`);
          }
        }
      }
      for (const query of junk) {
        for (const target of [bff.path.callback(bff.realms.oidc.id), bff.path.login(bff.realms.oidc.id).split('?')[0]]) {
          const answer = await browser.copy().visit(`${target}?state=${encodeURIComponent(query)}&code=${query.replace(/[^!-~]/g, '')}&return_to=${query.replace(/[^!-~]/g, '')}`);
          assert.ok(answer.status < 500, `${target} ${query}: ${answer.status}`);
        }
      }
      assert.ok(await bff.user(browser));
    },
  },
  {
    id: 'S139',
    title: 'event that claims to be of somebody else: what it claims is ignored, what is malformed refused',
    async attack(bff) {
      const { browser, user } = await bff.signedIn(bff.apiRealm);
      bff.bridge.answer = () => ({ status: 202, headers: { 'content-type': 'application/json' }, body: '{}' });
      const claims = { subject: 'evil:admin', tenant: 'evil', user: 'admin', key: 'evil:admin', partition: 3, topic: 'other', channel: 'other', id: 'known', source: 'evil', time: '1970-01-01T00:00:00Z', headers: { ce_subject: 'evil' }, ce_subject: 'evil' };
      const post = (/** @type {unknown} */ body, /** @type {Record<string, string | string[] | undefined>} */ headers = {}) =>
        browser.call(bff.path.event, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: typeof body === 'string' ? body : JSON.stringify(body) });
      const before = bff.bridge.seen.length;
      await post({ type: 'message', data: { text: 'x' }, ...claims }, { 'ce-subject': 'evil:admin', 'X-Subject': 'evil', 'X-Causeway-Subject': 'evil', 'kafka-key': 'evil' });
      const sent = bff.bridge.seen.slice(before).filter(({ path }) => path.startsWith('/v1/events'));
      assert.equal(sent.length, 1, 'it is passed on');
      const envelope = { ...JSON.parse(sent[0]?.body ?? '{}'), data: undefined };
      const said = JSON.stringify(envelope) + JSON.stringify(sent[0]?.rawHeaders);
      assert.ok(!/evil|admin|1970|"known"|other/.test(said), said);
      const [tenant = '', id = ''] = user.split(':');
      assert.ok(said.includes(tenant) && said.includes(id), 'it is of the user who is signed in');
      const passed = bff.bridge.seen.length;
      const good = { type: 'message', data: {} };
      for (const [why, body, headers] of /** @type {[string, unknown, Record<string, string>][]} */ ([
        ['oversize', { type: 'message', data: { text: 'x'.repeat(70 * 1024) } }, {}], ['no JSON', 'x', {}], ['a list', [], {}], ['null', 'null', {}], ['no data', { type: 'message' }, {}], ['a line break in the type', { type: 'a\r\nce_subject: evil', data: {} }, {}], ['a type of its own', { type: { a: 1 }, data: {} }, {}],
        ['a duplicate type', '{"type":"a","type":"b","data":{}}', {}], ['something after it', '{"type":"a","data":{}}{}', {}], ['NUL in the type', { type: 'a\u0000', data: {} }, {}], ['a key too long', good, { 'Idempotency-Key': 'x'.repeat(129) }], ['another media type', good, { 'Content-Type': 'text/plain' }],
      ])) {
        const answer = await post(body, headers);
        assert.ok(answer.status >= 400 && answer.status < 500, `${why}: ${answer.status}`);
      }
      assert.equal(bff.bridge.seen.length, passed, 'what is refused is not passed on');
    },
  },
  {
    id: 'S146',
    title: 'tokens cannot be checked: nobody signs in',
    async attack(bff) {
      if (!bff.running) throw new CannotRun('needs a BFF that the suite can restart');
      const realm = await bff.fresh();
      for (const [why, lies] of /** @type {[string, import('../provider/realm.mjs').Lies][]} */ ([
        ['no keys to be had', { keys: () => ({ status: 500, body: 'x' }) }],
        ['a key set that answers with a page', { keys: () => ({ status: 200, headers: { 'content-type': 'text/html' }, body: '<html>' }) }],
        ['no ID token', { idToken: () => undefined }],
      ])) {
        realm.lies = lies;
        const browser = bff.browser();
        await bff.refused(browser, () => bff.signIn(browser, realm), { realm, redeems: true, status: [400, 502, 503], why });
      }
      const providers = JSON.parse(bff.running.settings.OIDC_PROVIDERS ?? '[]');
      for (const missing of ['issuer', 'client_id']) {
        await closed(bff, { OIDC_PROVIDERS: JSON.stringify([{ ...providers[0], [missing]: undefined }]) }, 'OIDC_PROVIDERS');
      }
      await closed(bff, { OIDC_CLIENT_SECRETS: '{}' }, 'OIDC_CLIENT_SECRETS');
      await closed(bff, { SESSION_KEYS: undefined }, 'SESSION_KEYS');
    },
  },
];
