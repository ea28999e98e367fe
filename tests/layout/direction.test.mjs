// Imports run downwards: between crates, between the modules of core, and between its files. An arrow that this file
// does not allow is a mistake, or a decision to be made here first.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { test } from 'node:test';

import { readImports } from './rust-import.mjs';

const ROOT = resolve(import.meta.dirname, '../..');

/** @type {Record<string, string[]>} each crate of the product, and the crates of the workspace that it may name */
const CRATES = {
  'causeway-protocol': [],
  'causeway-core': ['causeway-protocol'],
  // Core's platform traits use types of the wire contract, so an adapter names those too.
  'causeway-check': ['causeway-core'],
  'causeway-workers': ['causeway-core', 'causeway-protocol'],
  'causeway-spin': ['causeway-core', 'causeway-protocol'],
  'kafka-bridge': ['causeway-protocol'],
  'causeway-fuzz': ['causeway-core', 'causeway-protocol'],
};
/** Examples and test tools stand outside the product. */
const OUTSIDE = /^(examples|tests)\//;
/** What would tie a platform-neutral crate to one runtime. */
const RUNTIMES = 'worker spin-sdk tokio reqwest hyper wasm-bindgen js-sys web-sys rskafka rdkafka redis'.split(' ');
/** The layers of edge/core/src, from the ground up. Modules of one layer do not name each other. */
const LAYERS = [
  ['http', 'token_set'],
  ['runtime'],
  ['error', 'seal', 'stream'],
  ['session', 'oauth'],
  ['coordinator', 'memory', 'proxy'],
  ['route', 'config'],
  ['guard', 'sign_in', 'testing'],
  ['handler'],
  ['edge'],
];

/** @type {{ name: string, manifest_path: string, dependencies: { name: string, kind: string | null }[] }[]} */
const crates = JSON.parse(
  execFileSync('cargo', ['metadata', '--format-version', '1', '--no-deps', '--offline'], {
    cwd: ROOT,
    encoding: 'utf8',
  }),
).packages;

test('a crate depends on no crate of the workspace that it must not know', () => {
  const names = new Set(crates.map((crate) => crate.name));
  for (const { name, manifest_path: path } of crates)
    assert.ok(name in CRATES || OUTSIDE.test(relative(ROOT, path)), `${name} is not listed in CRATES`);
  const wrong = crates.flatMap(({ name, dependencies }) =>
    dependencies
      .filter((it) => names.has(it.name) && it.name !== name && !(CRATES[name] ?? []).includes(it.name))
      .concat(
        /core|protocol/.test(name) ? dependencies.filter((it) => it.kind !== 'dev' && RUNTIMES.includes(it.name)) : [],
      )
      .map((dependency) => `${name} must not depend on ${dependency.name}`),
  );
  assert.deepEqual(wrong, []);
});

const CORE = resolve(ROOT, 'edge/core/src');
const files = readdirSync(CORE, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.rs'));
const { imports, faults } = readImports(new Map(files.map((file) => [file, readFileSync(join(CORE, file), 'utf8')])));
// The crate's root names all modules, and no module may name the root.
imports.delete('lib');

test("core's imports can be read", () => assert.deepEqual(faults, []));

test("core's imports run down its layers", () => {
  const module = (/** @type {string} */ name) => name.split('::')[0] ?? '';
  const layer = (/** @type {string} */ name) => LAYERS.findIndex((modules) => modules.includes(module(name)));
  for (const name of imports.keys()) assert.ok(layer(name) >= 0, `${name} is on no layer`);
  const wrong = [...imports].flatMap(([from, targets]) =>
    [...targets].flatMap((target) => {
      if (module(from) === module(target) || layer(from) > layer(target)) return [];
      const why = layer(from) === layer(target) ? 'is a module of the same layer' : 'is above it';
      return [`${from} must not import ${target}: ${module(target)} ${why}`];
    }),
  );
  assert.deepEqual(wrong, []);
});

test("core's files do not import each other in a circle", () => {
  /** @type {string[]} */ const circles = [];
  const visit = (/** @type {string} */ name, /** @type {string[]} */ way) => {
    if (way.includes(name)) circles.push([...way.slice(way.indexOf(name)), name].join(' -> '));
    else if (!done.has(name)) for (const target of imports.get(name) ?? []) visit(target, [...way, name]);
    done.add(name);
  };
  const done = new Set();
  for (const name of imports.keys()) visit(name, []);
  assert.deepEqual(circles, []);
});
