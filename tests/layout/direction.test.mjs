// Dependencies point inwards. An arrow that is not listed here is a mistake, or a decision to be made here first.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { relative, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');

/** @type {Record<string, string[]>} each crate of the workspace, and those of its neighbours it may name */
const ALLOWED = {
  'causeway-protocol': [],
  'causeway-core': ['causeway-protocol'],
  // Core's platform traits speak in the wire contract's types, so an adapter names those too.
  'causeway-workers': ['causeway-core', 'causeway-protocol'],
  'causeway-spin': ['causeway-core', 'causeway-protocol'],
  'kafka-bridge': ['causeway-protocol'],
  'causeway-fuzz': ['causeway-core', 'causeway-protocol'],
};

/** What is beside the product stands outside of it: an example shows what anybody could write, a test tool drives it. */
const OUTSIDE = /^(examples|tests)\//;

/** What would tie the platform-neutral crates to one runtime. */
const RUNTIMES = [
  'worker',
  'spin-sdk',
  'tokio',
  'reqwest',
  'hyper',
  'wasm-bindgen',
  'js-sys',
  'web-sys',
  'rskafka',
  'rdkafka',
  'redis',
];

/** @type {{ name: string, manifest_path: string, dependencies: { name: string, kind: string | null }[] }[]} */
const crates = JSON.parse(
  execFileSync('cargo', ['metadata', '--format-version', '1', '--no-deps', '--offline'], {
    cwd: ROOT,
    maxBuffer: 64 * 1024 * 1024,
    encoding: 'utf8',
  }),
).packages;

test('no crate of the workspace depends on a neighbour it must not know', () => {
  const names = new Set(crates.map((crate) => crate.name));
  const wrong = crates.flatMap(({ name, dependencies }) =>
    dependencies
      .filter((dependency) => names.has(dependency.name) && !(ALLOWED[name] ?? []).includes(dependency.name))
      .map((dependency) => `${name} -> ${dependency.name}`),
  );
  assert.deepEqual(wrong, []);
});

test('every crate of the workspace has a place in the order', () => {
  const placeless = crates.filter(
    ({ name, manifest_path: path }) => !(name in ALLOWED) && !OUTSIDE.test(relative(ROOT, path)),
  );
  assert.deepEqual(
    placeless.map(({ name }) => name),
    [],
  );
});

test('core and protocol name no runtime', () => {
  const wrong = crates
    .filter((crate) => ['causeway-core', 'causeway-protocol'].includes(crate.name))
    .flatMap(({ name, dependencies }) =>
      dependencies.filter((d) => d.kind !== 'dev' && RUNTIMES.includes(d.name)).map((d) => `${name} -> ${d.name}`),
    );
  assert.deepEqual(wrong, []);
});
