// A row's section of docs/benchmarks.md, between its markers, and its chart beside the page.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { chart } from './chart.mjs';
import { disagreements, remarks, table } from './table.mjs';

const LINE_LENGTH = 120;

/** @typedef {import('../measure/round.mjs').Result} Result */
/**
 * @typedef {object} Report
 * @property {string} name of the row
 * @property {import('../row.mjs').Row} row
 * @property {readonly Result[]} results
 * @property {string} conditions when, how often, how long
 */

/** The section in Markdown. @param {Report} report */
export function section({ name, row, results, conditions }) {
  const notes = [...remarks(results), ...disagreements(row.figures, results)];
  const commands = [...new Set(results.map(({ contestant }) => `\`${contestant.command}\``))];
  return [
    `## ${row.title}: \`./scripts/bench ${name}\``,
    wrapped(row.about),
    wrapped(conditions),
    table(row.figures, results),
    `![${row.title}](benchmarks/${name}.svg)`,
    ...(notes.length ? [notes.map((note) => `- ${note}`).join('\n')] : []),
    wrapped(`Measured by ${commands.join(', ')}.`),
  ].join('\n\n');
}

/** Lines as long as the page's own. @param {string} text */
function wrapped(text) {
  /** @type {string[]} */
  const lines = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= LINE_LENGTH) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}

/**
 * Writes the chart into `folder`, and the section into its page if that has markers for it.
 * @param {Report} report @param {string} page the file @param {string} charts the folder
 */
export function write(report, page, charts) {
  const { name, row, results } = report;
  const [figure] = row.figures;
  mkdirSync(charts, { recursive: true });
  if (figure) writeFileSync(join(charts, `${name}.svg`), chart(row.title, figure, results));
  replace(page, name, section(report));
}

/** Replaces what is between the markers of `name`. @param {string} page @param {string} name @param {string} content */
function replace(page, name, content) {
  const [from, to] = [`<!-- bench:${name} -->`, `<!-- /bench:${name} -->`];
  const text = readFileSync(page, 'utf8');
  const [start, end] = [text.indexOf(from), text.indexOf(to)];
  if (start < 0 || end < start) throw new Error(`${page} has no markers ${from} and ${to}`);
  writeFileSync(page, `${text.slice(0, start + from.length)}\n\n${content}\n\n${text.slice(end)}`);
}
