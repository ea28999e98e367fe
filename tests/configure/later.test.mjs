// A later run: what an operator or an earlier run has set stays, and what is taken back ends.

import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { BRIDGE_KEYS, BRIDGE_WRITTEN, EDGE_KEYS, EDGE_SECRETS } from '../../scripts/configuration/key.mjs';
import { ROOT, SPIN, WORKERS, folder, provider } from './run.mjs';

/** @param {ReturnType<typeof folder>} at @param {string} name @param {string} text */
const put = (at, name, text) => writeFileSync(join(at.out, name), text);
const PEM = '-----BEGIN RSA PRIVATE KEY-----\nMIIEexample\n-----END RSA PRIVATE KEY-----';

test('secrets that an operator added stay', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra'), ...provider(at, 'keycloak')]);
  const jwk = { kty: 'RSA', kid: 'one', d: 'x' };
  const { ENTRA_CLIENT_SECRET: old, ...rest } = at.secrets();
  assert.ok(old);
  const clients = JSON.stringify({ ...JSON.parse(rest.OIDC_CLIENT_SECRETS ?? ''), keycloak: jwk, other: 'text' });
  const added = { ENTRA_CLIENT_KEY: '{"kty":"RSA"}', GITHUB_APP_KEY: 'PEM', OIDC_CLIENT_SECRETS: clients };
  put(at, 'secrets.json', JSON.stringify({ ...rest, ...added }));
  const { status, shown } = at.run(['--yes']);
  assert.equal(status, 0, shown);
  assert.ok(!/lacks its client secret/.test(shown), shown);
  const after = at.secrets();
  assert.equal(after.ENTRA_CLIENT_KEY, added.ENTRA_CLIENT_KEY);
  assert.equal(after.GITHUB_APP_KEY, 'PEM');
  assert.equal(after.SESSION_KEYS, rest.SESSION_KEYS);
  assert.deepEqual(JSON.parse(after.OIDC_CLIENT_SECRETS ?? ''), { keycloak: jwk, other: 'text' });
});

test('lines that an operator added to the bridge stay', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra'), '--channel', 'chat']);
  const signed = { name: 'chat', outbound: 'a.b', signature: { algorithm: 'hmac-sha256', keys: { k1: 'x' } } };
  const lines = at.read('bridge.env').replace(/^BRIDGE_CHANNELS=.*$/m, `BRIDGE_CHANNELS='${JSON.stringify([signed])}'`);
  put(at, 'bridge.env', `${lines}OTEL_SERVICE_NAME=chat\nKAFKA_SSL_KEY=/key.pem\n`);
  const { status, shown } = at.run(['--yes', '--channel', 'chat', '--channel', 'ops']);
  assert.equal(status, 0, shown);
  const bridge = at.env('bridge.env');
  assert.equal(bridge.OTEL_SERVICE_NAME, 'chat');
  assert.equal(bridge.KAFKA_SSL_KEY, '/key.pem');
  assert.deepEqual(JSON.parse(bridge.BRIDGE_CHANNELS ?? ''), [
    signed,
    { name: 'ops', inbound: 'ops.inbound', outbound: 'ops.outbound' },
  ]);
});

test('keys are taken from files, in place of secrets', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra')]);
  const { status, shown } = at.run([
    ...['--yes', '--set', 'GITHUB_APP_ID=123', '--github-app-key-file', at.secretFile(PEM)],
    ...['--provider', 'entra', '--entra-client-key-file', at.secretFile('{"kty":\n"RSA"}')],
  ]);
  assert.equal(status, 0, shown);
  const secrets = at.secrets();
  assert.equal(secrets.GITHUB_APP_KEY, PEM.replaceAll('\n', '\\n'));
  assert.equal(secrets.ENTRA_CLIENT_KEY, '{"kty": "RSA"}');
  assert.equal(secrets.ENTRA_CLIENT_SECRET, undefined);
  assert.ok(at.read('NEXT-STEPS.md').includes('npx wrangler secret delete ENTRA_CLIENT_SECRET\n'));
  at.run(['--yes', '--unset', 'GITHUB_APP_ID']);
  assert.equal(at.secrets().GITHUB_APP_KEY, undefined);
});

