// JSON logic of a definition, with json-logic-js, which uses neither `eval` nor `Function`. A rule is checked before it
// ever runs: known operators only, and a bound on its size. While rules run, their steps are counted, since a loop over
// a long list, or a long text, is more work than the rule's size tells.

import jsonLogic from 'json-logic-js';

const MAX_NODES = 300;
const MAX_DEPTH = 20;
/** Characters of the texts in a rule. */
const MAX_CHARACTERS = 4_000;
/** Of all rules that run between two calls of `refillSteps`: some milliseconds. */
const MAX_STEPS = 100_000;
/** Handling a text or a list takes a step more for every so many characters or elements. */
const SIZE_OF_STEP = 100;
// Not `log`, which writes to the console. Not `reduce`, whose result can double with every element.
const OPERATORS = new Set(
  'var missing missing_some if ?: == === != !== ! !! or and > >= < <= max min + - * / % merge in cat substr'.split(' '),
);
/** They run their second argument once for each element, so they must not be nested in it. */
const LOOPS = new Set(['map', 'filter', 'all', 'none', 'some']);
/** Names that lead out of the data to the language's own objects. */
const FORBIDDEN_NAME = /(^|\.)(__proto__|constructor|prototype)(\.|$)/;

/** @typedef {{ apply: (data: object) => unknown }} Rule `apply` returns null if the rule fails */

let stepsLeft = MAX_STEPS;
const applyUncounted = jsonLogic.apply;

/** Once the steps are used up, every rule fails, and so decides nothing. */
export function refillSteps() {
  stepsLeft = MAX_STEPS;
}

/**
 * The library applies each part of a rule by its own `apply`, so this counts all of them.
 * @param {unknown} logic
 * @param {unknown} data
 */
function applyCounted(logic, data) {
  stepsLeft -= 1;
  if (stepsLeft < 0) throw new RangeError('the rules take too long');
  const result = applyUncounted(logic, data);
  if (typeof result === 'string' || Array.isArray(result)) stepsLeft -= Math.floor(result.length / SIZE_OF_STEP);
  return result;
}

/**
 * @param {unknown} source
 * @returns {Rule | undefined} undefined: refused
 */
export function compileLogic(source) {
  let nodes = 0;
  let characters = 0;
  /**
   * @param {unknown} value
   * @param {number} depth
   * @param {boolean} isInLoop
   * @returns {boolean}
   */
  const isAccepted = (value, depth, isInLoop) => {
    nodes += 1;
    if (nodes > MAX_NODES || depth > MAX_DEPTH) return false;
    if (Array.isArray(value)) return value.every((item) => isAccepted(item, depth + 1, isInLoop));
    if (typeof value === 'string') characters += value.length;
    if (typeof value !== 'object' || value === null) return characters <= MAX_CHARACTERS;
    const [operator, ...others] = Object.keys(value);
    // An object of several keys is plain data to the library, and so is what is in it.
    if (operator === undefined || others.length > 0) return JSON.stringify(value).length <= MAX_NODES;
    const operands = /** @type {Record<string, unknown>} */ (value)[operator];
    if (operator === 'var') {
      const [name] = [operands].flat();
      if ((typeof name === 'object' && name !== null) || FORBIDDEN_NAME.test(String(name))) return false;
    }
    if (LOOPS.has(operator)) return !isInLoop && isAccepted(operands, depth + 1, true);
    return OPERATORS.has(operator) && isAccepted(operands, depth + 1, isInLoop);
  };
  if (!isAccepted(source, 0, false)) return undefined;
  return {
    apply(data) {
      try {
        jsonLogic.apply = applyCounted;
        return applyCounted(source, data);
      } catch {
        return null;
      } finally {
        // The page, too, may use the library.
        jsonLogic.apply = applyUncounted;
      }
    },
  };
}
