// The table of a row, in Markdown, and the notes below it.

import { DISAGREEMENT, summary } from '../measure/statistic.mjs';

/** @typedef {{ key: string, label: string, unit: string, digits: number }} Figure */
/** @typedef {import('../measure/round.mjs').Result} Result */

/** @param {readonly Figure[]} figures @param {readonly Result[]} results */
export function table(figures, results) {
  const hasCases = results.some((result) => result.case);
  const hasFloors = results.some(({ contestant }) => contestant.floor);
  const [first] = figures;
  if (!first) throw new Error('a row has at least one figure');
  const head = [
    ...(hasCases ? ['case'] : []),
    'contestant',
    ...figures.flatMap(({ label }, index) => [label, ...(index === 0 && hasFloors ? ['× of'] : [])]),
  ];
  const lines = results.map((result) => {
    const { contestant } = result;
    const isCompared = results.some((other) => other.case === result.case && other.contestant.role !== 'ours');
    const name = contestant.role === 'ours' && isCompared ? `**${contestant.name}**` : contestant.name;
    return [
      ...(hasCases ? [result.case] : []),
      contestant.role === 'floor' ? `${name} (floor)` : name,
      ...figures.flatMap((figure, index) => [
        cell(figure, result),
        ...(index === 0 && hasFloors ? [ratio(first, result, results)] : []),
      ]),
    ];
  });
  const rule = head.map((_, index) => (index < (hasCases ? 2 : 1) ? '---' : '---:'));
  return [head, rule, ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** What the measurements themselves note, once each. @param {readonly Result[]} results */
export function remarks(results) {
  return results.flatMap(({ case: name, contestant, samples }) => {
    const notes = new Set(samples.flatMap(({ note }) => note ?? []));
    return [...notes].map((note) => `${[name, contestant.name].filter(Boolean).join(', ')}: ${note}`);
  });
}

/**
 * A sentence for each contestant whose rounds disagree.
 * @param {readonly Figure[]} figures @param {readonly Result[]} results
 */
export function disagreements(figures, results) {
  return results.flatMap((result) => {
    const labels = figures.filter(({ key }) => statistic(result, key).disagrees).map(({ label }) => label);
    if (!labels.length) return [];
    const who = [result.case, result.contestant.name].filter(Boolean).join(', ');
    return [`${who}: rounds disagree about ${labels.join(', ')} by more than ${DISAGREEMENT * 100} %.`];
  });
}

/** @param {Result} result @param {string} key */
export const statistic = (result, key) => summary(result.samples.map(({ figures }) => figures[key] ?? Number.NaN));

/** @param {number} value @param {Figure} figure */
export const written = (value, { digits, unit }) => `${value.toFixed(digits)}${unit && ` ${unit}`}`;

/** @param {Figure} figure @param {Result} result */
function cell(figure, result) {
  const { median, least, most } = statistic(result, figure.key);
  if (Number.isNaN(median)) return '–';
  if (least === most) return written(median, figure);
  return `${written(median, figure)} (${least.toFixed(figure.digits)}–${most.toFixed(figure.digits)})`;
}

/** @param {Figure} figure @param {Result} result @param {readonly Result[]} results */
function ratio(figure, result, results) {
  const floor = results.find(
    (other) => other.case === result.case && other.contestant.name === result.contestant.floor,
  );
  if (!floor) return '';
  const value = statistic(result, figure.key).median / statistic(floor, figure.key).median;
  return `${value.toFixed(2)} × ${floor.contestant.name}`;
}
