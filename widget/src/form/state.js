// What a form's values mean: which components are shown, and the data to submit. Without DOM.

import { isMet } from './condition.js';
import { refillSteps } from './logic.js';
import { normalize, setPath, toSubmitted } from './value.js';

/**
 * @typedef {import('./definition.js').Component} Component
 * @typedef {import('./definition.js').Form} Form
 * @typedef {ReadonlyMap<Component, unknown>} Values of all inputs, hidden ones included
 *
 * @typedef {object} State
 * @property {ReadonlySet<Component>} shown
 * @property {Record<string, unknown>} data of the submission
 */

/** A cycle of conditions has no end, so there must be one to the passes. */
const MAX_PASSES = 20;

/**
 * @param {readonly Component[]} components
 * @returns {Component[]} with all that is in them
 */
export function flatten(components) {
  return components.flatMap((component) => [component, ...flatten(component.children)]);
}

/**
 * @param {readonly Component[]} components
 * @param {(input: Component) => unknown} read the value that an input begins with
 * @returns {Map<Component, unknown>}
 */
export function initialValues(components, read = (input) => input.initial) {
  const inputs = flatten(components).filter(({ kind }) => kind === 'input');
  return new Map(inputs.map((input) => [input, normalize(input, read(input))]));
}

/**
 * Conditions depend on data, and the data of a hidden component is cleared, on which further conditions depend. So this
 * repeats until nothing changes.
 * @param {Form} form
 * @param {Values} values
 * @returns {State}
 */
export function evaluate({ components }, values) {
  refillSteps();
  /** @type {Map<string, Component>} */
  const inputs = new Map();
  for (const input of values.keys()) if (!inputs.has(input.key)) inputs.set(input.key, input);
  /** @type {State} */
  let state = { shown: new Set(values.keys()), data: {} };
  for (let pass = 0; pass < MAX_PASSES; pass += 1) {
    const data = toData(values, state.shown);
    /** @type {Set<Component>} */
    const shown = new Set();
    show(components, { data, inputs }, shown);
    const before = state.shown;
    const isSame = pass > 0 && shown.size === before.size && [...shown].every((component) => before.has(component));
    state = { shown, data };
    if (isSame) break;
  }
  return { shown: state.shown, data: toData(values, state.shown) };
}

/**
 * @param {readonly Component[]} components
 * @param {import('./condition.js').Context} context
 * @param {Set<Component>} shown
 */
function show(components, context, shown) {
  for (const component of components) {
    if (!isMet(component.condition, context)) continue;
    shown.add(component);
    show(component.children, context, shown);
  }
}

/**
 * @param {Values} values
 * @param {ReadonlySet<Component>} shown
 */
function toData(values, shown) {
  /** @type {Record<string, unknown>} */
  const data = {};
  for (const [input, value] of values) {
    if (value === undefined || Number.isNaN(value) || !(shown.has(input) || input.keepsValue)) continue;
    setPath(data, input.path, submitted(input, value));
  }
  return data;
}

/**
 * @param {Component} input
 * @param {unknown} value
 */
function submitted(input, value) {
  if (input.type === 'radio') return toSubmitted(input, value);
  if (input.type === 'select')
    return Array.isArray(value) ? value.map((item) => toSubmitted(input, item)) : toSubmitted(input, value);
  return input.trimsSpaces && typeof value === 'string' ? value.trim().replace(/\s{2,}/g, ' ') : value;
}
