// From flags and answers to files.

import assert from 'node:assert/strict';
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { ROOT, SPIN, WORKERS, folder, provider } from './run.mjs';

const page = (/** @type {string} */ name) => readFileSync(join(ROOT, name), 'utf8');

const KEY = /^k1:[\w-]{43}$/;

test('writes what a deployment on Workers needs', (context) => {
  const at = folder(context);
  const { status, shown } = at.run([...WORKERS, ...provider(at, 'entra'), ...provider(at, 'keycloak')]);
  assert.equal(status, 0, shown);
  const vars = at.read('vars.toml');
  for (const line of [
    'pattern = "chat.example.com"',
    'PUBLIC_ORIGIN = "https://chat.example.com"',
    'HOST_ORIGINS = "https://www.example.com"',
    'BRIDGE_URL = "https://bridge.example.com"',
    'ENTRA_TENANT = "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90"',
  ])
    assert.ok(vars.includes(`\n${line}\n`), line);
  const secrets = at.secrets();
  assert.match(secrets.SESSION_KEYS ?? '', KEY);
  assert.match(secrets.BRIDGE_KEYS ?? '', KEY);
  assert.notEqual(secrets.SESSION_KEYS, secrets.BRIDGE_KEYS);
  assert.deepEqual(Object.keys(secrets), ['SESSION_KEYS', 'BRIDGE_KEYS', 'ENTRA_CLIENT_SECRET', 'OIDC_CLIENT_SECRETS']);
  assert.deepEqual(at.env('bridge.env'), {
    BRIDGE_KEYS: secrets.BRIDGE_KEYS,
    BRIDGE_EDGE_URL: 'https://chat.example.com',
    KAFKA_BROKERS: 'kafka.example.com:9093',
  });
  for (const command of ['wrangler secret bulk', 'wrangler deploy', '--check'])
    assert.ok(at.read('NEXT-STEPS.md').includes(command), command);
});

test('writes what a deployment on Spin needs', (context) => {
  const at = folder(context);
  const { status, shown } = at.run([
    ...SPIN,
    ...provider(at, 'github'),
    ...provider(at, 'google'),
    '--channel',
    'chat',
    '--channel',
    'ops',
  ]);
  assert.equal(status, 0, shown);
  const env = at.env('spin.env');
  assert.match(env.SPIN_VARIABLE_REDIS_URL ?? '', /^rediss:\/\/causeway:[\w-]{43}@redis\.example\.com:6380$/);
  assert.equal(env.SPIN_VARIABLE_REDIS_ADDRESS, 'rediss://redis.example.com:6380');
  assert.equal(env.SPIN_VARIABLE_CHANNELS, 'chat,ops');
  assert.equal(env.SPIN_VARIABLE_GITHUB_API_URL, 'https://api.github.com');
  assert.equal(env.SPIN_VARIABLE_OUTBOUND_HOST_1, 'https://accounts.google.com');
  assert.equal(env.SPIN_VARIABLE_OUTBOUND_HOST_4, 'https://www.googleapis.com');
  assert.equal(JSON.parse(env.SPIN_VARIABLE_OIDC_PROVIDERS ?? '')[0].id, 'google');
  const bridge = at.env('bridge.env');
  assert.equal(bridge.BRIDGE_REDIS_URL, env.SPIN_VARIABLE_REDIS_URL);
  assert.equal(bridge.BRIDGE_KEYS, env.SPIN_VARIABLE_BRIDGE_KEYS);
  assert.deepEqual(JSON.parse(bridge.BRIDGE_CHANNELS ?? '')[1], {
    name: 'ops',
    inbound: 'ops.inbound',
    outbound: 'ops.outbound',
  });
  const password = new URL(env.SPIN_VARIABLE_REDIS_URL ?? '').password;
  const [, documented = ''] = /^ {4}(ACL SETUSER causeway .*)$/m.exec(page('docs/deploy-spin.md')) ?? [];
  assert.equal(at.read('redis.acl'), `${documented.replace('PASSWORD', password)}\nACL SAVE\n`);
});

