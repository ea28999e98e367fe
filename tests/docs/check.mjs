// What is wrong with the blocks of a page, as far as can be said without running them: marks are missing or mean
// nothing, a block does not parse, or a command names a file that does not exist.

import { spawnSync } from 'node:child_process';
import { existsSync, globSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { transformSync } from 'esbuild';
import { parseAllDocuments } from 'yaml';

import { ROOT } from '../../scripts/stack/path.mjs';
import { commands } from './block.mjs';

/** @typedef {import('./block.mjs').Block} Block */

/** The pages whose blocks are checked. */
export const PAGES = globSync(
  ['README.md', 'CONTRIBUTING.md', 'docs/*.md', 'widget/README.md', 'examples/deploy/README.md'],
  { cwd: ROOT },
).sort();

/** An indented block that begins with one of these is for a shell, and must be fenced to have a mark. */
const PROGRAMS =
  /^(\.?\/?scripts\/|[A-Z_]+=\S+ |(cargo|cat|cd|curl|docker|echo|git|helm|jq|kcat|kubectl|node|npm|npx|openssl|python3|spin) )/;

/** @type {Record<string, (code: string) => string | undefined>} what is wrong with code of a language */
const PARSERS = {
  sh: (code) => complaint(spawnSync('bash', ['-n'], { input: code, encoding: 'utf8' })),
  json: (code) => thrown(() => JSON.parse(code)),
  js: (code) => compiled(code, 'js'),
  ts: (code) => compiled(code, 'ts'),
  css: (code) => compiled(code, 'css'),
  yaml: (code) => parseAllDocuments(code).flatMap(({ errors }) => errors)[0]?.message,
  python: (code) => complaint(python('import ast, sys; ast.parse(sys.stdin.read())', code)),
  toml: (code) => complaint(python('import sys, tomllib; tomllib.loads(sys.stdin.read())', code)),
};

/** Languages that nothing here parses. */
const OTHERS = new Set(['html', 'http', 'text', 'mermaid', 'dotenv', 'rust', 'go', 'java', 'sql', 'diff']);

/** @param {string} program @param {string} input */
const python = (program, input) => spawnSync('python3', ['-c', program], { input, encoding: 'utf8' });

/** @param {import('node:child_process').SpawnSyncReturns<string>} ended */
function complaint({ error, status, stderr }) {
  // A machine without the parser checks less.
  if (error || /No module named/.test(stderr)) return undefined;
  return status === 0 ? undefined : stderr.trim().split('\n').at(-1);
}

/** @param {string} code @param {'js' | 'ts' | 'css'} loader */
function compiled(code, loader) {
  return thrown(() => {
    const { warnings } = transformSync(code, { loader, logLevel: 'silent' });
    if (warnings[0]) throw new Error(warnings[0].text);
  });
}

/** @param {() => unknown} action */
function thrown(action) {
  try {
    action();
    return undefined;
  } catch (error) {
    return /** @type {Error} */ (error).message.split('\n').at(-1);
  }
}

/** The sources in which tests take blocks by name. */
const namedInTests = globSync('tests/*/*.test.mjs', { cwd: ROOT })
  .map((file) => readFileSync(join(ROOT, file), 'utf8'))
  .join('\n');

/**
 * What is wrong with the blocks of one page, each with its place.
 * @param {readonly Block[]} blocks @returns {string[]}
 */
export function problems(blocks) {
  return blocks.flatMap((block, at) =>
    complaints(block, blocks[at - 1]).map((each) => `${block.page}:${block.line}: ${each}`),
  );
}

/** @param {Block} block @param {Block | undefined} before @returns {string[]} */
function complaints({ language, code, mark, page }, before) {
  if (language === '') return PROGRAMS.test(code) ? ['indented shell commands: use a fence, ```sh, with a mark'] : [];
  if (language === 'none') return ['a fence without a language'];
  const parse = PARSERS[language];
  if (!parse && !OTHERS.has(language)) return [`'${language}' is not a language that documents use`];
  const found = [parse?.(code)].filter((each) => each !== undefined);
  if (mark?.kind === 'unknown') found.push(`'${mark.text}' is not a mark`);
  if (mark?.kind === 'output' && before?.mark?.kind !== 'run' && before?.mark?.kind !== 'stack')
    found.push('an output without a block that is run before it');
  if (mark?.kind === 'named' && !namedInTests.includes(`namedBlock('${page}', '${mark.name}')`))
    found.push(`no test runs '${mark.name}'`);
  if (language === 'sh') {
    if (!mark) found.push('shell commands without a mark: <!-- doc: run --> or <!-- doc: not run, REASON -->');
    found.push(...missingFiles(code), ...unknownArguments(code));
  }
  return found;
}

/** Files of the repository that commands name and that do not exist. @param {string} code @returns {string[]} */
function missingFiles(code) {
  const words = commands(code).flatMap((line) => line.replace(/\s#.*$/gm, '').split(/[\s"'=]+/));
  const paths = words.filter((word) =>
    /^(\.\/)?(scripts|docs|examples|tests|widget|kafka-bridge|edge)\/[\w./-]+$/.test(word),
  );
  return paths.flatMap((path) => {
    const file = join(ROOT, path);
    if (!existsSync(file)) return [`${path}: no such file`];
    const isProgram = path.startsWith('./scripts/') && statSync(file).isFile();
    return isProgram && !(statSync(file).mode & 0o100) ? [`${path} cannot be executed`] : [];
  });
}

/** Options and words that a command gives to a script, and that the script does not have. @param {string} code */
function unknownArguments(code) {
  return commands(code).flatMap((line) => {
    const [, name, given = ''] = /^\.\/scripts\/([\w-]+)((?: [^\n#|;&]*)?)/.exec(line) ?? [];
    if (!name || !existsSync(join(ROOT, 'scripts', name))) return [];
    const script = textOf(name);
    // What stands behind `--` is a pattern.
    const [own = ''] = given.split(' -- ');
    const all = own.split(/\s+/);
    // A word behind an option may be its value.
    const words = all.filter(
      (word, at) => /^--[a-z][a-z-]*$/.test(word) || (/^[a-z][a-z-]*$/.test(word) && !all[at - 1]?.startsWith('--')),
    );
    return words.filter((word) => !script.includes(word)).map((word) => `scripts/${name} has no '${word}'`);
  });
}

/** A script, and what it runs if it only calls a program in a folder beside it. @param {string} name */
function textOf(name) {
  const script = readFileSync(join(ROOT, 'scripts', name), 'utf8');
  const [, folder] = /scripts\/([\w-]+)\/main\.mjs/.exec(script) ?? [];
  const parts = folder ? readdirSync(join(ROOT, 'scripts', folder)) : [];
  return [script, ...parts.map((part) => readFileSync(join(ROOT, 'scripts', folder ?? '', part), 'utf8'))].join('\n');
}
