// Links between documents lead somewhere: to a file that exists, and to a heading that it has.

import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');
const pages = globSync('{*.md,docs/**/*.md,examples/**/*.md,tests/**/*.md,widget/*.md}', {
  cwd: ROOT,
  exclude: (path) => String(path).includes('node_modules'),
});

/** Anchors as GitHub makes them. @param {string} text @returns {Set<string>} */
function anchors(text) {
  const plain = text.replace(/^```.*?^```/gms, '');
  const used = new Map();
  return new Set(
    [...plain.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => {
      const name = heading
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\p{M} _-]/gu, '')
        .replaceAll(' ', '-');
      const times = used.get(name) ?? 0;
      used.set(name, times + 1);
      return times ? `${name}-${times}` : name;
    }),
  );
}

/** The links of a page that lead nowhere. @param {string} page @param {string} text */
function broken(page, text) {
  const links = [...text.replace(/^```.*?^```/gms, '').matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target);
  return links.flatMap((link) => {
    if (/^(https?|mailto):/.test(link)) return [];
    const [path = '', anchor] = link.split('#');
    const file = path ? join(ROOT, dirname(page), path) : join(ROOT, page);
    if (relative(ROOT, file).startsWith('..') || !existsSync(file)) return [`${page}: ${link}: no such file`];
    if (anchor === undefined || statSync(file).isDirectory() || !file.endsWith('.md')) return [];
    return anchors(readFileSync(file, 'utf8')).has(anchor) ? [] : [`${page}: ${link}: no such heading`];
  });
}

test('links between documents lead somewhere', () => {
  assert.ok(pages.length > 15, String(pages.length));
  assert.deepEqual(
    pages.flatMap((page) => broken(page, readFileSync(join(ROOT, page), 'utf8'))),
    [],
  );
});

test('a link that leads nowhere is noticed', () => {
  const text = '[a](nowhere.md) [b](README.md#nowhere) [c](README.md) [d](https://example.com/x) [e](#f)\n\n# F';
  assert.deepEqual(broken('README.md', text), [
    'README.md: nowhere.md: no such file',
    'README.md: README.md#nowhere: no such heading',
    'README.md: #f: no such heading',
  ]);
});
