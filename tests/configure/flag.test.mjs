// Wrong input: the message names the flag, and nothing is written.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { SPIN, WORKERS, folder, provider } from './run.mjs';

const KEYCLOAK = ['--provider', 'keycloak', '--issuer', 'https://id.example.com/realms/main'];

/** @type {[string, readonly string[], RegExp][]} */
const CASES = [
  ['an unknown flag', [...WORKERS, '--domian', 'x'], /'--domian'/],
  ['a word without a flag', [...WORKERS, 'keycloak'], /'keycloak' is no flag/],
  ['nothing', ['--yes'], /--domain, --bridge-url, --kafka-brokers, --provider/],
  ['no Redis on Spin', [...WORKERS, '--runtime', 'spin', ...KEYCLOAK], /--redis-address/],
  ['a domain with a path', [...WORKERS, '--domain', 'chat.example.com/x', ...KEYCLOAK], /--domain must be a host name/],
  ['a runtime that is none', [...WORKERS, '--runtime', 'deno', ...KEYCLOAK], /--runtime must be one of workers, spin/],
  [
    'a host page without TLS',
    [...WORKERS, '--host-page', 'http://www.example.com', ...KEYCLOAK],
    /--host-page must be an origin/,
  ],
  [
    'a bridge with a path',
    [...WORKERS, '--bridge-url', 'https://b.example.com/v1', ...KEYCLOAK],
    /--bridge-url must be an origin/,
  ],
  [
    'brokers without a port',
    [...WORKERS, '--kafka-brokers', 'kafka', ...KEYCLOAK],
    /--kafka-brokers must be host:port/,
  ],
  ['a provider that is none', [...WORKERS, '--provider', 'myspace'], /--provider must be one of entra, github/],
  ["a provider's flag before it", [...WORKERS, '--client-id', 'x', ...KEYCLOAK], /--client-id must come after/],
  ["another provider's flag", [...WORKERS, ...KEYCLOAK, '--tenant', 'x'], /--tenant is not for keycloak/],
  ['no issuer', [...WORKERS, '--provider', 'okta', '--client-id', 'x'], /--issuer \(of --provider okta\)/],
  [
    'an issuer without its slash',
    [...WORKERS, '--provider', 'auth0', '--issuer', 'https://x.auth0.com'],
    /--issuer must be like/,
  ],
  ['no tenant', [...WORKERS, '--provider', 'entra', '--client-id', 'x'], /--tenant \(of --provider entra\)/],
  ['a provider twice', [...WORKERS, ...KEYCLOAK, ...KEYCLOAK], /--id must differ/],
  [
    'a file that is not there',
    [...WORKERS, ...KEYCLOAK, '--client-secret-file', '/nowhere'],
    /--client-secret-file: .*ENOENT/,
  ],
  ['a secret by --set', [...WORKERS, ...KEYCLOAK, '--set', 'BRIDGE_KEYS=k1:x'], /--set BRIDGE_KEYS: that is a secret/],
  [
    "the bridge's secret by --set",
    [...WORKERS, ...KEYCLOAK, '--set', 'KAFKA_SASL_PASSWORD=hunter2'],
    /that is a secret/,
  ],
  ["the bridge's key by --set", [...WORKERS, ...KEYCLOAK, '--set', 'BRIDGE_LISTEN=hunter2'], /use --set-bridge/],
  ["the edge's key by --set-bridge", [...WORKERS, ...KEYCLOAK, '--set-bridge', 'CHANNELS=hunter2'], /use --set\n/],
  ['an unknown key', [...WORKERS, ...KEYCLOAK, '--set', 'SESION_HOURS=hunter2'], /SESION_HOURS: that is no key/],
  ['a control character', [...WORKERS, ...KEYCLOAK, '--set', 'GITHUB_ALLOW=hunter2\x7f'], /--set must be KEY=VALUE/],
  ['a line break', [...WORKERS, ...KEYCLOAK, '--set', 'GITHUB_ALLOW=hunter2\nX=1'], /--set must be KEY=VALUE/],
  [
    'a key without its app',
    [...WORKERS, ...KEYCLOAK, '--github-app-key-file', import.meta.filename],
    /GITHUB_APP_ID=ID/,
  ],
  [
    'a private key in place of its path',
    [...WORKERS, ...KEYCLOAK, '--set-bridge', 'KAFKA_SSL_KEY=hunter2'],
    /KAFKA_SSL_KEY: here it must be the path/,
  ],
  ['an empty value', [...WORKERS, ...KEYCLOAK, '--set', 'EMBED='], /EMBED has no value; --unset EMBED/],
  ['an --unset of a secret', [...WORKERS, ...KEYCLOAK, '--unset', 'client-secret-file'], /a secret is only replaced/],
  ['an --unset of no flag', [...WORKERS, ...KEYCLOAK, '--unset', 'constructor'], /a flag's name such as cross-site/],
  [
    "an --unset of a provider's flag before it",
    [...WORKERS, '--unset', 'audience', ...KEYCLOAK],
    /--unset audience must come after the --provider/,
  ],
  [
    "an --unset of a new provider's flag",
    [...WORKERS, ...KEYCLOAK, '--unset', 'audience'],
    /--unset audience: no earlier/,
  ],
  ['an --unset of nothing', [...WORKERS, ...KEYCLOAK, '--unset', 'SESSION_HOURS'], /--unset SESSION_HOURS/],
  ['the id of Entra ID', [...WORKERS, ...KEYCLOAK, '--id', 'entra'], /--id must be .* not entra or github/],
  ['a password without SASL', [...WORKERS, ...KEYCLOAK, '--kafka-user', 'x'], /--kafka-user needs --kafka-security/],
  [
    'SASL without a user',
    [...WORKERS, ...KEYCLOAK, '--kafka-security', 'SASL_SSL', '--kafka-mechanism', 'PLAIN'],
    /--kafka-user/,
  ],
  ["the other runtime's flag", [...WORKERS, ...KEYCLOAK, '--redis-user', 'x'], /--redis-user is for --runtime spin/],
  ["Workers' flag on Spin", [...SPIN, ...KEYCLOAK, '--jurisdiction', 'eu'], /--jurisdiction is for --runtime workers/],
  ['a ring that is none', [...WORKERS, ...KEYCLOAK, '--rotate', 'all'], /--rotate must be session or bridge/],
  ['a provider that is not there', [...WORKERS, ...KEYCLOAK, '--without-provider', 'okta'], /--without-provider okta/],
  ['a rotation of nothing', [...WORKERS, ...KEYCLOAK, '--rotate', 'session'], /--rotate: there are no keys/],
];

for (const [name, args, message] of CASES) {
  test(`${name} is refused`, (context) => {
    const at = folder(context);
    const { status, stdout, stderr } = at.run(args);
    assert.equal(status, 2, stderr);
    assert.match(stderr, message);
    assert.match(stderr, /^configure: .*\n$/, 'one line');
    assert.ok(!stderr.includes('hunter2'));
    assert.equal(stdout, '');
    assert.ok(!existsSync(at.out));
  });
}

test('more hosts than spin.toml has entries for are refused', (context) => {
  const at = folder(context);
  const hosts = Array.from({ length: 8 }, (_, index) => ['--outbound-host', `https://api-${index}.example.com`]).flat();
  const { status, stderr } = at.run([...SPIN, ...provider(at, 'keycloak'), ...hosts]);
  assert.equal(status, 2);
  assert.match(stderr, /--outbound-host and --endpoint: 9 hosts/);
});

test('a secret that no quotes hold is refused and not shown', (context) => {
  const at = folder(context);
  const kafka = ['--kafka-security', 'SASL_SSL', '--kafka-mechanism', 'PLAIN', '--kafka-user', 'x'];
  const { status, stderr } = at.run([
    ...WORKERS,
    ...KEYCLOAK,
    ...kafka,
    '--kafka-password-file',
    at.secretFile("it's $5"),
  ]);
  assert.equal(status, 2);
  assert.match(stderr, /KAFKA_SASL_PASSWORD has quotes of both kinds/);
  assert.ok(!stderr.includes('$5'));
});

test('answers that end too early are refused', (context) => {
  const at = folder(context);
  const { status, stderr } = at.run([], 'workers\n');
  assert.equal(status, 2);
  assert.match(stderr, /the answers ended/);
});

test('a secret in a damaged file is not shown', (context) => {
  const at = folder(context);
  const file = at.secretFile('{"client_secret": "5d0c8b3f9a6e27145d0c8b3f9a6e2714f00dcafe", oops');
  const { status, shown } = at.run([...WORKERS, '--provider', 'github', '--github-app-file', file]);
  assert.equal(status, 2);
  assert.match(shown, /--github-app-file/);
  assert.doesNotMatch(shown, /5d0c8b3f/);
});

test("somebody else's folder is refused and stays as it is", (context) => {
  const at = folder(context);
  mkdirSync(at.out, { mode: 0o755 });
  writeFileSync(join(at.out, '.gitignore'), 'own\n');
  const { status, stderr } = at.run([...WORKERS, ...KEYCLOAK]);
  assert.equal(status, 2);
  assert.match(stderr, /--out: .* no answers\.json/);
  assert.equal(at.read('.gitignore'), 'own\n');
  assert.deepEqual(readdirSync(at.out), ['.gitignore']);
  assert.equal(statSync(at.out).mode & 0o777, 0o755);
});

test('a password that would be more of a Redis command is refused and not shown', (context) => {
  const at = folder(context);
  const { status, shown } = at.run([
    ...[...SPIN, ...KEYCLOAK, '--redis-password-file', at.secretFile('hunter2 ~* +@all')],
  ]);
  assert.equal(status, 2);
  assert.match(shown, /--redis-password-file: .* letters, digits/);
  assert.ok(!shown.includes('hunter2'));
  assert.ok(!existsSync(at.out));
});

test('a secret that an older version took by --set is not used again', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...KEYCLOAK]);
  const old = JSON.parse(at.read('answers.json'));
  old.values.set = ['KAFKA_SASL_PASSWORD=hunter2'];
  writeFileSync(join(at.out, 'answers.json'), JSON.stringify(old));
  const { status, shown } = at.run(['--yes']);
  assert.equal(status, 2);
  assert.match(shown, /--unset KAFKA_SASL_PASSWORD/);
  assert.ok(!shown.includes('hunter2'));
  assert.equal(at.run(['--yes', '--unset', 'KAFKA_SASL_PASSWORD']).status, 0);
  assert.ok(!at.read('answers.json').includes('hunter2'));
});
