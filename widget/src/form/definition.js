// Reads a Form.io form definition into components that the other modules rely on. A definition comes with a message,
// so it is untrusted: everything is bounded, text stays text, and code in it is never run. What is not understood
// becomes a notice.

import { readCondition } from './condition.js';
import { readInput } from './input.js';
import { MAX_LABEL, MAX_TEXT, list, number, plain, record, string } from './text.js';

export const MAX_COMPONENTS = 200;
export const MAX_DEPTH = 8;
export const MAX_FORM_OPTIONS = 1_000;
/** Conditions of all components. Each is compared on every input. */
export const MAX_FORM_TERMS = 500;
/** Characters of all default values, as JSON. */
export const MAX_FORM_VALUES = 8_192;
const MAX_COLUMNS = 12;
const MAX_KEY = 128;

/**
 * @typedef {{ label: string, value: unknown }} Option
 *
 * @typedef {object} Rules
 * @property {boolean} required
 * @property {number} [min]
 * @property {number} [max]
 * @property {number} [minLength]
 * @property {number} [maxLength]
 * @property {number} [minWords]
 * @property {number} [maxWords]
 * @property {number} [minCount]
 * @property {number} [maxCount]
 * @property {string} [minDate]
 * @property {string} [maxDate]
 * @property {import('./pattern.js').Pattern} [pattern]
 * @property {import('./logic.js').Rule} [logic] true: valid; a text: the message
 *
 * @typedef {'condition' | 'rule' | 'value' | 'limit'} Unread what of a component this renderer does not carry out;
 *   `limit`: something was left out
 *
 * @typedef {object} Budget what is left of what the components of a form may have together
 * @property {number} options
 * @property {number} terms of conditions
 * @property {number} values characters of default values
 *
 * @typedef {object} Component
 * @property {string} type Form.io's, or `column`, `notice` (of an unknown type) and `limit` (of what was left out)
 * @property {'input' | 'layout' | 'text' | 'button'} kind
 * @property {string} key
 * @property {string[]} path of its value in the submission's data
 * @property {string} label
 * @property {boolean} isLabelHidden
 * @property {string} description
 * @property {string} placeholder
 * @property {string} prefix
 * @property {string} suffix
 * @property {string} autocomplete
 * @property {number} rows of a textarea
 * @property {number} width of a column, in twelfths
 * @property {string} action of a button
 * @property {boolean} isHidden always
 * @property {boolean} isDoubtful whether nobody knows if it is to be shown: its condition is not understood, or that of
 *   what it is in
 * @property {boolean} isDisabled
 * @property {boolean} keepsValue while it is hidden
 * @property {boolean} isMultiple
 * @property {boolean} hasTime
 * @property {boolean} isDayFirst
 * @property {boolean} trimsSpaces
 * @property {Option[]} options
 * @property {string} dataType of options
 * @property {unknown} initial
 * @property {Rules} rules
 * @property {Record<string, string>} messages by Form.io's name of the rule; `*` for all
 * @property {import('./condition.js').Condition | undefined} condition
 * @property {Set<Unread>} unread
 * @property {Component[]} children
 *
 * @typedef {{ id: string, title: string, components: Component[] }} Form
 */

/** @type {Record<string, Component['kind']>} */
const KINDS = {
  textfield: 'input',
  email: 'input',
  phoneNumber: 'input',
  number: 'input',
  textarea: 'input',
  checkbox: 'input',
  selectboxes: 'input',
  select: 'input',
  radio: 'input',
  datetime: 'input',
  day: 'input',
  hidden: 'input',
  panel: 'layout',
  fieldset: 'layout',
  well: 'layout',
  columns: 'layout',
  content: 'text',
  htmlelement: 'text',
  button: 'button',
};
const KEY = /^[a-z_][\w-]*(\.[a-z_][\w-]*)*$/i;
const FORBIDDEN_KEY = /(^|\.)(__proto__|constructor|prototype)(\.|$)/;

/**
 * @param {unknown} definition
 * @returns {Form}
 */
export function parseForm(definition) {
  const source = record(definition);
  let left = MAX_COMPONENTS;
  /** @type {Budget} */
  const budget = { options: MAX_FORM_OPTIONS, terms: MAX_FORM_TERMS, values: MAX_FORM_VALUES };

  /**
   * @param {unknown} sources
   * @param {number} depth
   * @param {Component} [parent] what they are in
   * @returns {Component[]}
   */
  const parseAll = (sources, depth, parent) => {
    const components = [];
    for (const item of Array.isArray(sources) ? sources : []) {
      left -= 1;
      if (left < 0 || depth > MAX_DEPTH) {
        // Said once where components are missing. A later list of the same form may say it again.
        components.push(component('limit', 'text'));
        break;
      }
      components.push(parse(record(item), depth, parent));
    }
    return components;
  };

  /**
   * @param {Record<string, unknown>} item
   * @param {number} depth
   * @param {Component} [parent]
   */
  const parse = (item, depth, parent) => {
    const parsed = parseComponent(item, budget);
    parsed.isHidden ||= Boolean(parent?.isHidden);
    parsed.isDoubtful = parsed.unread.has('condition') || Boolean(parent?.isDoubtful);
    if (parsed.type === 'columns') {
      parsed.children = list(item.columns, MAX_COLUMNS).map((column) => {
        const { width, components } = record(column);
        const child = component('column', 'layout');
        child.width = Math.min(12, Math.max(1, Math.round(number(width) ?? 6)));
        child.children = parseAll(components, depth + 1, parsed);
        return child;
      });
      if (Array.isArray(item.columns) && item.columns.length > MAX_COLUMNS)
        parsed.children.push(component('limit', 'text'));
    } else if (parsed.kind === 'layout') {
      parsed.children = parseAll(item.components, depth + 1, parsed);
    }
    return parsed;
  };

  return {
    id: string(source._id, 256) || string(source.id, 256) || string(source.path, 256),
    title: plain(source.title, MAX_LABEL),
    components: parseAll(source.components, 1),
  };
}

