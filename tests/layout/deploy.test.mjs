// Manifests and examples for deployments name settings that exist, and agree with the documents and with scripts/dev.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

import { parse, parseAllDocuments } from 'yaml';

import { nextSteps } from '../../scripts/configuration/next-step.mjs';
import { billOfMaterials, linkedPackages } from '../../scripts/sbom.mjs';
import { ENTRA_CLIENT_ID, ENTRA_TENANT, GITHUB_CLIENT_ID } from '../../scripts/stack/part/emulators.mjs';
import { versionsOf } from './release.mjs';

const ROOT = resolve(import.meta.dirname, '../..');
const read = (/** @type {string} */ path) => readFileSync(join(ROOT, path), 'utf8');
const CHART = 'examples/deploy/helm/kafka-bridge';

/** The settings that docs/configuration.md documents. */
const configuration = read('docs/configuration.md');
const documented = new Set(configuration.match(/`[A-Z][A-Z0-9_]+`/g)?.map((name) => name.slice(1, -1)));
const spinVariables = new Set(
  [...read('spin.toml').matchAll(/^([a-z_0-9]+) = \{ default/gm)].map(([, name]) => name?.toUpperCase()),
);

/** @param {Iterable<string>} names @param {(name: string) => boolean} known @param {string} where */
function assertKnown(names, known, where) {
  const list = [...names];
  assert.ok(list.length > 0, `${where}: no names found`);
  assert.deepEqual(
    list.filter((name) => !known(name)),
    [],
    `${where}: unknown settings`,
  );
}

/** Whether Git ignores a file of this name. @param {string} name */
function isIgnored(name) {
  const { status, stderr } = spawnSync('git', ['check-ignore', '--no-index', '-q', name], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  assert.ok(status === 0 || status === 1, `git check-ignore: ${stderr}`);
  return status === 0;
}

const compose = parse(read('compose.yaml'), { merge: true });
/** @type {Record<string, string>} */
const edge = compose.services.edge.environment;

test('compose.yaml sets variables of the edge and of the bridge that exist', () => {
  const names = Object.keys(edge).map((name) => name.replace(/^SPIN_VARIABLE_/, ''));
  assertKnown(names, (name) => spinVariables.has(name) && documented.has(name), 'edge');
  assertKnown(Object.keys(compose.services.bridge.environment), (name) => documented.has(name), 'bridge');
});

test('compose.yaml runs what scripts/dev runs', () => {
  const { devDependencies } = JSON.parse(read('package.json'));
  assert.ok(compose.services.emulators.command.includes(`emulate@${devDependencies.emulate} `));
  const kafka = /^kafka_version=(.*)$/m.exec(read('scripts/env'))?.[1];
  assert.equal(compose.services.kafka.image, `apache/kafka:${kafka}`);
  assert.equal(edge.SPIN_VARIABLE_GITHUB_CLIENT_ID, GITHUB_CLIENT_ID);
  assert.equal(edge.SPIN_VARIABLE_ENTRA_CLIENT_ID, ENTRA_CLIENT_ID);
  assert.equal(edge.SPIN_VARIABLE_ENTRA_TENANT, ENTRA_TENANT);
  const seed = JSON.parse(compose.configs.seed.content);
  assert.equal(seed.github.oauth_apps[0].client_id, GITHUB_CLIENT_ID);
  assert.equal(seed.microsoft.oauth_clients[0].client_id, ENTRA_CLIENT_ID);
});

test("compose.yaml's Redis users have the documented rights", () => {
  const [, others] = /^ {4}user (default off .*)$/m.exec(read('docs/deploy-spin.md')) ?? [];
  const [, rules] = /^ {4}ACL SETUSER (causeway on >PASSWORD .*)$/m.exec(read('docs/deploy-spin.md')) ?? [];
  const command = compose.services.redis.command.join(' ').replace('${REDIS_PASSWORD}', 'PASSWORD');
  for (const user of [others, rules]) assert.ok(user && command.includes(`--user ${user}`), command);
});

test('compose.yaml publishes on loopback only, and scripts/compose makes every key that it asks for', () => {
  for (const port of compose.services.network.ports) assert.match(port, /^127\.0\.0\.1:/);
  const asked = new Set([...read('compose.yaml').matchAll(/\$\{([A-Z_]+)[}:?]/g)].map(([, name]) => name));
  const made = [...read('scripts/compose').matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name);
  assert.deepEqual([...asked].filter((name) => !name?.startsWith('CAUSEWAY_')).sort(), made.sort());
});

test('the chart is of the version that it deploys, and sets variables of the bridge that exist', () => {
  const chart = parse(read(`${CHART}/Chart.yaml`));
  assert.equal(chart.appVersion, versionsOf(read).bridge);
  const set = read(`${CHART}/templates/statefulset.yaml`).matchAll(/^ *- name: ([A-Z_]+)$/gm);
  const names = [...set].map(([, name = '']) => name);
  assertKnown(names, (name) => documented.has(name), 'chart');
  for (const name of ['BRIDGE_REPLICA', 'BRIDGE_REPLICAS', 'BRIDGE_ADMIN_LISTEN'])
    assert.ok(names.includes(name), name);
});

test("the service's settings for systemd exist", () => {
  const names = [...read('examples/deploy/systemd/bridge.env').matchAll(/^([A-Z_]+)=/gm)].map(([, name = '']) => name);
  assertKnown(names, (name) => documented.has(name), 'bridge.env');
});

test('the SpinApp sets variables that spin.toml has', () => {
  const [app] = parseAllDocuments(read('examples/deploy/spinkube/spinapp.yaml')).map((it) => it.toJS());
  /** @type {{ name: string }[]} */
  const variables = app.spec.variables;
  assertKnown(
    variables.map(({ name }) => name.toUpperCase()),
    (name) => spinVariables.has(name),
    'spinapp.yaml',
  );
});

test('examples of local settings name settings that exist, and have no secret', () => {
  const lines = [...read('.dev.vars.example').matchAll(/^([A-Z0-9_]+)="(.*)"$/gm)];
  assertKnown(
    lines.map(([, name = '']) => name),
    (name) => spinVariables.has(name) && documented.has(name),
    '.dev.vars.example',
  );
  for (const [, name = '', value] of lines) if (/KEY|SECRET/.test(name)) assert.equal(value, '', name);
  for (const name of ['.dev.vars', '.dev.vars.production', '.env', '.env.local', '.spin/key', 'runtime-config.toml'])
    assert.ok(isIgnored(name), name);
  for (const name of ['.dev.vars.example', '.env.example', 'runtime-config.example.toml']) {
    assert.ok(read(name));
    assert.ok(!isIgnored(name), name);
  }
});

test('a plain wrangler deploy keeps variables, creates its store, and publishes at the own domain only', () => {
  const manifest = read('wrangler.toml');
  for (const line of ['keep_vars = true', 'workers_dev = false', 'preview_urls = false'])
    assert.match(manifest, new RegExp(`^${line}$`, 'm'));
  assert.doesNotMatch(manifest, /^id = /m, 'an id is of one account');
});

test('the README deploys with the variables and the domain that scripts/configure has written', () => {
  const answers = {
    values: { runtime: 'workers' },
    providers: [],
    secrets: {},
    dropped: { variables: [], secrets: [] },
  };
  const steps = nextSteps(answers, 'causeway-config')
    .split('\n')
    .map((line) => line.trim());
  const [, block = ''] = /^\*\*Deploy it\.\*\*[^]*?```sh\n([^]*?)```/m.exec(read('README.md')) ?? [];
  const commands = block.split('\n').map((line) => line.replace(/\s+#.*/, ''));
  const deploying = commands.filter((line) => /wrangler/.test(line));
  assert.deepEqual(
    deploying,
    steps.filter((line) => /^(cat|npx) .*wrangler/.test(line)),
  );
});

test('wrangler dev builds again after a change of any source of the Worker', () => {
  const [, list = '[]'] = /^watch_dir = (.*)$/m.exec(read('wrangler.toml')) ?? [];
  /** @type {string[]} */
  const watched = JSON.parse(list);
  const folders = ['edge/core', 'edge/protocol', 'edge/workers', 'widget'].flatMap((home) =>
    readdirSync(join(ROOT, home))
      .filter((name) => ['src', 'js'].includes(name))
      .map((name) => `${home}/${name}`),
  );
  assert.deepEqual(
    folders.filter((folder) => !watched.includes(folder)),
    [],
  );
});

test('the Terraform sample registers what register-entra.sh registers', () => {
  const sample = read('examples/deploy/terraform/main.tf');
  for (const kind of ['azuread_application', 'azuread_service_principal', 'azuread_application_password'])
    assert.match(sample, new RegExp(`^resource "${kind}" "edge"`, 'm'));
});

test('workflows call scripts that exist', () => {
  const names = readdirSync(join(ROOT, '.github/workflows')).filter((name) => name.endsWith('.yml'));
  const called = names.flatMap((name) => read(`.github/workflows/${name}`).match(/\.\/scripts\/[a-z-]+/g) ?? []);
  assert.ok(called.length > 2);
  for (const script of new Set(called)) assert.match(read(script), /^#!\/usr\/bin\/env bash\n/);
});

test('a bill of materials lists what is linked, and not what tests need', () => {
  const facts = JSON.parse(
    execFileSync(
      'cargo',
      ['metadata', '--format-version', '1', '--offline', '--filter-platform', 'x86_64-unknown-linux-gnu'],
      { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 28 },
    ),
  );
  const bill = billOfMaterials(linkedPackages(facts, 'kafka-bridge'));
  const names = bill.components.map(({ name }) => name);
  assert.equal(bill.metadata.component.name, 'kafka-bridge');
  for (const name of ['causeway-protocol', 'rskafka', 'tokio']) assert.ok(names.includes(name), name);
  for (const name of ['proptest', 'causeway-core', 'wasmtime']) assert.ok(!names.includes(name), name);
  const references = new Set(bill.dependencies.map(({ ref }) => ref));
  for (const { dependsOn } of bill.dependencies) for (const it of dependsOn) assert.ok(references.has(it), it);
});
