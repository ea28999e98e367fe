// What builds the edge is installed for a deployment, too, which leaves out the packages of tests.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');
const IMPORT = /^\s*(?:import|export)\b[^'"]*?from '([^'.][^']*)'|^import '([^'.][^']*)'/gm;

test('the widget and its build import only what a deployment installs', () => {
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const sources = readdirSync(join(ROOT, 'widget/src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.js'))
    .map((name) => join('widget/src', name));
  const build = ['widget/build.mjs', 'widget/bundle-check.mjs', 'widget/shell.mjs', 'scripts/optimise-wasm.mjs'];
  const imported = new Map();
  for (const path of [...sources, ...build])
    for (const [, from, bare] of readFileSync(join(ROOT, path), 'utf8').matchAll(IMPORT))
      imported.set(from ?? bare, path);
  assert.ok(imported.has('esbuild') && imported.has('json-logic-js'), 'the test finds imports');
  for (const [name, path] of imported)
    if (!name.startsWith('node:')) assert.ok(Object.hasOwn(dependencies, name), `${path} imports ${name}`);
});