/**
 * @param {string} type
 * @param {Component['kind']} kind
 * @returns {Component}
 */
function component(type, kind) {
  return {
    type,
    kind,
    key: '',
    path: [],
    label: '',
    isLabelHidden: false,
    description: '',
    placeholder: '',
    prefix: '',
    suffix: '',
    autocomplete: '',
    rows: 3,
    width: 12,
    action: '',
    isHidden: false,
    isDoubtful: false,
    isDisabled: false,
    keepsValue: false,
    isMultiple: false,
    hasTime: false,
    isDayFirst: false,
    trimsSpaces: false,
    options: [],
    dataType: 'auto',
    initial: undefined,
    rules: { required: false },
    messages: {},
    condition: undefined,
    unread: new Set(),
    children: [],
  };
}

/**
 * @param {Record<string, unknown>} source
 * @param {Budget} budget
 */
function parseComponent(source, budget) {
  const type = string(source.type, MAX_KEY);
  const key = string(source.key, MAX_KEY + 1);
  const kind = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
  const isKnown = kind && isSupported(type, source) && (kind !== 'input' || isKey(key));
  const parsed = component(isKnown ? type : 'notice', isKnown ? kind : 'text');
  parsed.key = isKey(key) ? key : '';
  parsed.path = parsed.key.split('.');
  parsed.label = plain(source.label, MAX_LABEL) || plain(source.title, MAX_LABEL) || plain(source.legend, MAX_LABEL);
  parsed.isLabelHidden = source.hideLabel === true;
  parsed.isHidden = source.hidden === true;
  readConditions(source, parsed, budget);
  if (!isKnown) return parsed;
  if (parsed.type === 'content') parsed.description = plain(source.html, MAX_TEXT);
  else if (parsed.type === 'htmlelement') parsed.description = plain(source.content, MAX_TEXT);
  else parsed.description = plain(source.description, MAX_TEXT) || plain(source.tooltip, MAX_TEXT);
  if (parsed.kind === 'button') readButton(source, parsed);
  if (parsed.kind === 'input') readInput(source, parsed, budget);
  // The title of a panel is its label. A `label` of it is the builder's name for it.
  if (type === 'panel') parsed.label = plain(source.title, MAX_LABEL);
  if (type === 'fieldset') parsed.label = plain(source.legend, MAX_LABEL);
  if (type === 'well') parsed.label = '';
  return parsed;
}

/** @param {string} key */
function isKey(key) {
  return key.length <= MAX_KEY && KEY.test(key) && !FORBIDDEN_KEY.test(key);
}

/**
 * Whether this variant of a known type can be rendered.
 * @param {string} type
 * @param {Record<string, unknown>} source
 */
function isSupported(type, source) {
  if (source.multiple === true) return type === 'select' && isListed(source);
  if (type === 'select') return isListed(source);
  if (type === 'checkbox') return source.inputType !== 'radio';
  if (type === 'radio' || type === 'selectboxes') return source.dataSrc !== 'url';
  if (type === 'datetime') return source.enableDate !== false;
  if (type === 'day') return Object.values(record(source.fields)).every((part) => record(part).hide !== true);
  if (type === 'textarea') return !source.editor && !source.wysiwyg && source.as !== 'json';
  if (type === 'button') return ['', 'submit', 'reset'].includes(string(source.action, MAX_KEY));
  return true;
}

/**
 * Whether the definition has the options of a select. Those of a URL are not fetched, since a message must not make
 * the browser send requests, and those of a script are not run.
 * @param {Record<string, unknown>} source
 */
function isListed({ dataSrc, data }) {
  if (dataSrc === undefined || dataSrc === '' || dataSrc === 'values') return Array.isArray(record(data).values);
  return dataSrc === 'json';
}

/**
 * @param {Record<string, unknown>} source
 * @param {Component} parsed
 * @param {Budget} budget
 */
function readConditions(source, parsed, budget) {
  if (source.customConditional) parsed.unread.add('condition');
  // Actions that a trigger sets off, of which a trigger may be code.
  if (list(source.logic, 1).length > 0) parsed.unread.add('rule');
  const condition = readCondition(source.conditional, budget);
  if (condition === 'unread') parsed.unread.add('condition');
  else parsed.condition = condition;
}

/**
 * @param {Record<string, unknown>} source
 * @param {Component} parsed
 */
function readButton(source, parsed) {
  parsed.action = string(source.action, MAX_KEY) || 'submit';
  parsed.isDisabled = source.disabled === true;
}
