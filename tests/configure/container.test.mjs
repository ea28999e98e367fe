// Files for Kubernetes, Docker and a hosted Spin: the same settings as in spin.env and bridge.env, with no secret where
// it can be read.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { Ajv } from 'ajv';
import { parse } from 'yaml';

import { ROOT, SPIN, WORKERS, folder, provider } from './run.mjs';

const CHART = join(ROOT, 'examples/deploy/helm/kafka-bridge');
const PASSWORD = '5" $HOME # x';

/** Everything that a deployment may need. @param {ReturnType<typeof folder>} at @param {readonly string[]} flags */
const everything = (at, flags) => [
  ...[...flags, '--channel', 'chat', '--channel', 'ops', '--cross-site'],
  ...['entra', 'github', 'keycloak', 'cognito'].flatMap((preset) => provider(at, preset)),
  ...['--kafka-security', 'SASL_SSL', '--kafka-mechanism', 'SCRAM-SHA-512', '--kafka-user', 'causeway'],
  ...['--set', 'GITHUB_ALLOW=GET /user, GET /repos/*', '--set-bridge', 'BRIDGE_TOPIC_PARTITIONS=0'],
  ...['--set-bridge', 'OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318', '--set-bridge', 'BRIDGE_REPLICAS=2'],
];

/** What the edge gets by spin.env, in Spin's names. @param {ReturnType<typeof folder>} at */
const variablesOf = (at) =>
  Object.fromEntries(
    Object.entries(at.env('spin.env')).map(([name, value]) => [
      name.replace('SPIN_VARIABLE_', '').toLowerCase(),
      value,
    ]),
  );

test('the SpinApp has every variable of the component, and its secrets by reference', (context) => {
  const at = folder(context);
  const { status, shown } = at.run(everything(at, SPIN));
  assert.equal(status, 0, shown);
  const app = parse(at.read('spinapp.yaml'));
  const secret = parse(at.read('edge-secret.yaml'));
  assert.equal(app.kind, 'SpinApp');
  assert.ok(app.spec.checks.readiness.httpGet.path);
  const names = app.spec.variables.map((/** @type {{ name: string }} */ { name }) => name);
  assert.equal(new Set(names).size, names.length);
  /** @type {Record<string, string>} */
  const values = {};
  for (const { name, value, valueFrom } of app.spec.variables) {
    if (valueFrom) assert.equal(valueFrom.secretKeyRef.name, secret.metadata.name);
    values[name] = value ?? secret.stringData[valueFrom.secretKeyRef.key];
  }
  assert.deepEqual(values, variablesOf(at));
  assert.ok(values.oidc_providers && values.outbound_host_2);
  const manifest = readFileSync(join(ROOT, 'spin.toml'), 'utf8');
  for (const name of Object.keys(values)) {
    const [, isSecret] =
      new RegExp(`^${name} = \\{ default = "[^"]*"(, secret = true)? \\}$`, 'm').exec(manifest) ?? [];
    assert.equal(name in secret.stringData, Boolean(isSecret), name);
  }
});

for (const [runtime, flags] of /** @type {const} */ ([
  ['Workers', WORKERS],
  ['Spin', SPIN],
])) {
  test(`the bridge's chart gets all settings for ${runtime}, and its secrets from a Secret`, (context) => {
    const at = folder(context);
    at.run([...everything(at, flags), '--kafka-password-file', at.secretFile('p4ss-w0rd')]);
    writeFileSync(join(at.out, 'bridge.env'), `${at.read('bridge.env')}OTEL_EXPORTER_OTLP_HEADERS=key=hunter2\n`);
    const { status, shown } = at.run(['--yes']);
    assert.equal(status, 0, shown);
    const text = at.read('bridge-values.yaml');
    assert.doesNotMatch(text, /hunter2|p4ss-w0rd|k1:/);
    /** @type {Record<string, any>} */
    const values = parse(text);
    const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8'));
    // The chart has defaults for what it requires.
    delete schema.required;
    const isValid = new Ajv().compile(schema);
    isValid(values);
    assert.deepEqual(isValid.errors, null);

    const secret = parse(at.read('bridge-secret.yaml'));
    assert.equal(values.existingSecret, secret.metadata.name);
    const got = { ...secret.stringData, ...values.extraEnv, ...ofChart(values) };
    // The chart counts its instances by itself.
    const { BRIDGE_REPLICAS: replicas, ...wanted } = at.env('bridge.env');
    assert.equal(replicas, '2');
    assert.deepEqual(got, wanted);
    assert.equal(values.ingress.host, 'bridge.example.com');
  });
}

