// One row for every case of the catalogue, from the results of all tests that claim it.

import { CATALOGUE } from './catalogue.mjs';

/** @typedef {import('./case.mjs').Result} Result */
/** @typedef {import('./case.mjs').Outcome} Outcome */

/** The worst first. @type {readonly Outcome[]} */
const ORDER = ['failed', 'cannot run', 'missing', 'passed'];

/** @param {Result} row @param {boolean} isStrict */
export function isFailure({ outcome }, isStrict) {
  return outcome === 'failed' || (isStrict && outcome !== 'passed');
}

/** @param {readonly Result[]} results @param {boolean} isWhole whether every case was to be run */
export function table(results, isWhole) {
  const ids = [...new Set([...Object.keys(CATALOGUE), ...results.map(({ id }) => id)])].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
  const rows = ids.flatMap((id) => row(id, results.filter((result) => result.id === id), isWhole));
  /** @type {Record<string, number>} */
  const counts = {};
  for (const { outcome } of rows) counts[outcome] = (counts[outcome] ?? 0) + 1;
  const lines = rows.map(({ id, title, where, outcome }) => `  ${id.padEnd(5)} ${outcome.toUpperCase().padEnd(11)} ${title.padEnd(64)} ${where}`);
  const summary = ORDER.filter((outcome) => counts[outcome]).map((outcome) => `${counts[outcome]} ${outcome}`).join(', ');
  return { rows, counts, text: `${summary}\n${lines.join('\n')}\n` };
}

/** @param {string} id @param {Result[]} results @param {boolean} isWhole @returns {Result[]} */
function row(id, results, isWhole) {
  const title = CATALOGUE[id] ?? results[0]?.title ?? '';
  if (!results.length) return isWhole ? [{ id, title, where: '-', outcome: 'missing' }] : [];
  const outcome = ORDER.find((candidate) => results.some((result) => result.outcome === candidate)) ?? 'missing';
  const detail = results.filter((result) => result.outcome === outcome).flatMap((result) => result.detail ?? []).join('\n');
  return [{ id, title, where: [...new Set(results.map((result) => result.where))].join('; '), outcome, ...(detail && { detail }) }];
}