test('--set adds to those of earlier runs, and --unset ends one', (context) => {
  const at = folder(context);
  at.run([
    ...[...WORKERS, ...provider(at, 'entra'), '--set', 'SESSION_HOURS=8', '--set', 'EVENTS_PER_MINUTE=60'],
    ...['--set-bridge', 'BRIDGE_ADMIN_LISTEN=127.0.0.1:8791', '--set-bridge', 'RUST_LOG=debug'],
  ]);
  assert.equal(at.run(['--yes', '--set', 'SESSION_HOURS=9', '--set-bridge', 'RUST_LOG=info']).status, 0);
  assert.match(at.read('vars.toml'), /^SESSION_HOURS = "9"$/m);
  assert.match(at.read('vars.toml'), /^EVENTS_PER_MINUTE = "60"$/m);
  assert.ok(!/BRIDGE_ADMIN/.test(at.read('vars.toml')));
  assert.equal(at.env('bridge.env').BRIDGE_ADMIN_LISTEN, '127.0.0.1:8791');
  assert.equal(at.env('bridge.env').RUST_LOG, 'info');

  assert.equal(at.run(['--yes', '--unset', 'SESSION_HOURS', '--unset', 'BRIDGE_ADMIN_LISTEN']).status, 0);
  assert.match(at.read('vars.toml'), /^SESSION_HOURS = ""$/m);
  assert.match(at.read('vars.toml'), /^EVENTS_PER_MINUTE = "60"$/m);
  assert.equal(at.env('bridge.env').BRIDGE_ADMIN_LISTEN, undefined);
  assert.match(at.run(['--yes', '--unset', 'SESSION_HOURS']).stderr, /--unset SESSION_HOURS: no earlier run/);
});

