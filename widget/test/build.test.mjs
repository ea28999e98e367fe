// What the build writes: bundles that a server can import, and maps that lead to their sources.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { SourceMap } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { build } from '../build.mjs';

describe('the build', () => {
  let dist = '';
  /** @type {{ name: string, map?: string }[]} */
  let bundles = [];

  before(async () => {
    dist = await mkdtemp(join(tmpdir(), 'causeway-widget-'));
    bundles = (await build(dist)).filter(({ map }) => map);
    await writeFile(join(dist, 'package.json'), '{"type":"module"}');
  });
  after(() => rm(dist, { recursive: true, force: true }));

  test('each bundle is imported on a server without harm', () => {
    const names = bundles.map(({ name }) => name);
    assert.ok(names.includes('chat-widget.js') && names.includes('remote-entry.js'));
    const code = `
      const before = new Set(Reflect.ownKeys(globalThis));
      for (const name of ${JSON.stringify(names)}) await import(\`${dist}/\${name}\`);
      console.log(Reflect.ownKeys(globalThis).filter((key) => !before.has(key)).join());
    `;
    // It ends by itself: no timer and no connection stays. The classic script's purpose is its global.
    const words = ['--input-type=module', '--eval', code];
    assert.equal(execFileSync(process.execPath, words, { encoding: 'utf8', timeout: 20_000 }), 'ChatWidget\n');
  });

  test('a map leads from a place in its bundle to that of the source', async () => {
    const code = await readFile(join(dist, 'chat-widget.js'), 'utf8');
    assert.ok(!code.includes('sourceMappingURL'), 'the edge says where the map is');
    const map = JSON.parse(await readFile(join(dist, 'chat-widget.js.map'), 'utf8'));
    const lines = code.slice(0, code.indexOf('no edge')).split('\n');
    const entry = new SourceMap(map).findEntry(lines.length - 1, lines.at(-1)?.length ?? 0);
    assert.ok('originalSource' in entry);
    assert.equal(entry.originalSource, '../src/element.js');
    const source = map.sourcesContent[map.sources.indexOf(entry.originalSource)].split('\n');
    assert.match(source[entry.originalLine], /no edge/);
  });

  test('a bundle has the same bytes wherever it was built', async () => {
    const other = await mkdtemp(join(tmpdir(), 'causeway-widget-other-place-'));
    try {
      await build(other);
      for (const name of ['chat-widget.js', 'chat-widget.js.map', 'manifest.json'])
        assert.equal(await readFile(join(other, name), 'utf8'), await readFile(join(dist, name), 'utf8'), name);
    } finally {
      await rm(other, { recursive: true, force: true });
    }
  });
});
