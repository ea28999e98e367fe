// The website has every page, and its links lead to pages and files that it has, or to the forge.

import assert from 'node:assert/strict';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { sitePage, stage, summary } from '../../scripts/docs-site.mjs';

test('every page is on the site and in its table of contents, and no link is broken', () => {
  const folder = mkdtempSync(join(tmpdir(), 'causeway-site-'));
  try {
    stage(folder, 'https://forge.example/causeway/blob/main');
    const src = join(folder, 'src');
    const pages = globSync('*.md', { cwd: src }).filter((page) => page !== 'SUMMARY.md');
    const contents = readFileSync(join(src, 'SUMMARY.md'), 'utf8');
    assert.deepEqual(
      pages.filter((page) => !contents.includes(`(${page})`)),
      [],
    );
    const broken = pages.flatMap((page) =>
      [
        ...readFileSync(join(src, page), 'utf8')
          .replace(/^ *```[^]*?^ *```$/gm, '')
          .matchAll(/\]\(([^)#\s:]+)/g),
      ]
        .map(([, link = '']) => link)
        .filter((link) => !/^https?$/.test(link) && !existsSync(join(src, link)))
        .map((link) => `${page}: ${link}`),
    );
    assert.deepEqual(broken, []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('links lead to pages of the site, else to the forge, else nowhere', () => {
  const targets = new Map([
    ['docs/events.md', 'events.md'],
    ['examples/deploy/README.md', 'deploy-examples.md'],
  ]);
  const text = '[a](events.md#x) [b](../examples/deploy) [c](../spin.toml) [d](https://x.example/) `[e](f)`\n';
  const onSite = sitePage('docs/http.md', text, targets, 'https://forge.example/blob/main');
  assert.ok(
    onSite.startsWith(
      '[a](events.md#x) [b](deploy-examples.md) [c](https://forge.example/blob/main/spin.toml) [d](https://x.example/)',
    ),
    onSite,
  );
  assert.match(sitePage('docs/http.md', text, targets), /\[b\]\(deploy-examples\.md\) c \[d\]/);
});

test('marks, badges and code are left out or left alone', () => {
  const text = '<a href="x"><img src="y"></a>\n<!-- doc: run -->\n```sh\n[a](b.md)\n```\n';
  assert.equal(sitePage('README.md', text, new Map()), '```sh\n[a](b.md)\n```\n');
});

test('the table of contents has the parts of the list of pages', () => {
  const text =
    '# X\n\n## Start\n\n| page | content |\n|---|---|\n| [README](index.md) | a |\n| [http.md](http.md) | b |\n';
  assert.match(summary(text), /\n# Start\n\n- \[http\]\(http\.md\)\n/);
});