test('--unset takes back what a flag has answered', (context) => {
  const at = folder(context);
  const kafka = ['--kafka-security', 'SASL_SSL', '--kafka-mechanism', 'OAUTHBEARER', '--kafka-client-id', 'x'];
  at.run([
    ...[...WORKERS, '--cross-site', '--jurisdiction', 'eu', '--channel', 'ops', ...kafka],
    ...['--kafka-token-url', 'https://id.example.com/token', '--kafka-scope', 'kafka'],
    ...[...provider(at, 'entra'), '--group', '5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90'],
    ...[...provider(at, 'auth0'), '--audience', 'api', '--no-refresh-retry', '--scope', 'openid'],
  ]);
  const before = at.read('vars.toml');
  for (const form of [/^EMBED = "cross-site"$/m, /"audience\\":\\"api\\"/, /retry_lost_refresh/])
    assert.match(before, form);
  const names = ['cross-site', 'jurisdiction', 'channel', 'kafka-scope', 'host-page'];
  const { status, shown } = at.run([
    ...['--yes', ...names.flatMap((name) => ['--unset', name])],
    ...['--provider', 'entra', '--unset', 'group'],
    ...['--provider', 'auth0', '--unset', 'audience', '--unset', 'no-refresh-retry', '--unset', 'scope'],
  ]);
  assert.equal(status, 0, shown);
  const after = at.read('vars.toml');
  for (const key of ['EMBED', 'JURISDICTION', 'CHANNELS', 'HOST_ORIGINS', 'ENTRA_GROUPS'])
    assert.match(after, new RegExp(`^${key} = ""$`, 'm'));
  assert.doesNotMatch(after, /audience|retry_lost/);
  assert.match(after, /"scopes\\":\[\\"openid\\",\\"profile\\"/, "the preset's");
  assert.equal(at.env('bridge.env').KAFKA_SASL_SCOPE, undefined);
  assert.deepEqual(JSON.parse(at.env('bridge.env').BRIDGE_CHANNELS ?? ''), [
    { name: 'chat', inbound: 'chat.inbound', outbound: 'chat.outbound' },
  ]);
  // The rest is as it was.
  assert.match(after, /^ENTRA_CLIENT_ID = "/m);
  assert.equal(at.env('bridge.env').KAFKA_SASL_CLIENT_ID, 'x');
  assert.match(at.run(['--yes', '--unset', 'cross-site']).stderr, /--unset cross-site: no earlier run has set it/);
  assert.match(at.run(['--yes', '--unset', 'domain']).stderr, /--yes needs --domain/);
});

test('a second run asks for what is still missing, and for that only', (context) => {
  const at = folder(context);
  const kafka = ['--kafka-security', 'SASL_SSL', '--kafka-mechanism', 'PLAIN', '--kafka-user', 'causeway'];
  const id = ['--provider', 'okta', '--client-id', 'one', '--issuer', 'https://example.okta.com/oauth2/default'];
  at.run([...WORKERS, ...kafka, '--provider', 'github', ...id, ...provider(at, 'entra')]);
  const before = at.secrets();
  const answers = [
    'Iv23example',
    'gh-3fJq8Zt1Lw6Yb2Xr9Vn4Cp7Dm5Gs0Hk',
    'ok-3fJq8Zt1Lw6Yb2Xr9Vn4Cp7Dm5Gs0Hk',
    'kafka-word',
  ];
  const { status, stdout, stderr } = at.run([], `${answers.join('\n')}\n`);
  assert.equal(status, 0, stderr);
  assert.deepEqual(
    [...stderr.matchAll(/(\w+: client (?:id|secret)|The user's password)/g)].map(String).map((it) => it.split(',')[0]),
    ['GitHub: client id', 'GitHub: client secret', 'Okta: client secret', "The user's password"],
  );
  assert.doesNotMatch(stderr, /Domain|Identity provider|Runtime|lacks/);
  assert.match(at.read('vars.toml'), /^GITHUB_CLIENT_ID = "Iv23example"$/m);
  const after = at.secrets();
  assert.equal(after.GITHUB_CLIENT_SECRET, answers[1]);
  assert.deepEqual(JSON.parse(after.OIDC_CLIENT_SECRETS ?? ''), { okta: answers[2] });
  assert.equal(at.env('bridge.env').KAFKA_SASL_PASSWORD, answers[3]);
  assert.equal(after.SESSION_KEYS, before.SESSION_KEYS);
  for (const secret of answers.slice(1)) assert.ok(!(stdout + stderr).includes(secret));

  const third = at.run([]);
  assert.equal(third.status, 0, third.stderr);
  assert.match(third.stderr, /nothing is left to ask; .*--unset/);
  assert.deepEqual(at.secrets(), after);
});

test('what is still missing may be left open again', (context) => {
  const at = folder(context);
  at.run([...WORKERS, '--provider', 'github']);
  const { status, stderr } = at.run([]);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /GitHub: client id \(empty: not registered yet\)/);
  assert.match(stderr, /github is left out until it has a --client-id/);
});

test('an answer that was taken back is asked for', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra')]);
  const { status, stderr } = at.run(
    ['--unset', 'domain', '--set', 'SESSION_HOURS=8'],
    'talk.example.com\n\nPLAINTEXT\n',
  );
  assert.equal(status, 0, stderr);
  assert.match(at.read('vars.toml'), /^PUBLIC_ORIGIN = "https:\/\/talk\.example\.com"$/m);
  assert.match(at.read('vars.toml'), /^SESSION_HOURS = "8"$/m);
});

test('a provider that is left out ends on Workers, where a deployment keeps what is not named', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra'), ...provider(at, 'keycloak')]);
  at.run(['--yes', '--without-provider', 'keycloak']);
  // Also when the run is repeated before the deployment.
  const { status, shown } = at.run(['--yes']);
  assert.equal(status, 0, shown);
  assert.match(at.read('vars.toml'), /^OIDC_PROVIDERS = ""$/m);
  assert.equal(at.secrets().OIDC_CLIENT_SECRETS, undefined);
  assert.ok(at.read('NEXT-STEPS.md').includes('npx wrangler secret delete OIDC_CLIENT_SECRETS\n'));
  at.run(['--yes', ...provider(at, 'keycloak')]);
  assert.doesNotMatch(at.read('vars.toml'), /^OIDC_PROVIDERS = ""$/m);
  assert.doesNotMatch(at.read('NEXT-STEPS.md'), /secret delete/);
});

test('the manifest to deploy can be made again, and is no file of Git', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra')]);
  const steps = at.read('NEXT-STEPS.md');
  assert.ok(steps.includes(`cat wrangler.toml ${at.out}/vars.toml >wrangler.deploy.toml\n`));
  assert.ok(steps.includes('wrangler deploy --config wrangler.deploy.toml\n'));
  assert.match(readFileSync(join(ROOT, '.gitignore'), 'utf8'), /^\/wrangler\.deploy\.toml$/m);
  assert.doesNotMatch(readFileSync(join(ROOT, 'wrangler.toml'), 'utf8'), /^\[vars\]/m);
});

test("an id keeps its provider's kind", (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'keycloak')]);
  const before = at.read('answers.json');
  const other = ['--provider', 'okta', '--id', 'keycloak', '--issuer', 'https://example.okta.com/oauth2/default'];
  const { status, stderr } = at.run(['--yes', ...other]);
  assert.equal(status, 2);
  assert.match(stderr, /the id keycloak is that of keycloak/);
  assert.equal(at.read('answers.json'), before);
});

