// The samples of a profiler as a tree of calls: as text, as folded stacks for other tools, and as a flame graph.

/**
 * A function as called from one place: its samples, those of its own, and what it called.
 * @typedef {{ name: string, whole: number, own: number, below: Map<string, Call> }} Call
 */

/** What is not printed as text, in per cent. */
const LEAST_PERCENT = 1;
/** The flame graph's size in pixels, and the narrowest function that it shows. */
const WIDTH = 1200;
const ROW = 16;
const TITLE = 26;
const LEAST_WIDTH = 0.5;
/** So many pixels has a letter. */
const LETTER = 6.2;

/** @param {string} name @returns {Call} */
export const call = (name) => ({ name, whole: 0, own: 0, below: new Map() });

/**
 * Adds samples of one stack.
 * @param {Call} root
 * @param {readonly string[]} names the caller first
 * @param {number} samples
 */
export function add(root, names, samples) {
  let at = root;
  at.whole += samples;
  for (const name of names) {
    const next = at.below.get(name) ?? call(name);
    at.below.set(name, next);
    next.whole += samples;
    at = next;
  }
  at.own += samples;
}

/** Those below, the longest first. @param {Call} from */
const longestFirst = ({ below }) => [...below.values()].sort((one, other) => other.whole - one.whole);

/** The functions that took most time, each with those that it called below it, in per cent. @param {Call} root */
export function asText(root) {
  const percent = (/** @type {number} */ samples) => ((100 * samples) / root.whole).toFixed(1);
  /** @type {(at: Call, depth: number) => string} */
  const lines = (at, depth) => {
    if ((100 * at.whole) / root.whole < LEAST_PERCENT) return '';
    const line = `${' '.repeat(depth)}${percent(at.whole)} (own ${percent(at.own)}) ${at.name.slice(0, 110)}\n`;
    return (
      line +
      longestFirst(at)
        .map((next) => lines(next, depth + 1))
        .join('')
    );
  };
  return lines(root, 0);
}

/** A line for each stack, `caller;called 7`, as most tools for flame graphs read them. @param {Call} root */
export function folded(root) {
  /** @type {(at: Call, names: string[]) => string} */
  const lines = (at, names) =>
    (at.own && names.length ? `${names.join(';')} ${at.own}\n` : '') +
    [...at.below.values()].map((next) => lines(next, [...names, next.name.replaceAll(';', ',')])).join('');
  return lines(root, []);
}

/**
 * An SVG without scripts: a pointer that rests on a function shows its name.
 * @param {Call} root
 * @param {string} title
 */
export function flameGraph(root, title) {
  /** @type {string[]} */
  const parts = [];
  let deepest = 0;
  /** @type {(at: Call, x: number, depth: number) => void} */
  const draw = (at, x, depth) => {
    const width = (at.whole / root.whole) * WIDTH;
    if (width < LEAST_WIDTH) return;
    deepest = Math.max(deepest, depth);
    const y = TITLE + depth * ROW;
    const letters = Math.floor((width - 4) / LETTER);
    const label = letters < 3 ? '' : at.name.length > letters ? `${at.name.slice(0, letters - 1)}…` : at.name;
    const percent = ((100 * at.whole) / root.whole).toFixed(2);
    parts.push(
      `<g><title>${escaped(at.name)}: ${percent} %</title>` +
        `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${ROW - 1}" fill="${colour(at.name)}"/>` +
        (label && `<text x="${(x + 3).toFixed(1)}" y="${y + 11}">${escaped(label)}</text>`) +
        '</g>',
    );
    let left = x;
    // By name, so that two graphs can be compared.
    for (const next of [...at.below.values()].sort((one, other) => (one.name < other.name ? -1 : 1))) {
      draw(next, left, depth + 1);
      left += (next.whole / root.whole) * WIDTH;
    }
  };
  draw(root, 0, 0);
  const height = TITLE + (deepest + 1) * ROW;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}">
<style>text { font-family: ui-monospace, monospace; font-size: 10px; fill: #111827 }</style>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="4" y="16" font-weight="bold">${escaped(title)}</text>
${parts.join('\n')}
</svg>
`;
}

/** The same for each function of a name. @param {string} name */
function colour(name) {
  let hash = 0;
  for (const letter of name) hash = (hash * 31 + letter.charCodeAt(0)) >>> 0;
  return `hsl(${15 + (hash % 40)} 90% ${62 + (hash % 17)}%)`;
}

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
