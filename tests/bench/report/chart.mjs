// A row as horizontal bars: medians of its first figure, with a line from the least to the most of the rounds. SVG
// without scripts or fonts, readable on light and on dark pages.

import { statistic, written } from './table.mjs';

const LABEL_WIDTH = 300;
const BAR_WIDTH = 360;
const VALUE_WIDTH = 120;
const BAR = 18;
const GAP = 8;
const TITLE = 34;
const COLOURS = Object.freeze({ ours: '#2563eb', floor: '#9ca3af', peer: '#d97706' });

/**
 * @param {string} title @param {import('./table.mjs').Figure} figure
 * @param {readonly import('./table.mjs').Result[]} results
 */
export function chart(title, figure, results) {
  const bars = results.filter((result) => !Number.isNaN(statistic(result, figure.key).median));
  // Cases differ by orders of magnitude, so each has its own scale.
  const scales = new Map();
  for (const result of bars) {
    const { most } = statistic(result, figure.key);
    scales.set(result.case, Math.max(scales.get(result.case) ?? 0, most));
  }
  const parts = [];
  let y = TITLE;
  let current = '';
  for (const result of bars) {
    if (result.case !== current) {
      current = result.case;
      y += GAP;
      parts.push(text(0, y + 13, current, 'font-weight="bold"'));
      y += BAR + GAP / 2;
    }
    const { median, least, most } = statistic(result, figure.key);
    const x = (/** @type {number} */ value) => (LABEL_WIDTH + (value / scales.get(result.case)) * BAR_WIDTH).toFixed(1);
    const width = Math.max(1, Number(x(median)) - LABEL_WIDTH).toFixed(1);
    const middle = y + BAR / 2;
    parts.push(
      text(LABEL_WIDTH - 8, y + 13, result.contestant.name, 'text-anchor="end"'),
      `<rect x="${LABEL_WIDTH}" y="${y}" width="${width}" height="${BAR}" fill="${COLOURS[result.contestant.role]}"/>`,
      `<line x1="${x(least)}" x2="${x(most)}" y1="${middle}" y2="${middle}" stroke="#111827" stroke-width="2"/>`,
      text(LABEL_WIDTH + BAR_WIDTH + 8, y + 13, written(median, figure), ''),
    );
    y += BAR + GAP;
  }
  const width = LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img">
<title>${escaped(`${title}: ${figure.label}`)}</title>
<style>text { font-family: system-ui, sans-serif; font-size: 13px; fill: #111827 }</style>
<rect width="100%" height="100%" fill="#ffffff"/>
${text(0, 18, `${title}: ${figure.label}, median of the rounds; line: least to most`, 'font-weight="bold"')}
${parts.join('\n')}
</svg>
`;
}

/** @param {number} x @param {number} y @param {string} content @param {string} attributes */
const text = (x, y, content, attributes) => `<text x="${x + 4}" y="${y}" ${attributes}>${escaped(content)}</text>`;

/** @param {string} value */
const escaped = (value) => value.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