test('files are for their owner only, and Git ignores them', (context) => {
  const at = folder(context);
  at.run([...SPIN, ...provider(at, 'entra'), ...provider(at, 'github')]);
  assert.equal(statSync(at.out).mode & 0o777, 0o700);
  for (const name of at.files()) assert.equal(statSync(join(at.out, name)).mode & 0o777, 0o600, name);
  assert.equal(at.read('.gitignore'), '*\n');
});

test('no secret is printed', (context) => {
  const at = folder(context);
  const kafka = ['--kafka-security', 'SASL_SSL', '--kafka-mechanism', 'PLAIN', '--kafka-user', 'causeway'];
  const runs = [
    at.run([
      ...SPIN,
      ...provider(at, 'entra'),
      ...provider(at, 'okta'),
      ...kafka,
      '--kafka-password-file',
      at.secretFile(),
    ]),
    at.run(['--yes', '--rotate', 'bridge']),
    at.run(['--yes', '--force']),
    at.run(['--yes', '--set', 'SESSION_KEYS=k1:AAAA']),
  ];
  const all = [...(runs[0]?.given ?? []), ...Object.values(at.secrets()), ...Object.values(at.env('bridge.env'))];
  const secrets = all
    .flatMap((text = '') => [text, ...text.split(/[:,@"]/)])
    .filter((text) => text.length > 30 && !/example/.test(text));
  assert.ok(secrets.length > 8);
  for (const { shown } of runs) {
    assert.ok(shown.length > 100 || shown.includes('--set'));
    for (const secret of secrets) assert.ok(!shown.includes(secret));
  }
  // What is meant to be read has none either.
  for (const name of ['answers.json', 'register.md', 'NEXT-STEPS.md'])
    for (const secret of secrets) assert.ok(!at.read(name).includes(secret), name);
});

test('a later run keeps keys, answers and secrets', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra'), '--provider', 'github']);
  const before = at.secrets();
  const { status, shown } = at.run(['--yes', '--host-page', 'https://shop.example.com', ...provider(at, 'github')]);
  assert.equal(status, 0, shown);
  const after = at.secrets();
  assert.ok(after.GITHUB_CLIENT_SECRET);
  delete after.GITHUB_CLIENT_SECRET;
  assert.deepEqual(after, before);
  assert.match(at.read('vars.toml'), /^HOST_ORIGINS = "https:\/\/shop\.example\.com"$/m);
  assert.match(at.read('vars.toml'), /^ENTRA_CLIENT_ID = /m);
});

test('a later run forgets a provider', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra'), ...provider(at, 'keycloak')]);
  const { status, shown } = at.run(['--yes', '--without-provider', 'keycloak']);
  assert.equal(status, 0, shown);
  assert.ok(!/keycloak|OIDC_CLIENT/.test(at.read('vars.toml') + at.read('secrets.json')));
});

test('Kafka without credentials leaves those of the run before out', (context) => {
  const at = folder(context);
  const kafka = [
    '--kafka-security',
    'SASL_SSL',
    '--kafka-mechanism',
    'PLAIN',
    '--kafka-user',
    'x',
    '--kafka-ca',
    '/ca.pem',
  ];
  at.run([...WORKERS, ...provider(at, 'entra'), ...kafka, '--kafka-password-file', at.secretFile()]);
  const { status, shown } = at.run(['--yes', '--kafka-security', 'PLAINTEXT']);
  assert.equal(status, 0, shown);
  const names = Object.keys(at.env('bridge.env')).filter((name) => name.startsWith('KAFKA'));
  assert.deepEqual(names, ['KAFKA_BROKERS', 'KAFKA_SECURITY_PROTOCOL']);
});

test('--force makes new keys and keeps what providers have given', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra')]);
  const before = at.secrets();
  assert.match(at.run(['--yes', '--force']).stderr, /signed out/);
  const after = at.secrets();
  assert.notEqual(after.SESSION_KEYS, before.SESSION_KEYS);
  assert.notEqual(after.BRIDGE_KEYS, before.BRIDGE_KEYS);
  assert.equal(after.ENTRA_CLIENT_SECRET, before.ENTRA_CLIENT_SECRET);
});

test('--rotate replaces a key in three steps', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra')]);
  const { SESSION_KEYS: k1, BRIDGE_KEYS: other } = at.secrets();
  const rings = [1, 2, 3].map((step) => {
    assert.ok(at.run(['--yes', '--rotate', 'session']).stderr.includes(`step ${step} of 3`));
    return at.secrets().SESSION_KEYS;
  });
  const k2 = rings[2];
  assert.match(k2 ?? '', /^k2:[\w-]{43}$/);
  assert.deepEqual(rings, [`${k1},${k2}`, `${k2},${k1}`, k2]);
  assert.equal(at.secrets().BRIDGE_KEYS, other);
  at.run(['--yes', '--rotate', 'session']);
  assert.match(at.secrets().SESSION_KEYS ?? '', /^k2:.*,k3:/);
});

