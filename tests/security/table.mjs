// One row for every case of the catalogue, from the results of all tests that claim it.

import { CATALOGUE, needed, note } from './catalogue.mjs';

/** @typedef {import('./case.mjs').Result} Result */
/** @typedef {import('./case.mjs').Kind} Kind */
/** @typedef {import('./case.mjs').Outcome} Outcome */
/**
 * @typedef {Omit<Result, 'kind'> & { note?: string, isBeyond?: true }} Row `isBeyond`: a number that is not in the
 * catalogue but has tests
 */

/** Worst first. @type {readonly Outcome[]} */
const ORDER = ['failed', 'cannot run', 'missing', 'passed'];

/** @param {Pick<Row, 'outcome'>} row @param {boolean} isStrict */
export function isFailure({ outcome }, isStrict) {
  return outcome === 'failed' || (isStrict && outcome !== 'passed');
}

/**
 * @param {readonly Result[]} results
 * @param {object} run what was to be run
 * @param {string} run.runtime
 * @param {readonly Kind[]} run.kinds the kinds of tests that were run
 * @param {readonly string[]} [run.chosen] the cases that were chosen; the whole catalogue without it
 */
export function table(results, { runtime, kinds, chosen = Object.keys(CATALOGUE) }) {
  const ids = [...new Set([...chosen, ...results.map(({ id }) => id)])].sort(
    (a, b) => Number(a.slice(1)) - Number(b.slice(1)),
  );
  const rows = ids.map((id) =>
    row(
      id,
      results.filter((result) => result.id === id),
      chosen.includes(id) ? needed(id, runtime).filter((kind) => kinds.includes(kind)) : [],
      runtime,
    ),
  );
  /** @type {Record<string, number>} */
  const counts = {};
  for (const { outcome, isBeyond } of rows) if (!isBeyond) counts[outcome] = (counts[outcome] ?? 0) + 1;
  const lines = rows.map(
    ({ id, title, where, outcome, note }) =>
      `  ${id.padEnd(5)} ${outcome.toUpperCase().padEnd(11)} ${title.padEnd(64)} ${where}${note ? ` (${note})` : ''}`,
  );
  const beyond = rows.filter(({ isBeyond }) => isBeyond);
  const summary = [
    ...ORDER.filter((outcome) => counts[outcome]).map((outcome) => `${counts[outcome]} ${outcome}`),
    ...(beyond.length ? [`beyond the list: ${beyond.map(({ id, outcome }) => `${id} ${outcome}`).join(' and ')}`] : []),
  ].join(', ');
  return { rows, counts, text: `${summary}\n${lines.join('\n')}\n` };
}

/**
 * @param {string} id @param {Result[]} results @param {readonly Kind[]} needed the kinds of test that must claim it
 * @param {string} runtime @returns {Row}
 */
function row(id, results, needed, runtime) {
  const title = CATALOGUE[id] ?? results[0]?.title ?? '';
  const lacking = needed.filter((kind) => !results.some((result) => result.kind === kind));
  const isMissing = !results.length || lacking.length > 0;
  const outcome =
    ORDER.find(
      (candidate) => (candidate === 'missing' && isMissing) || results.some((result) => result.outcome === candidate),
    ) ?? 'missing';
  const caseNote = note(id, runtime);
  const detail =
    outcome === 'missing'
      ? lacking.map((kind) => `no ${kind} test claims it`).join('\n')
      : results
          .filter((result) => result.outcome === outcome)
          .flatMap((result) => result.detail ?? [])
          .join('\n');
  return {
    id,
    title,
    where: [...new Set(results.map((result) => result.where))].join('; ') || '-',
    outcome,
    ...(detail && { detail }),
    ...(caseNote && { note: caseNote }),
    ...(!(id in CATALOGUE) && { isBeyond: true }),
  };
}
