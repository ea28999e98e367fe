// JSON logic of a definition, with json-logic-js, which uses neither `eval` nor `Function`. A rule is checked before it
// ever runs: known operators only, and a bound on the work that it can cause.

import jsonLogic from 'json-logic-js';

const MAX_NODES = 300;
const MAX_DEPTH = 20;
// Not `log`, which writes to the console. Not `reduce`, whose result can double with every element.
const OPERATORS = new Set(
  'var missing missing_some if ?: == === != !== ! !! or and > >= < <= max min + - * / % merge in cat substr'.split(' '),
);
/** They run their second argument once for each element, so they must not be nested in it. */
const LOOPS = new Set(['map', 'filter', 'all', 'none', 'some']);
/** Names that lead out of the data to the language's own objects. */
const FORBIDDEN_NAME = /(^|\.)(__proto__|constructor|prototype)(\.|$)/;

/** @typedef {{ apply: (data: object) => unknown }} Rule `apply` returns null if the rule fails */

/**
 * @param {unknown} source
 * @returns {Rule | undefined} undefined: refused
 */
export function compileLogic(source) {
  let nodes = 0;
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
    if (typeof value !== 'object' || value === null) return true;
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
        return jsonLogic.apply(/** @type {object} */ (source), data);
      } catch {
        return null;
      }
    },
  };
}
