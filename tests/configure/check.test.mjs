// `--check`: the real code of edge and bridge reads what was written.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { PRESETS } from '../../scripts/configuration/preset.mjs';
import { ROOT, SPIN, WORKERS, folder, provider } from './run.mjs';

for (const [runtime, flags] of /** @type {const} */ ([
  ['Workers', WORKERS],
  ['Spin', SPIN],
])) {
  for (const preset of Object.keys(PRESETS)) {
    test(`the edge on ${runtime} takes a configuration with ${preset}`, (context) => {
      const at = folder(context);
      at.run([...flags, ...provider(at, preset)]);
      // Without the bridge's file, whose check is another program.
      const files = (runtime === 'Spin' ? ['spin.env'] : ['vars.toml', 'secrets.json']).map((name) =>
        join(at.out, name),
      );
      const { status, stdout, stderr } = at.run(['--check', ...files]);
      assert.equal(status, 0, stdout + stderr);
      assert.ok(stdout.includes(`the edge on ${runtime} would start`), stdout);
      assert.ok(
        stdout.includes(`https://chat.example.com/auth/${preset === 'oidc' ? 'corp' : preset}/callback`),
        stdout,
      );
    });
  }

  test(`edge on ${runtime} and bridge take a configuration with everything`, (context) => {
    const at = folder(context);
    const kafka = ['--kafka-security', 'SASL_SSL', '--kafka-mechanism', 'SCRAM-SHA-512', '--kafka-user', 'causeway'];
    at.run([
      ...flags,
      ...['entra', 'github', 'keycloak', 'oidc'].flatMap((preset) => provider(at, preset)),
      ...[...kafka, '--kafka-password-file', at.secretFile('a b$c"d')],
      ...['--host-page', 'https://app.other.example', '--cross-site', '--channel', 'chat', '--channel', 'ops'],
      ...[
        '--set',
        'SESSION_HOURS=8',
        '--set',
        'GITHUB_ALLOW=GET /user, GET /repos/*',
        '--set',
        'EVENTS_PER_MINUTE=120',
      ],
    ]);
    const { status, stdout, stderr } = at.run(['--check']);
    assert.equal(status, 0, stdout + stderr);
    assert.match(stdout, /the edge on \w+ would start/);
    assert.match(stdout, /the bridge \(.*\) would start/);
  });
}

test('each wrong key is named, as the log would name it, and no value is shown', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra'), ...provider(at, 'keycloak')]);
  writeFileSync(
    join(at.out, 'secrets.json'),
    JSON.stringify({ ...at.secrets(), ENTRA_CLIENT_SECRET: 'hunter2hunter2' }),
  );
  const vars = at.read('vars.toml').replace('https://bridge.example.com', 'http://bridge.example.com');
  writeFileSync(join(at.out, 'vars.toml'), `${vars}SESION_HOURS = "8"\nSESSION_HOURS = 8\nEVENTS_PER_MINUTE = "120"\n`);
  const { status, stdout } = at.run(['--check']);
  assert.equal(status, 1, stdout);
  for (const line of [
    'the edge on Workers would not start',
    '  SESSION_HOURS could not be read; it must be a text',
    '  SESION_HOURS is not a configuration key',
    '  BRIDGE_URL must be https:// (http:// only for loopback with DEVELOPMENT=loopback)',
    '  ENTRA_CLIENT_SECRET must have at least 32 random characters',
    '  EVENTS_PER_MINUTE needs a rate limiter EVENTS_RATE_120 with limit 120 and period 60',
  ])
    assert.ok(stdout.includes(`${line}\n`), `${line}\n${stdout}`);
  assert.ok(!stdout.includes('hunter2'));
});

test('a limiter of the manifest counts', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra'), '--set', 'EVENTS_PER_MINUTE=120']);
  const limiter =
    '[[ratelimits]]\nname = "EVENTS_RATE_120"\nnamespace_id = "1004"\nsimple = { limit = 120, period = 60 }\n';
  writeFileSync(join(at.out, 'vars.toml'), `${limiter}${at.read('vars.toml')}`);
  const { status, stdout } = at.run(['--check']);
  assert.equal(status, 0, stdout);
});