test('new keys do not replace lost ones by themselves', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra')]);
  rmSync(join(at.out, 'secrets.json'));
  const { status, stderr } = at.run(['--yes']);
  assert.equal(status, 2);
  assert.match(stderr, /secrets\.json is gone.*--force/);
  assert.equal(at.run(['--yes', '--force']).status, 0);
});

test('another runtime leaves no files of the one before', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra')]);
  const { status, shown } = at.run([...SPIN]);
  assert.equal(status, 0, shown);
  assert.ok(!at.files().includes('vars.toml'));
  assert.ok(at.files().includes('spin.env'));
});

test('asks for what no flag gives', (context) => {
  const at = folder(context);
  const answers = [
    '', // runtime
    'https://chat.example.com', // no host name: asked again
    'chat.example.com',
    'https://app.other.example',
    'yes', // on another site
    'https://bridge.example.com',
    'keycloak',
    'https://id.example.com', // no realm: asked again
    'https://id.example.com/realms/main',
    'chat',
    'kc-3fJq8Zt1Lw6Yb2Xr9Vn4Cp7Dm5Gs0Hk',
    '', // no other provider
    'kafka.example.com:9092',
    'PLAINTEXT',
  ];
  const { status, stdout, stderr } = at.run([], `${answers.join('\n')}\n`);
  assert.equal(status, 0, stderr);
  assert.match(stderr, /'https:\/\/chat\.example\.com' must be a host name/);
  assert.match(stderr, /'https:\/\/id\.example\.com' must be like /);
  assert.match(stdout, /EMBED=cross-site/);
  assert.deepEqual(JSON.parse(at.secrets().OIDC_CLIENT_SECRETS ?? ''), {
    keycloak: 'kc-3fJq8Zt1Lw6Yb2Xr9Vn4Cp7Dm5Gs0Hk',
  });
  assert.ok(!(stdout + stderr).includes('kc-3fJq'));
});

test('asks for the tenants that may sign in', (context) => {
  const at = folder(context);
  const answers = [
    ...['', 'chat.example.com', 'https://www.example.com', 'https://bridge.example.com', 'entra'],
    ...['0d6e3f1c-8b7a-4c5d-9e2f-4a1b6c8d7e90', 'common'],
    ...['', 'contoso', '5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90'], // asked again until it is a GUID
    ...['en-3fJq8Zt1Lw6Yb2Xr9Vn4Cp7Dm5Gs0Hk', '', 'kafka.example.com:9092', 'PLAINTEXT'],
  ];
  const { status, stderr } = at.run([], `${answers.join('\n')}\n`);
  assert.equal(status, 0, stderr);
  assert.match(at.read('vars.toml'), /^ENTRA_TENANTS = "5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90"$/m);
});

