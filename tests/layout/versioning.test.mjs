// The compatibility matrix of docs/versioning.md says what source and tags say.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

import { faults, matrix, sections, versionsOf } from './release.mjs';

const ROOT = resolve(import.meta.dirname, '../..');
const read = (/** @type {string} */ path) => readFileSync(join(ROOT, path), 'utf8');
const git = (/** @type {string[]} */ ...words) =>
  execFileSync('git', words, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

/** Releases that are tagged here. A shallow clone has none, and an archive has no Git. */
function tags() {
  const names = existsSync(join(ROOT, '.git')) ? git('tag', '--list', 'v*').split('\n').filter(Boolean) : [];
  return new Map(names.map((tag) => [tag.slice(1), versionsOf((path) => git('show', `${tag}:${path}`))]));
}

test('the matrix of versions agrees with source, tags and changelog', () => {
  const facts = { rows: matrix(read('docs/versioning.md')), tree: versionsOf(read), tags: tags() };
  assert.deepEqual(faults({ ...facts, changelog: sections(read('CHANGELOG.md')) }), []);
});

test('all manifests have the version of the workspace', () => {
  const { edge } = versionsOf(read);
  assert.match(edge, /^\d+\.\d+\.\d+/);
  const lock = JSON.parse(read('package-lock.json'));
  assert.deepEqual([lock.version, lock.packages[''].version], [edge, edge], 'package-lock.json');
  assert.equal(JSON.parse(read('widget/package.json')).version, edge, 'widget/package.json');
  assert.equal(/^version = "([^"]+)"$/m.exec(read('spin.toml'))?.[1], edge, 'spin.toml');
});

test('a matrix that lags behind is noticed', () => {
  const tree = { edge: '0.2.0', bridge: '0.2.0', widget: '0.2.0', contract: '3' };
  const old = { edge: '0.1.0', bridge: '0.1.0', widget: '0.1.0', contract: '2' };
  const row = { release: 'unreleased', ...tree };
  const good = {
    rows: [row, { release: '0.1.0', ...old }],
    tree,
    changelog: ['Unreleased', '0.1.0'],
    tags: new Map([['0.1.0', old]]),
  };
  assert.deepEqual(faults(good), []);
  /** @type {[Partial<typeof good>, RegExp][]} */
  const bad = [
    [{ rows: [] }, /missing/],
    [{ tree: { ...tree, contract: '4' } }, /contract is 4, not 3/],
    [{ tags: new Map([['0.1.0', { ...old, bridge: '0.1.1' }]]) }, /bridge is 0.1.1/],
    [{ rows: [row] }, /0.1.0 has a tag and no row/],
    [{ changelog: ['0.1.0'] }, /does not begin with Unreleased/],
    [{ changelog: ['Unreleased'] }, /different releases/],
  ];
  for (const [change, message] of bad) assert.match(faults({ ...good, ...change }).join('\n'), message);
});
