// Reads the settings of an input: its options, its rules, and the messages of these.

import { compileLogic } from './logic.js';
import { compile } from './pattern.js';
import { MAX_LABEL, MAX_TEXT, list, number, plain, record, sizeOf, string } from './text.js';

export const MAX_OPTIONS = 500;
const MAX_JSON = 100_000;

/**
 * @typedef {import('./definition.js').Budget} Budget
 * @typedef {import('./definition.js').Component} Component
 * @typedef {import('./definition.js').Option} Option
 */

/**
 * @param {Record<string, unknown>} source
 * @param {Component} parsed
 * @param {Budget} budget
 */
export function readInput(source, parsed, budget) {
  const data = record(source.data);
  parsed.placeholder = plain(source.placeholder, MAX_LABEL);
  parsed.prefix = plain(source.prefix, 40);
  parsed.suffix = plain(source.suffix, 40);
  parsed.autocomplete = /^[a-z][a-z -]{0,59}$/.exec(string(source.autocomplete, 60))?.[0] ?? '';
  parsed.rows = Math.min(12, Math.max(2, Math.round(number(source.rows) ?? 3)));
  parsed.isDisabled = source.disabled === true;
  parsed.keepsValue = source.clearOnHide === false;
  parsed.isMultiple = source.multiple === true;
  parsed.trimsSpaces = source.truncateMultipleSpaces === true;
  parsed.hasTime = source.enableTime !== false;
  parsed.isDayFirst = source.dayFirst === true;
  parsed.dataType = string(source.dataType, 20) || 'auto';
  parsed.options =
    source.dataSrc === 'json'
      ? readJsonOptions(source, parsed, data.json)
      : readOptions(parsed, data.values ?? source.values);
  cutOptions(parsed, budget);
  if (source.calculateValue || source.customDefaultValue) parsed.unread.add('value');
  const size = sizeOf(source.defaultValue);
  if (size > budget.values) {
    parsed.unread.add('value');
    // Nobody would see that it is not sent.
    if (parsed.type === 'hidden') Object.assign(parsed, { type: 'notice', kind: 'text' });
  } else {
    budget.values -= size;
    parsed.initial = source.defaultValue;
  }
  readRules(source, parsed);
  readMessages(source, parsed);
}

/**
 * @param {Component} parsed
 * @param {Budget} budget
 */
function cutOptions(parsed, budget) {
  if (parsed.options.length > budget.options) {
    parsed.options.length = budget.options;
    parsed.unread.add('limit');
  }
  budget.options -= parsed.options.length;
}

/**
 * @param {Component} parsed
 * @param {unknown} values
 * @returns {Option[]}
 */
function readOptions(parsed, values) {
  return listOptions(parsed, values).map((item) => {
    const { label, value } = record(item);
    return { label: plain(label, MAX_LABEL) || string(value, MAX_LABEL), value: isScalar(value) ? value : '' };
  });
}

/**
 * Options as a JSON text or array of any items. A template such as `{{ item.name }}` names the property that is shown.
 * @param {Record<string, unknown>} source
 * @param {Component} parsed
 * @param {unknown} json
 * @returns {Option[]}
 */
function readJsonOptions({ template, valueProperty }, parsed, json) {
  let items = json;
  if (typeof json === 'string') {
    try {
      items = json.length <= MAX_JSON && JSON.parse(json);
    } catch {
      items = undefined;
    }
    if (!Array.isArray(items)) parsed.unread.add('limit');
  }
  const shown = /\{\{\s*item\.(\w+)\s*\}\}/.exec(string(template, MAX_TEXT))?.[1] ?? 'label';
  const stored = string(valueProperty, MAX_LABEL);
  return listOptions(parsed, items).map((item) => {
    if (isScalar(item)) return { label: string(item, MAX_LABEL), value: item };
    const fields = record(item);
    return { label: plain(fields[shown], MAX_LABEL), value: stored ? fields[stored] : item };
  });
}

/**
 * @param {Component} parsed
 * @param {unknown} items
 */
function listOptions({ unread }, items) {
  if (Array.isArray(items) && items.length > MAX_OPTIONS) unread.add('limit');
  return list(items, MAX_OPTIONS);
}

/** @param {unknown} value */
function isScalar(value) {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

/**
 * @param {Record<string, unknown>} source
 * @param {Component} parsed
 */
function readRules(source, parsed) {
  const validate = record(source.validate);
  const fields = Object.values(record(source.fields));
  const { rules, unread, type } = parsed;
  rules.required =
    validate.required === true || (type === 'day' && fields.some((field) => record(field).required === true));
  if (type === 'number') {
    rules.min = number(validate.min);
    rules.max = number(validate.max);
  }
  rules.minLength = number(validate.minLength);
  rules.maxLength = number(validate.maxLength);
  rules.minWords = number(validate.minWords);
  rules.maxWords = number(validate.maxWords);
  rules.minCount = number(validate.minSelectedCount);
  rules.maxCount = number(validate.maxSelectedCount);
  readDates(source, parsed);
  const pattern = string(validate.pattern, 1_000);
  if (pattern) rules.pattern = compile(pattern);
  const hasLogic = typeof validate.json === 'object' && validate.json !== null;
  if (hasLogic) rules.logic = compileLogic(validate.json);
  const isUnread = (pattern && !rules.pattern) || (hasLogic && !rules.logic) || validate.custom;
  if (isUnread || source.inputMask) unread.add('rule');
}

/**
 * @param {Record<string, unknown>} source
 * @param {Component} parsed
 */
function readDates(source, { type, rules, unread }) {
  if (type !== 'datetime' && type !== 'day') return;
  const [widget, picker] = [record(source.widget), record(source.datePicker)];
  for (const name of /** @type {const} */ (['minDate', 'maxDate'])) {
    const value = string(type === 'day' ? source[name] : (widget[name] ?? picker[name]), MAX_LABEL);
    // Form.io runs a text such as `moment().add(1, 'day')` as code.
    if (value && Number.isNaN(Date.parse(value))) unread.add('rule');
    else if (value) rules[name] = value;
  }
}

/**
 * @param {Record<string, unknown>} source
 * @param {Component} parsed
 */
function readMessages(source, { messages }) {
  const validate = record(source.validate);
  for (const [rule, message] of Object.entries(record(source.errors)).slice(0, 40))
    if (Object.hasOwn(RULE_NAMES, rule)) messages[rule] = plain(message, MAX_LABEL);
  const patternMessage = plain(validate.patternMessage, MAX_LABEL);
  if (patternMessage) messages.pattern = patternMessage;
  const minCount = plain(source.minSelectedCountMessage, MAX_LABEL);
  if (minCount) messages.minSelectedCount = minCount;
  const maxCount = plain(source.maxSelectedCountMessage, MAX_LABEL);
  if (maxCount) messages.maxSelectedCount = maxCount;
  const custom = plain(validate.customMessage, MAX_LABEL);
  if (custom) messages['*'] = custom;
}

/** Form.io's names of the rules, and the texts for them in strings.js. */
export const RULE_NAMES = /** @type {const} */ ({
  required: 'formRequired',
  number: 'formNumber',
  invalidDate: 'formDate',
  invalid_email: 'formEmail',
  minLength: 'formMinLength',
  maxLength: 'formMaxLength',
  minWords: 'formMinWords',
  maxWords: 'formMaxWords',
  min: 'formMin',
  max: 'formMax',
  minDate: 'formMinDate',
  maxDate: 'formMaxDate',
  minSelectedCount: 'formMinCount',
  maxSelectedCount: 'formMaxCount',
  pattern: 'formPattern',
  jsonLogic: 'formInvalid',
});
