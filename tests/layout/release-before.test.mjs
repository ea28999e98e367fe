// Which release scripts/build-release-before takes.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');
const repository = mkdtempSync(join(tmpdir(), 'causeway-release-'));
const git = (/** @type {string[]} */ ...words) => execFileSync('git', ['-C', repository, ...words], { stdio: 'pipe' });

before(() => {
  for (const script of ['scripts/env', 'scripts/build-release-before'])
    cpSync(join(ROOT, script), join(repository, script));
  git('init', '--quiet');
  git('config', 'user.email', 'nobody@example.com');
  git('config', 'user.name', 'Nobody');
  for (const kind of ['commit', 'tag']) git('config', `${kind}.gpgsign`, 'false');
  for (const message of ['one', 'two', 'three']) git('commit', '--quiet', '--allow-empty', '--message', message);
});
after(() => rmSync(repository, { recursive: true, force: true }));

/** @param {string} [release] CAUSEWAY_RELEASE */
function which(release = '') {
  const { status, stdout, stderr } = spawnSync(join(repository, 'scripts/build-release-before'), ['--which'], {
    env: { ...process.env, CAUSEWAY_RELEASE: release },
    encoding: 'utf8',
  });
  return { status, release: stdout.trim(), stderr };
}

test('without a tag before this commit, it says that there is no release', () => {
  assert.equal(which().status, 3);
  assert.match(which().stderr, /no commit before this one has a tag v\*: there is no release yet/);
  // The release that is being made is none before it.
  git('tag', 'v9.0.0');
  assert.equal(which().status, 3);
});

test('of several, the highest version before this commit is taken, and a candidate is older than its release', () => {
  git('tag', 'v0.9.0', 'HEAD~2');
  git('tag', 'v0.10.0-rc.1', 'HEAD~1');
  assert.equal(which().release, 'v0.10.0-rc.1');
  git('tag', 'v0.10.0', 'HEAD~1');
  assert.equal(which().release, 'v0.10.0');
});

test('a named commit is taken instead, if there is one', () => {
  assert.equal(which('HEAD~2').release, 'HEAD~2');
  assert.deepEqual([which('nonsense').status, which('nonsense').release], [2, '']);
});
