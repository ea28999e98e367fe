// Writes the tables of all texts into docs/widget.md: `node widget/string-table.mjs`. A test fails if they are old.

import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const SOURCES = join(import.meta.dirname, 'src');
const PAGE = join(import.meta.dirname, '../docs/widget.md');
const MARKED = /(?<=<!-- strings: begin -->\n).*?(?=<!-- strings: end -->)/s;

/** The page as it should be. */
export async function pageWithStrings() {
  /** @type {string[]} */
  const tables = [];
  for (const file of globSync('**/*strings.js', { cwd: SOURCES }).sort()) {
    /** @type {Record<string, unknown>} */
    const module = await import(pathToFileURL(join(SOURCES, file)).href);
    const strings = Object.entries(module).find(([name]) => name.endsWith('STRINGS'))?.[1] ?? {};
    const rows = Object.entries(strings).map(([name, text]) => `| \`${name}\` | ${text.replaceAll('|', '\\|')} |\n`);
    tables.push(`\n### Texts in ${file}\n\n| string | English |\n|---|---|\n${rows.join('')}\n`);
  }
  return readFileSync(PAGE, 'utf8').replace(MARKED, () => tables.join('').trimEnd() + '\n\n');
}

if (process.argv[1] === import.meta.filename) writeFileSync(PAGE, await pageWithStrings());
