// The code blocks of a Markdown page, each with the mark in front of it:
//
//   <!-- doc: run -->                 its commands run in a test, from the root of the repository
//   <!-- doc: run on the stack -->    they run against a running product: http://localhost:8787 is its edge,
//                                     127.0.0.1:9092 its Kafka, http://localhost:8080 its host page and github:583231
//                                     the id of a signed-in user
//   <!-- doc: run as NAME -->         a test in tests/ runs it by this name, see `namedBlock`
//   <!-- doc: output -->              what the block before it prints; … stands for any text
//   <!-- doc: not run, REASON -->     it needs what no test has, such as an account

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/stack/path.mjs';

/**
 * @typedef {{ kind: 'run' | 'stack' | 'output' } | { kind: 'named', name: string } | { kind: 'not', reason: string } |
 * { kind: 'unknown', text: string }} Mark
 */
/**
 * @typedef {object} Block
 * @property {string} page
 * @property {number} line of its first line of code
 * @property {string} language empty for an indented block
 * @property {string} code
 * @property {Mark | undefined} mark
 */

/** @param {string} text of a mark @returns {Mark} */
function markOf(text) {
  if (text === 'run') return { kind: 'run' };
  if (text === 'run on the stack') return { kind: 'stack' };
  if (text === 'output') return { kind: 'output' };
  const [, name] = /^run as ([a-z][a-z0-9-]*)$/.exec(text) ?? [];
  if (name) return { kind: 'named', name };
  const [, reason] = /^not run, (\S.*)$/s.exec(text) ?? [];
  return reason ? { kind: 'not', reason } : { kind: 'unknown', text };
}

/**
 * The blocks of a page, fenced and indented.
 * @param {string} page @param {string} text @returns {Block[]}
 */
export function blocks(page, text) {
  /** @type {Block[]} */
  const found = [];
  const lines = text.split('\n');
  /** @type {Mark | undefined} */
  let mark;
  let isAfterBlank = true;
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const [, comment] = /^\s*<!-- doc: (.*?) -->\s*$/.exec(line) ?? [];
    const [, indent = '', fence, language = ''] = /^( *)(`{3,}|~{3,})\s*([^\s`]*)/.exec(line) ?? [];
    if (comment !== undefined) {
      mark = markOf(comment);
    } else if (fence) {
      const first = at + 1;
      while (++at < lines.length && !(lines[at] ?? '').trim().startsWith(fence));
      const code = lines.slice(first, at).map((each) => each.replace(new RegExp(`^ {0,${indent.length}}`), ''));
      found.push({ page, line: first + 1, language: language || 'none', code: code.join('\n'), mark });
      mark = undefined;
    } else if (isAfterBlank && /^ {4}\S/.test(line)) {
      const first = at;
      while (/^( {4}|\s*$)/.test(lines[at + 1] ?? '-')) at++;
      const code = lines.slice(first, at + 1).map((each) => each.slice(4));
      found.push({ page, line: first + 1, language: '', code: code.join('\n').trimEnd(), mark });
      mark = undefined;
    } else if (line.trim()) {
      mark = undefined;
    }
    isAfterBlank = !(lines[at] ?? '').trim();
  }
  return found;
}

/** @param {string} page from the root @returns {Block[]} */
export function blocksOf(page) {
  return blocks(page, readFileSync(join(ROOT, page), 'utf8'));
}

/**
 * The block that is marked with this name, for a test that runs it.
 * @param {string} page @param {string} name
 */
export function namedBlock(page, name) {
  const block = blocksOf(page).find(({ mark }) => mark?.kind === 'named' && mark.name === name);
  if (!block) throw new Error(`${page} has no block that is marked "run as ${name}"`);
  return block;
}

/**
 * The commands of a shell block: its lines without comments, and with what continues a line or is its input.
 * @param {string} code @returns {string[]}
 */
export function commands(code) {
  /** @type {string[]} */
  const found = [];
  /** @type {string | undefined} */
  let inputEnd;
  let continues = false;
  for (const line of code.split('\n')) {
    if (inputEnd !== undefined) {
      if (line.trim() === inputEnd) inputEnd = undefined;
    } else if (continues) {
      found.push(`${found.pop()}\n${line}`);
      continues = line.endsWith('\\');
    } else if (line.trim() && !line.trim().startsWith('#')) {
      found.push(line);
      continues = line.endsWith('\\');
      [, inputEnd] = /<<-?\s*['"]?(\w+)/.exec(line) ?? [];
    }
  }
  return found;
}
