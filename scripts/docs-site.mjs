// Puts the documents into the form that mdBook reads: one flat folder, a table of contents, links between the pages of
// the site, and links to the forge for other files. scripts/docs-site runs it, and tests/layout/docs-site.test.mjs
// checks it.

import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(import.meta.dirname, '..');

/** Pages outside docs/, and their names on the site. @type {Record<string, string>} */
const OTHERS = {
  'README.md': 'index.md',
  'docs/README.md': 'documentation.md',
  'CONTRIBUTING.md': 'contributing.md',
  'CHANGELOG.md': 'changelog.md',
  'SECURITY.md': 'reporting.md',
  'widget/README.md': 'widget.md',
  'examples/deploy/README.md': 'deploy-examples.md',
};

/** The name on the site of each page of the repository. */
function sitePages() {
  const pages = globSync('docs/*.md', { cwd: ROOT })
    .filter((page) => !OTHERS[page])
    .map((page) => /** @type {const} */ ([page, basename(page)]));
  return new Map([...Object.entries(OTHERS), ...pages]);
}

/** Files that pages show or link to, with their names on the site. */
function siteFiles() {
  const files = globSync(['docs/*.{png,svg,webp,yaml}', 'docs/benchmarks/*'], { cwd: ROOT });
  return new Map(files.map((file) => [file, file.replace('docs/', '')]));
}

/**
 * Where a link of a page leads on the site, or undefined if that is nowhere.
 * @param {string} page @param {string} link @param {ReadonlyMap<string, string>} targets
 * @param {string | undefined} repository address of the files on the forge
 */
function siteLink(page, link, targets, repository) {
  if (/^([a-z]+:|#)/.test(link)) return link;
  const [path = '', anchor] = link.split('#');
  const file = normalize(join(dirname(page), path)).replace(/\/$/, '');
  const target = targets.get(file) ?? targets.get(`${file}/README.md`);
  if (target) return anchor ? `${target}#${anchor}` : target;
  return repository && `${repository}/${file}`;
}

/**
 * A page as the site has it.
 * @param {string} page @param {string} text @param {ReadonlyMap<string, string>} targets @param {string} [repository]
 */
export function sitePage(page, text, targets, repository) {
  // Code stays as it is: every second part is a fenced block.
  return text
    .split(/(^ *```[^]*?^ *```$)/m)
    .map((part, at) =>
      at % 2
        ? part
        : part
            .replace(/^ *<!-- doc: .* -->\n/gm, '')
            // The badges are for the forge.
            .replace(/^<a href=.*<\/a>\n/gm, '')
            .replace(/(!?)\[((?:[^\][]|\[[^\]]*\])*)\]\(([^)\s]+)\)/g, (_, image, words, link) => {
              const target = siteLink(page, link, targets, repository);
              return target === undefined ? words : `${image}[${words}](${target})`;
            }),
    )
    .join('');
}

/** The table of contents: the tables of docs/README.md. @param {string} text of that page, as the site has it */
export function summary(text) {
  const lines = ['# Summary', '', '[Causeway](index.md)', '[All pages](documentation.md)'];
  for (const part of text.split(/^## /m).slice(1)) {
    const rows = [...part.matchAll(/^\| \[([^\]]+)\]\(([\w-]+\.md)\)/gm)].filter(([, , file]) => file !== 'index.md');
    if (rows.length) lines.push('', `# ${part.split('\n')[0]}`, '');
    for (const [, name = '', file] of rows) lines.push(`- [${name.replace(/\.md$/, '')}](${file})`);
  }
  return `${lines.join('\n')}\n\n---\n\n[Changelog](changelog.md)\n[Reporting a vulnerability](reporting.md)\n`;
}

/**
 * Writes all of it into a folder.
 * @param {string} folder @param {string} [repository]
 */
export function stage(folder, repository) {
  const pages = sitePages();
  const targets = new Map([...pages, ...siteFiles()]);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(join(folder, 'src'), { recursive: true });
  for (const [page, name] of pages) {
    const text = sitePage(page, readFileSync(join(ROOT, page), 'utf8'), targets, repository);
    writeFileSync(join(folder, 'src', name), text);
    if (page === 'docs/README.md') writeFileSync(join(folder, 'src/SUMMARY.md'), summary(text));
  }
  for (const [file, name] of siteFiles()) cpSync(join(ROOT, file), join(folder, 'src', name));
  writeFileSync(
    join(folder, 'book.toml'),
    `[book]\ntitle = "Causeway"\nlanguage = "en"\nsrc = "src"\n\n[output.html]\nno-section-label = true\n` +
      (repository ? `git-repository-url = "${repository.replace(/\/blob\/.*/, '')}"\n` : ''),
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [folder = '', repository] = process.argv.slice(2);
  stage(folder, repository || undefined);
}
