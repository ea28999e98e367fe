// Conditional display: Form.io's `conditional`, in its three forms. Without DOM.

import { compileLogic } from './logic.js';
import { list, record, sizeOf, string } from './text.js';
import { getPath, parseDate, parseDay } from './value.js';

const MAX_TERMS = 50;
const MAX_NAME = 300;
/** Characters of the value that a condition compares with, as JSON. */
const MAX_VALUE = 1_000;

/**
 * @typedef {import('./definition.js').Component} Component
 * @typedef {{ name: string, operator: string, value: unknown }} Term
 *
 * @typedef {{ kind: 'logic', rule: import('./logic.js').Rule }
 *   | { kind: 'equal', name: string, value: string, isShown: boolean }
 *   | { kind: 'terms', terms: Term[], isAny: boolean, isShown: boolean }} Condition
 *
 * @typedef {object} Context
 * @property {object} data of the submission
 * @property {ReadonlyMap<string, Component>} inputs by key
 */

/**
 * @param {unknown} source
 * @param {import('./definition.js').Budget} budget
 * @returns {Condition | undefined | 'unread'} undefined: always shown
 */
export function readCondition(source, budget) {
  const { show, when, eq, json, conjunction, conditions } = record(source);
  // Of several forms, Form.io lets the last in this order decide.
  if (conjunction && conditions) {
    if (Array.isArray(conditions) && conditions.length > MAX_TERMS) return 'unread';
    const terms = list(conditions, MAX_TERMS)
      .map(record)
      .filter(({ component }) => component)
      .map(({ component, operator, value }) => ({
        name: string(component, MAX_NAME),
        operator: string(operator, MAX_NAME),
        value,
      }));
    if (!Array.isArray(conditions) || conditions.length === 0) return undefined;
    budget.terms -= terms.length;
    if (budget.terms < 0 || terms.some(({ value }) => sizeOf(value) > MAX_VALUE)) return 'unread';
    return { kind: 'terms', terms, isAny: conjunction === 'any', isShown: isTrue(show) };
  }
  if (when) return { kind: 'equal', name: string(when, MAX_NAME), value: String(eq), isShown: String(show) === 'true' };
  if (typeof json === 'object' && json !== null) {
    const rule = compileLogic(json);
    return rule ? { kind: 'logic', rule } : 'unread';
  }
  return undefined;
}

/** @param {unknown} show */
function isTrue(show) {
  return show === undefined || (show !== 'false' && show !== 'null' && show !== '0' && Boolean(show));
}

/**
 * @param {Condition | undefined} condition
 * @param {Context} context
 */
export function isMet(condition, context) {
  if (!condition) return true;
  switch (condition.kind) {
    case 'logic': {
      const shown = condition.rule.apply({ data: context.data, row: context.data });
      return shown === null || shown === undefined || Boolean(shown);
    }
    case 'equal':
      return isEqualText(lookUp(condition.name, context).value, condition.value, condition.isShown);
    case 'terms': {
      const { terms, isAny, isShown } = condition;
      const results = terms.map((term) => isTermMet(term, context));
      return (isAny ? results.some(Boolean) : results.every(Boolean)) === isShown;
    }
  }
}

/**
 * @param {unknown} value
 * @param {string} expected
 * @param {boolean} isShown
 */
function isEqualText(value, expected, isShown) {
  if (Array.isArray(value)) return value.map(String).includes(expected) ? isShown : !isShown;
  // Boxes: the expected value is one of them.
  if (typeof value === 'object' && value !== null && Object.hasOwn(value, expected))
    return record(value)[expected] === isShown;
  return (String(value) === expected) === isShown;
}

/**
 * @param {string} name a key, or a path that ends in one
 * @param {Context} context
 */
function lookUp(name, { data, inputs }) {
  const component = inputs.get(name) ?? inputs.get(name.slice(name.lastIndexOf('.') + 1));
  return { component, value: getPath(data, component ? component.path : name.split('.')) };
}

/**
 * @param {Term} term
 * @param {Context} context
 */
function isTermMet({ name, operator, value: expected }, context) {
  const { component, value } = lookUp(name, context);
  const found = component ? value : null;
  if (operator === 'isEmpty') return isEmpty(component, found);
  if (operator === 'isNotEmpty') return !isEmpty(component, found);
  /** @type {((value: unknown) => boolean) | undefined} */
  const test = Object.hasOwn(OPERATORS, operator)
    ? (item) => Boolean(OPERATORS[operator]?.(item, expected, component))
    : undefined;
  // Form.io takes an operator that it does not know as met.
  if (!test) return true;
  return Array.isArray(found) ? found.some(test) : test(found);
}

/**
 * @param {Component | undefined} component
 * @param {unknown} value
 */
function isEmpty(component, value) {
  if (value === undefined || value === null || value === '') return true;
  if (typeof value === 'string') return value.trim() === '';
  if (typeof value === 'object') return !Object.values(value).some(Boolean);
  return component?.type === 'checkbox' && value === false;
}

/** @typedef {(value: unknown, expected: unknown, component?: Component) => unknown} Operator */

/** @type {Operator} */
const isEqual = (value, expected, component) => {
  if (component?.type === 'selectboxes') return record(value)[String(expected)] === true;
  let other = expected;
  if ((value || value === false) && typeof expected === 'string' && typeof value !== 'string') {
    try {
      other = JSON.parse(expected);
    } catch {
      // It is compared as it is.
    }
  }
  return value === other || (typeof value === 'object' && JSON.stringify(value) === JSON.stringify(other));
};

/** @type {Operator} */
const includes = (value, expected) =>
  typeof value === 'string'
    ? value.includes(String(expected))
    : typeof value === 'object' && value !== null && Object.values(value).includes(expected);

/**
 * @param {(value: number, expected: number) => boolean} compare
 * @returns {Operator}
 */
const numbers = (compare) => (value, expected) => typeof value === 'number' && compare(value, Number(expected));

/**
 * @param {(value: number, expected: number) => boolean} compare
 * @returns {Operator}
 */
const dates = (compare) => (value, expected, component) => {
  if (typeof value !== 'string' || value === '') return false;
  const parse = component?.type === 'day' ? (/** @type {any} */ text) => parseDay(component, String(text)) : parseDate;
  return compare(parse(value), parse(expected));
};
const isSameDate = dates((a, b) => a === b);

/** @type {Record<string, Operator>} */
const OPERATORS = {
  isEqual,
  isNotEqual: (value, expected, component) => !isEqual(value, expected, component),
  includes,
  notIncludes: (value, expected) => !includes(value, expected),
  startsWith: (value, expected) => String(value ?? '').startsWith(String(expected)),
  endsWith: (value, expected) => String(value ?? '').endsWith(String(expected)),
  greaterThan: numbers((a, b) => a > b),
  greaterThanOrEqual: numbers((a, b) => a >= b),
  lessThan: numbers((a, b) => a < b),
  lessThanOrEqual: numbers((a, b) => a <= b),
  isDateEqual: isSameDate,
  isNotDateEqual: (value, expected, component) => !isSameDate(value, expected, component),
  dateGreaterThan: dates((a, b) => a > b),
  dateGreaterThanOrEqual: dates((a, b) => a >= b),
  dateLessThan: dates((a, b) => a < b),
  dateLessThanOrEqual: dates((a, b) => a <= b),
};