test("--force ends Redis's password of before", (context) => {
  const at = folder(context);
  at.run([...SPIN, ...provider(at, 'entra')]);
  assert.doesNotMatch(at.read('redis.acl'), /resetpass/);
  at.run(['--yes', '--force']);
  assert.match(at.read('redis.acl'), /^ACL SETUSER causeway on resetpass >[\w-]{43} ~causeway/);
});

test("a GitHub App's private key is kept for services", (context) => {
  const at = folder(context);
  const app = { id: 4711, client_id: 'Iv23example', client_secret: 'f'.repeat(40), pem: `${PEM}\n` };
  const file = at.secretFile(JSON.stringify(app));
  const first = at.run([...WORKERS, '--provider', 'github', '--github-app-file', file]);
  assert.equal(first.status, 0, first.shown);
  assert.ok(!(first.shown + at.read('answers.json')).includes('MIIEexample'));
  assert.equal(at.secrets().GITHUB_APP_KEY, undefined);
  at.run(['--yes']);
  assert.equal(at.read('github-app-key.pem'), `${PEM}\n`);
  assert.equal(statSync(join(at.out, 'github-app-key.pem')).mode & 0o777, 0o600);

  const [, command = ''] = /^ {4}\.\/scripts\/configure (.*)$/m.exec(at.read('NEXT-STEPS.md')) ?? [];
  assert.equal(at.run(command.split(' ')).status, 0);
  assert.match(at.read('vars.toml'), /^GITHUB_APP_ID = "4711"$/m);
  assert.equal(at.secrets().GITHUB_APP_KEY, PEM.replaceAll('\n', '\\n'));
});

test('the names of settings are those of the manual', () => {
  const page = readFileSync(join(ROOT, 'docs/configuration.md'), 'utf8');
  const [edge = '', bridge = ''] = page.slice(page.indexOf('\n## Edge\n')).split('\n## kafka-bridge\n');
  const keys = (/** @type {string} */ part) =>
    [...part.matchAll(/^\| (`[A-Z][A-Z_0-9]+`.*?) \| /gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([A-Z][A-Z_0-9]+)`/g)].map(([, name = '']) => name),
    );
  const isFree = (/** @type {string} */ name) => name.startsWith('OUTBOUND_HOST_') || name === 'OTEL_';
  assert.deepEqual(
    keys(edge)
      .filter((name) => !isFree(name))
      .sort(),
    [...EDGE_KEYS, ...EDGE_SECRETS].sort(),
  );
  assert.deepEqual(
    keys(bridge)
      .filter((name) => !isFree(name))
      .sort(),
    [...BRIDGE_KEYS, ...BRIDGE_WRITTEN].sort(),
  );
});