test("takes the place of the bridge's own certificate and key", (context) => {
  const at = folder(context);
  const { status, shown } = at.run([
    ...[...WORKERS, ...provider(at, 'entra'), '--kafka-security', 'SSL', '--kafka-ca', '/etc/kafka/ca.pem'],
    ...[
      '--set-bridge',
      'KAFKA_SSL_CERTIFICATE=/etc/kafka/bridge.pem',
      '--set-bridge',
      'KAFKA_SSL_KEY=/etc/kafka/key.pem',
    ],
  ]);
  assert.equal(status, 0, shown);
  const bridge = at.env('bridge.env');
  assert.equal(bridge.KAFKA_SSL_CERTIFICATE, '/etc/kafka/bridge.pem');
  assert.equal(bridge.KAFKA_SSL_KEY, '/etc/kafka/key.pem');
});

test('a limit other than the default one has its rate limiter in the manifest', (context) => {
  const at = folder(context);
  at.run([
    ...[...WORKERS, ...provider(at, 'entra'), '--set', 'EVENTS_PER_MINUTE=120', '--set', 'LOGIN_STEPS_PER_MINUTE=6000'],
    ...['--set', 'LOGOUTS_PER_MINUTE=60'],
  ]);
  const limiters = (/** @type {string} */ text) =>
    [...text.matchAll(/^\[\[ratelimits\]\]\nname = "(\w+)"\nnamespace_id = "(\d+)"\nsimple = (.*)$/gm)].map(
      ([, ...fields]) => fields,
    );
  const own = limiters(at.read('vars.toml'));
  assert.deepEqual(own, [
    ['EVENTS_RATE_120', '1004', '{ limit = 120, period = 60 }'],
    ['LOGOUT_RATE_60', '1006', '{ limit = 60, period = 60 }'],
  ]);
  const all = limiters(page('wrangler.toml') + at.read('vars.toml'));
  assert.equal(all.length, 5);
  assert.equal(new Set(all.map(([, id]) => id)).size, 5, 'a namespace of their own');
  at.run(['--yes', '--unset', 'EVENTS_PER_MINUTE', '--unset', 'LOGOUTS_PER_MINUTE']);
  assert.deepEqual(limiters(at.read('vars.toml')), []);
});

test('a value that shells would expand is quoted', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra'), '--set-bridge', 'SSL_CERT_FILE=~/ca.pem']);
  assert.match(at.read('bridge.env'), /^SSL_CERT_FILE='~\/ca\.pem'$/m);
});

test("takes GitHub's answer to an app's manifest", (context) => {
  const at = folder(context);
  at.run([...WORKERS, '--provider', 'github']);
  const manifest = JSON.parse(at.read('github-app-manifest.json'));
  assert.deepEqual(manifest.callback_urls, ['https://chat.example.com/auth/github/callback']);
  assert.ok(at.read('github-app.html').includes(JSON.stringify(manifest).replaceAll('"', '&quot;')));
  const answer = {
    client_id: 'Iv23example',
    client_secret: '5d0c8b3f9a6e27145d0c8b3f9a6e2714f00dcafe',
    webhook_secret: 'e340154128314309424b7c8e90325147d99fdafa',
    pem: 'PEM',
  };
  const file = at.secretFile(JSON.stringify(answer));
  const { status, shown } = at.run(['--yes', '--provider', 'github', '--github-app-file', file]);
  assert.equal(status, 0, shown);
  assert.match(at.read('vars.toml'), /^GITHUB_CLIENT_ID = "Iv23example"$/m);
  assert.equal(at.secrets().GITHUB_CLIENT_SECRET, answer.client_secret);
  assert.equal(at.secrets().GITHUB_WEBHOOK_SECRET, answer.webhook_secret);
  assert.ok(!shown.includes(answer.webhook_secret));
});
