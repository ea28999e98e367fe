// Runs the blocks of documents. `scripts/doc-run` is this program; tests import `runBlock` and `outputProblem`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { ROOT } from '../../scripts/stack/path.mjs';
import { blocksOf, commands } from './block.mjs';
import { PAGES, problems } from './check.mjs';

/** @typedef {import('./block.mjs').Block} Block */
/** @typedef {{ code: number, stdout: string, stderr: string }} Ended */

/** @typedef {Record<string, string>} Stand what addresses in documents stand for */

const TIMEOUT_MS = 60_000;

/** @param {string} text @param {Stand} stand */
export function withAddresses(text, stand) {
  return Object.entries(stand).reduce((before, [from, to]) => before.replaceAll(from, to), text);
}

/**
 * Runs the commands of a block from the repository's root, until the first that fails.
 * @param {Block} block @param {Stand} [stand] @returns {Promise<Ended>}
 */
export async function runBlock({ code }, stand = {}) {
  const child = spawn('bash', ['-euo', 'pipefail', '-c', withAddresses(code, stand)], {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text));
  const [status] = await once(child, 'close');
  return { code: status ?? 1, stdout, stderr };
}

/**
 * What the page says about the output and the program did not print: its lines must be there, in this order.
 * @param {string} expected `…` stands for any text @param {string} printed
 */
export function outputProblem(expected, printed) {
  const pattern = expected
    .split('\n')
    .filter((line) => line.trim())
    .map((line) => line.trim().split('…').map(escaped).join('.*'))
    .join('[^]*?');
  return new RegExp(pattern).test(printed)
    ? undefined
    : `the page says\n${expected}\nbut this was printed:\n${printed}`;
}

/** @param {string} text */
const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');

/**
 * Runs all blocks of one kind of a page, in their order.
 * @param {readonly Block[]} blocks @param {'run' | 'stack'} kind @param {Stand} [stand]
 * @returns {Promise<string[]>} what went wrong
 */
export async function runBlocks(blocks, kind, stand = {}) {
  const failures = [];
  for (const [at, block] of blocks.entries()) {
    if (block.mark?.kind !== kind) continue;
    const place = `${block.page}:${block.line}`;
    const { code, stdout, stderr } = await runBlock(block, stand);
    if (code !== 0) failures.push(`${place}: ended with ${code}:\n${stdout}${stderr}`);
    const next = blocks[at + 1];
    if (code !== 0 || next?.mark?.kind !== 'output') continue;
    const wrong = outputProblem(withAddresses(next.code, stand), stdout);
    if (wrong) failures.push(`${place}: ${wrong}`);
  }
  return failures;
}

/** How many commands there are, by what is done with them. @param {readonly Block[]} blocks */
export function count(blocks) {
  const counted = { run: 0, stack: 0, named: 0, not: 0, compared: 0 };
  for (const { language, code, mark } of blocks) {
    if (mark?.kind === 'named' && language !== 'sh') counted.named++;
    if (language !== 'sh' || !mark || !Object.hasOwn(counted, mark.kind)) continue;
    counted[/** @type {keyof typeof counted} */ (mark.kind)] += commands(code).length;
    if (mark.kind === 'not') counted.compared += commands(code).filter((line) => line.startsWith('./scripts/')).length;
  }
  return counted;
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      list: { type: 'boolean' },
      edge: { type: 'string' },
      kafka: { type: 'string' },
      host: { type: 'string' },
      user: { type: 'string' },
    },
  });
  const chosen = positionals.length ? PAGES.filter((page) => positionals.includes(page)) : PAGES;
  const pages = chosen.map((page) => ({ page, blocks: blocksOf(page) }));
  const all = pages.flatMap(({ blocks }) => blocks);
  if (values.list) {
    for (const { page, line, code, mark, language } of all)
      if (language === 'sh')
        for (const command of commands(code))
          console.log(
            `${page}:${line}\t${mark?.kind === 'not' ? `not run, ${mark.reason}` : mark?.kind}\t${command.split('\n')[0]}`,
          );
    return 0;
  }
  const failures = pages.flatMap(({ blocks }) => problems(blocks));
  for (const { blocks } of pages) failures.push(...(await runBlocks(blocks, 'run')));
  if (values.edge) {
    const stand = {
      'http://localhost:8787': values.edge,
      ...(values.kafka && { '127.0.0.1:9092': values.kafka }),
      ...(values.host && { 'http://localhost:8080': values.host }),
      ...(values.user && { 'github:583231': values.user }),
    };
    for (const { blocks } of pages) failures.push(...(await runBlocks(blocks, 'stack', stand)));
  }
  const { run, stack, named, not, compared } = count(all);
  for (const failure of failures) console.error(`doc-run: ${failure}`);
  const total = run + stack + named + not;
  const onStack = `${stack} on the stack${values.edge ? '' : ' (by tests/http)'}`;
  console.log(
    `doc-run: ${total} commands in ${pages.length} pages: ${run} run here, ${onStack}, ${named} by a test of their own, ` +
      `${compared} compared with their script, ${not - compared} only parsed`,
  );
  return failures.length ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exit(await main());