/** What the chart's template makes of values that are there. @param {Record<string, any>} values */
function ofChart(values) {
  const template = readFileSync(join(CHART, 'templates/statefulset.yaml'), 'utf8');
  const ofValue = template.matchAll(/- name: ([A-Z_]+)\n\s+value: \{\{ (?:required "[^"]*" )?\.Values\.([\w.]+)[ |]/g);
  const ofBlock = template.matchAll(/\{\{- with \.Values\.([\w.]+) \}\}\n\s+- name: ([A-Z_]+)\n\s+value: \{\{ \. \|/g);
  const uses = [...ofValue, ...[...ofBlock].map(([all, path, name]) => [all, name, path])];
  return Object.fromEntries(
    uses
      .map(([, name = '', path = '']) => [name, path.split('.').reduce((value, key) => value?.[key], values)])
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [name, String(value)]),
  );
}

test("the bridge's chart gets Kafka's token endpoint", (context) => {
  const at = folder(context);
  at.run([
    ...[...WORKERS, ...provider(at, 'entra'), '--kafka-security', 'SASL_SSL', '--kafka-mechanism', 'OAUTHBEARER'],
    ...['--kafka-token-url', 'https://id.example.com/token', '--kafka-client-id', 'bridge', '--kafka-scope', 'kafka'],
    ...['--kafka-client-secret-file', at.secretFile()],
  ]);
  const values = parse(at.read('bridge-values.yaml'));
  const { stringData } = parse(at.read('bridge-secret.yaml'));
  assert.deepEqual({ ...stringData, ...ofChart(values) }, { ...at.env('bridge.env') });
});

test('files on a machine are no settings of the chart', (context) => {
  const at = folder(context);
  at.run([
    ...[...WORKERS, ...provider(at, 'entra'), '--kafka-security', 'SSL', '--kafka-ca', '/etc/kafka/ca.pem'],
    ...[
      '--set-bridge',
      'KAFKA_SSL_CERTIFICATE=/etc/kafka/bridge.pem',
      '--set-bridge',
      'KAFKA_SSL_KEY=/etc/kafka/key.pem',
    ],
  ]);
  const text = at.read('bridge-values.yaml') + at.read('bridge-secret.yaml');
  assert.doesNotMatch(text, /\/etc\/kafka/);
  assert.match(text, /do not have these files: KAFKA_SSL_CA, KAFKA_SSL_CERTIFICATE, KAFKA_SSL_KEY\.\n/);
});

test('Docker gets values as they are, without quotes', (context) => {
  const at = folder(context);
  at.run([...everything(at, SPIN), '--kafka-password-file', at.secretFile(PASSWORD)]);
  for (const name of ['bridge', 'spin']) {
    const lines = at.read(`${name}.docker.env`).split('\n');
    const values = lines
      .filter((line) => line && !line.startsWith('#'))
      .map((line) => /** @type {const} */ ([line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
    assert.deepEqual(Object.fromEntries(values), { ...at.env(`${name}.env`) });
  }
});

test('a hosted Spin gets every variable, and the script shows no secret', (context) => {
  const at = folder(context);
  at.run(everything(at, SPIN));
  const script = at.read('spin-hosted.sh');
  for (const secret of Object.values(at.secrets())) assert.ok(!script.includes(secret));
  // In place of the Spin CLI: prints its arguments.
  const bin = join(at.out, '../bin');
  mkdirSync(bin);
  writeFileSync(join(bin, 'spin'), '#!/bin/sh\nprintf \'%s\\0\' "$@"\n', { mode: 0o755 });
  const run = (/** @type {string[]} */ ...args) =>
    spawnSync('sh', [join(at.out, 'spin-hosted.sh'), ...args], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
    });
  const { stdout, status, stderr } = run('aka', '--no-confirm');
  assert.equal(status, 0, stderr);
  const words = stdout.split('\0').slice(0, -1);
  assert.deepEqual(words.slice(0, 2), ['aka', 'deploy']);
  assert.equal(words.at(-1), '--no-confirm');
  const pairs = words.slice(2, -1).filter((_, index) => index % 2 === 1);
  assert.deepEqual(
    Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)])),
    variablesOf(at),
  );
  assert.equal(run('fly').status, 2);
  assert.equal(run().status, 2);
});

test('Workers get no files for Spin', (context) => {
  const at = folder(context);
  at.run([...SPIN, ...provider(at, 'entra')]);
  at.run([...WORKERS, '--runtime', 'workers']);
  for (const name of ['spinapp.yaml', 'edge-secret.yaml', 'spin-hosted.sh', 'spin.env', 'spin.docker.env'])
    assert.ok(!at.files().includes(name), name);
  assert.ok(at.files().includes('bridge-values.yaml'));
});