test('wrong keys of Spin and of the bridge are named', (context) => {
  const at = folder(context);
  at.run([...SPIN, ...provider(at, 'entra')]);
  const spin = at.read('spin.env').replace('rediss://redis.example.com:6380', 'rediss://redis.example.com:6381');
  writeFileSync(join(at.out, 'spin.env'), `${spin}SPIN_VARIABLE_OUTBOUND_HOST_2=https://api.example.com/v1\n`);
  writeFileSync(join(at.out, 'bridge.env'), `${at.read('bridge.env')}BRIDGE_REPLICA=x\n`);
  const { status, stdout } = at.run(['--check']);
  assert.equal(status, 1);
  assert.match(stdout, /^ {2}REDIS_ADDRESS must be REDIS_URL's scheme, host and port/m);
  assert.match(stdout, /^ {2}OUTBOUND_HOSTS must be scheme:\/\/host/m);
  assert.match(stdout, /^the bridge \(.*\) would not start\n {2}BRIDGE_REPLICA /m);
});

test('keys that differ between edge and bridge are noticed', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra')]);
  const old = at.read('bridge.env');
  at.run(['--yes', '--force']);
  writeFileSync(join(at.out, 'bridge.env'), old);
  const { status, stdout } = at.run(['--check']);
  assert.equal(status, 1);
  assert.match(stdout, /BRIDGE_KEYS differ/);
});

test('what edge and bridge must have alike is compared', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra'), '--channel', 'chat', '--channel', 'ops']);
  const bridge = at.read('bridge.env').replace('https://chat.example.com', 'https://char.example.com');
  writeFileSync(join(at.out, 'bridge.env'), bridge.replace('"name":"ops"', '"name":"ups"'));
  const { status, stdout } = at.run(['--check']);
  assert.equal(status, 1);
  assert.match(stdout, /do not fit together\n {2}BRIDGE_EDGE_URL must be the edge's PUBLIC_ORIGIN\n/);
  assert.match(stdout, /^ {2}BRIDGE_CHANNELS lacks ops of CHANNELS\n {2}CHANNELS lacks ups of BRIDGE_CHANNELS$/m);
});

test('variables are compared in every form that TOML has for them', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra'), '--channel', 'chat', '--channel', 'ops']);
  const written = at.read('vars.toml');
  for (const channels of ['CHANNELS = """\nchat,ups"""', 'CHANNELS = "chat,\\u0075ps"', '"CHANNELS" = \'chat, ups\'']) {
    writeFileSync(
      join(at.out, 'vars.toml'),
      written.replace(/^CHANNELS = .*$/m, () => channels),
    );
    const { status, stdout } = at.run(['--check']);
    assert.equal(status, 1, stdout);
    assert.match(stdout, /do not fit together\n {2}BRIDGE_CHANNELS lacks ups of CHANNELS\n/, channels);
  }
});

test("the bridge's store must be that of the runtime", (context) => {
  const at = folder(context);
  const password = at.secretFile();
  at.run([...SPIN, ...provider(at, 'entra'), '--redis-password-file', password]);
  const bridge = at.read('bridge.env');
  writeFileSync(join(at.out, 'bridge.env'), bridge.replace(':6380', ':6381'));
  const { shown } = at.run(['--check']);
  assert.match(shown, /^ {2}BRIDGE_REDIS_URL must be the edge's REDIS_URL$/m);
  assert.ok(!shown.includes(readFileSync(password, 'utf8')), 'the URL holds a password');
  const other = bridge.replace(/^BRIDGE_REDIS_URL=.*$/m, 'BRIDGE_EDGE_URL=https://chat.example.com');
  writeFileSync(join(at.out, 'bridge.env'), other);
  assert.match(at.run(['--check']).stdout, /^ {2}BRIDGE_EDGE_URL is for an edge on Workers;/m);
});

test('a configuration without a provider of before is taken', (context) => {
  const at = folder(context);
  at.run([...WORKERS, ...provider(at, 'entra'), ...provider(at, 'keycloak'), '--set', 'SESSION_HOURS=8']);
  at.run(['--yes', '--without-provider', 'entra', '--unset', 'SESSION_HOURS']);
  assert.match(at.read('vars.toml'), /^ENTRA_TENANT = ""$/m);
  const { status, stdout } = at.run(['--check']);
  assert.equal(status, 0, stdout);
});

test('the example of local settings lacks only what is left to fill in', (context) => {
  const at = folder(context);
  const file = join(ROOT, '.dev.vars.example');
  const { status, stdout } = at.run(['--check', file]);
  assert.equal(status, 1);
  assert.match(stdout, /^ {2}SESSION_KEYS is not set$/m);
  const empty = [...readFileSync(file, 'utf8').matchAll(/^(\w+)=""$/gm)].map(([, name]) => name);
  const named = [...stdout.matchAll(/^ {2}(\w+) is not set$/gm)].map(([, name = '']) => name);
  assert.ok(named.length > 1);
  for (const name of named) assert.ok(empty.includes(name), name);
});

test('files that cannot be checked are refused', (context) => {
  const at = folder(context);
  assert.match(at.run(['--check', '/nowhere.json']).stderr, /\/nowhere\.json cannot be read/);
  assert.match(at.run(['--check', at.secretFile('x')]).stdout, /PUBLIC_ORIGIN is not set/);
  assert.match(at.run(['--check']).stderr, /has no settings; name the files/);
});
