// Regular expressions of a definition. JavaScript's backtrack, so one that a definition brings could run for years on
// a short text. Accepted is what has a bound on its attempts that can be computed. The bound limits a text's length.

const MAX_LENGTH = 250;
const MAX_ATTEMPTS = 1e5;
/** Texts up to this length must be testable. */
const MIN_TEXT_LENGTH = 40;
const MAX_TEXT_LENGTH = 10_000;

/** @typedef {{ matches: (text: string) => boolean | undefined }} Pattern undefined: the text is too long to test */

/**
 * What the attempts of a part depend on.
 * @typedef {object} Cost
 * @property {number} choices of all parts with a bounded number of repetitions and of all alternatives, multiplied
 * @property {number} loops parts with unbounded repetitions; each multiplies the attempts by the text's length
 * @property {boolean} isVariable whether the part may match in more than one way
 */

/**
 * @param {string} source as in `validate.pattern`, without anchors: Form.io adds them
 * @returns {Pattern | undefined} undefined: refused
 */
export function compile(source) {
  if (source.length > MAX_LENGTH) return undefined;
  const cost = new Scanner(source).scan();
  if (!cost) return undefined;
  // `^a|b$` is what Form.io makes of `a|b`. It starts at every position, as if there were a loop before it.
  const loops = cost.loops + (source.includes('|') ? 1 : 0);
  const limit = loops ? Math.floor((MAX_ATTEMPTS / cost.choices) ** (1 / loops)) : MAX_TEXT_LENGTH;
  if (limit < MIN_TEXT_LENGTH || cost.choices > MAX_ATTEMPTS) return undefined;
  let expression;
  try {
    expression = new RegExp(`^${source}$`);
  } catch {
    return undefined;
  }
  const maxTextLength = Math.min(limit, MAX_TEXT_LENGTH);
  return { matches: (text) => (text.length > maxTextLength ? undefined : expression.test(text)) };
}

/** Computes the cost of a pattern, or refuses it. It need not notice what `RegExp` rejects anyway. */
class Scanner {
  #source;
  #at = 0;
  #isRefused = false;

  /** @param {string} source */
  constructor(source) {
    this.#source = source;
  }

  /** @returns {Cost | undefined} */
  scan() {
    const cost = this.#alternatives();
    return this.#isRefused || this.#at < this.#source.length ? undefined : cost;
  }

  /** @returns {Cost} */
  #alternatives() {
    let alternatives = 1;
    const total = this.#sequence();
    while (this.#take('|')) {
      alternatives += 1;
      const { choices, loops } = this.#sequence();
      total.choices *= choices;
      total.loops += loops;
    }
    total.choices *= alternatives;
    total.isVariable ||= alternatives > 1;
    return total;
  }

  /** @returns {Cost} */
  #sequence() {
    const total = { choices: 1, loops: 0, isVariable: false };
    while (this.#at < this.#source.length && !/[|)]/.test(this.#source.charAt(this.#at))) {
      const { choices, loops, isVariable } = this.#repeated(this.#atom());
      total.choices *= choices;
      total.loops += loops;
      total.isVariable ||= isVariable;
    }
    return total;
  }

  /** @returns {Cost} */
  #atom() {
    const simple = { choices: 1, loops: 0, isVariable: false };
    if (this.#take('[')) {
      const end = /^\^?(?:\\[^]|[^\]\\])*\]/.exec(this.#source.slice(this.#at));
      if (!end) return this.#refuse(simple);
      this.#at += end[0].length;
      return simple;
    }
    if (this.#take('(')) {
      // Neither names, which the expression could refer to, nor looking behind.
      if (this.#take('?') && !(this.#take(':') || this.#take('=') || this.#take('!'))) return this.#refuse(simple);
      const inner = this.#alternatives();
      return this.#take(')') ? inner : this.#refuse(simple);
    }
    if (this.#take('\\')) {
      // A reference to a group: how often it is tried can't be told from the pattern alone.
      if (/[1-9k]/.test(this.#source.charAt(this.#at))) this.#refuse(simple);
    }
    this.#at += 1;
    return simple;
  }

  /**
   * @param {Cost} cost of what is repeated
   * @returns {Cost}
   */
  #repeated(cost) {
    const found = /^(?:[*+?]|\{(\d+)(,(\d*))?\})\??/.exec(this.#source.slice(this.#at));
    if (!found) return cost;
    this.#at += found[0].length;
    const [whole, from, isRange, to] = found;
    const min = from !== undefined ? Number(from) : whole.startsWith('+') ? 1 : 0;
    const max = isRange ? (to ? Number(to) : Infinity) : from !== undefined ? min : whole[0] === '?' ? 1 : Infinity;
    if (max === min) {
      // Repeated a fixed number of times, the part multiplies what it costs.
      if (!cost.isVariable) return cost;
      return { choices: cost.choices ** max, loops: cost.loops * max, isVariable: true };
    }
    // The classic trap, such as (a+)+ or (a|a)*: the same text can be divided in exponentially many ways.
    if (cost.isVariable && max > 1) return this.#refuse(cost);
    return max === Infinity
      ? { choices: cost.choices, loops: cost.loops + 1, isVariable: true }
      : { choices: cost.choices * (max - min + 1), loops: cost.loops, isVariable: true };
  }

  /** @param {string} character */
  #take(character) {
    if (this.#source[this.#at] !== character) return false;
    this.#at += 1;
    return true;
  }

  /** @param {Cost} cost */
  #refuse(cost) {
    this.#isRefused = true;
    // Ends every loop of the scanner.
    this.#at = this.#source.length;
    return cost;
  }
}
