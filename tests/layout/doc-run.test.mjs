// The code blocks of documents are marked and parse, and those that need nothing run. Blocks that need a running
// product run in tests/http/documents.test.mjs.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { ROOT } from '../../scripts/stack/path.mjs';
import { blocks, blocksOf, commands, namedBlock } from '../docs/block.mjs';
import { PAGES, problems } from '../docs/check.mjs';
import { count, outputProblem, runBlocks } from '../docs/run.mjs';

const all = PAGES.map((page) => blocksOf(page));

/** @param {string} text */
const problemsOf = (text) => problems(blocks('page.md', text));

test('every code block is marked, parses, and names files that exist', () => {
  assert.ok(PAGES.length > 20, PAGES.join(' '));
  assert.deepEqual(all.flatMap(problems), []);
});

test('commands that need nothing run', async () => {
  assert.ok(count(all.flat()).run > 0);
  for (const page of all) assert.deepEqual(await runBlocks(page, 'run'), []);
});

test('a block without a mark, or with one that means nothing, is noticed', () => {
  assert.match(problemsOf('```sh\nls\n```').join(), /page\.md:2: shell commands without a mark/);
  assert.match(problemsOf('<!-- doc: walk -->\n```sh\nls\n```').join(), /'walk' is not a mark/);
  assert.match(problemsOf('<!-- doc: run as nothing -->\n```python\n1\n```').join(), /no test runs 'nothing'/);
  assert.match(problemsOf('<!-- doc: output -->\n```text\nx\n```').join(), /an output without a block/);
  assert.match(problemsOf('Run:\n\n    ./scripts/dev\n').join(), /use a fence/);
  assert.match(problemsOf('```\nx\n```').join(), /a fence without a language/);
  assert.match(problemsOf('```klingon\nx\n```').join(), /'klingon' is not a language/);
  assert.deepEqual(problemsOf('<!-- doc: not run, it needs an account -->\n```sh\nls\n```'), []);
  assert.deepEqual(problemsOf('- a\n\n  - b\n    c\n\nText\n\n    indented, not shell\n'), []);
});

test('code that does not parse is noticed', () => {
  for (const [language, code] of Object.entries({ json: '{a}', js: 'const = 1', css: '.a { { }', yaml: 'a: b: c' }))
    assert.equal(problemsOf(`\`\`\`${language}\n${code}\n\`\`\``).length, 1, language);
  assert.equal(problemsOf('<!-- doc: run -->\n```sh\nif true\n```').length, 1);
});

test('a file, an option or a word that does not exist is noticed', () => {
  const marked = (/** @type {string} */ command) =>
    problemsOf(`<!-- doc: not run, x -->\n\`\`\`sh\n${command}\n\`\`\``);
  assert.match(marked('cat docs/nothing.md').join(), /docs\/nothing\.md: no such file/);
  assert.match(marked('./scripts/dev --nothing').join(), /scripts\/dev has no '--nothing'/);
  assert.match(marked('./scripts/test https workers').join(), /scripts\/test has no 'https'/);
  assert.deepEqual(marked("./scripts/test http spin -- 'any words at all' # and a comment"), []);
});

test('commands are counted with what continues them and without comments', () => {
  assert.deepEqual(commands('# a\nb \\\n  c\n\ncat <<END\nnot a command\nEND\nd'), ['b \\\n  c', 'cat <<END', 'd']);
});

test('an output is compared line by line', () => {
  assert.equal(outputProblem('a…c\nd', '1\nabc\n2\nd\n'), undefined);
  assert.match(outputProblem('d\nabc', 'abc\nd\n') ?? '', /the page says/);
  assert.match(outputProblem('a.c', 'abc\n') ?? '', /the page says/);
});

test('a command that fails, or prints something else, is noticed', async () => {
  const run = (/** @type {string} */ text) => runBlocks(blocks('page.md', text), 'run');
  assert.match((await run('<!-- doc: run -->\n```sh\nfalse\ntrue\n```')).join(), /page\.md:3: ended with 1/);
  const printed = '<!-- doc: run -->\n```sh\necho a\n```\n\n<!-- doc: output -->\n```text\nb\n```';
  assert.match((await run(printed)).join(), /page\.md:3: the page says/);
});

test("the tutorial's settings are such that scripts/dev takes", () => {
  const folder = mkdtempSync(join(tmpdir(), 'causeway-settings-'));
  try {
    const file = join(folder, 'my.settings');
    writeFileSync(file, namedBlock('docs/tutorial.md', 'settings').code);
    const dev = ['scripts/stack/dev.mjs', '--check', 'spin', '--settings'];
    const checked = execFileSync(process.execPath, [...dev, file, '--no-assistant', '--no-page'], { cwd: ROOT });
    assert.equal(String(checked), 'spin\n');
    const refused = spawnSync(process.execPath, [...dev, join(folder, 'nothing')], { cwd: ROOT, encoding: 'utf8' });
    assert.match(refused.stderr, /cannot be read \(ENOENT\), see --help/);
    writeFileSync(file, 'A=`"\'`\n');
    const quotes = spawnSync(process.execPath, [...dev, file], { cwd: ROOT, encoding: 'utf8' });
    assert.match(quotes.stderr, /A has both kinds of quotes/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the number of pages in the list of documents is that of the folder', () => {
  const list = readFileSync(join(ROOT, 'docs/README.md'), 'utf8');
  const pages = PAGES.filter((page) => page.startsWith('docs/') && page !== 'docs/README.md');
  assert.deepEqual(
    pages.filter((page) => !list.includes(`(${page.replace('docs/', '')})`)),
    [],
  );
});
