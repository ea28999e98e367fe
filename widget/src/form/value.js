// Values of components: what they begin as, what counts as empty, dates, and their place in the submission's data.

import { list, record } from './text.js';

/** @typedef {import('./definition.js').Component} Component */

/** What a field holds while its text is no number or no date. */
export const UNREADABLE = NaN;

/**
 * The value of a component from one of a submission or a default. What does not fit becomes empty.
 * @param {Component} component
 * @param {unknown} value
 * @returns {unknown}
 */
export function normalize(component, value) {
  switch (component.type) {
    case 'checkbox':
      return value === true || value === 'true';
    case 'number':
      return readNumber(value);
    case 'selectboxes': {
      const chosen = record(value);
      return Object.fromEntries(component.options.map((o) => [String(o.value), chosen[String(o.value)] === true]));
    }
    case 'radio':
      return findOption(component, value)?.value ?? '';
    case 'select': {
      if (!component.isMultiple) return findOption(component, value)?.value ?? '';
      const chosen = list(value, component.options.length).map((item) => optionText(item));
      return component.options.filter((o) => chosen.includes(optionText(o.value))).map((o) => o.value);
    }
    case 'hidden':
      return value;
    case 'datetime':
    case 'day':
      return typeof value === 'string' ? value : '';
    default: {
      const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
      return component.type === 'email' ? text.trim().toLowerCase() : text;
    }
  }
}

/** @param {unknown} value */
function readNumber(value) {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string' || value.trim() === '') return undefined;
  const parsed = Number(value);
  return Number.isFinite(parsed) ? parsed : UNREADABLE;
}

/**
 * @param {Component} component
 * @param {unknown} value
 */
function findOption({ options }, value) {
  const text = optionText(value);
  return text === '' ? undefined : options.find((option) => optionText(option.value) === text);
}

/** @param {unknown} value */
function optionText(value) {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

/**
 * The value of an option as Form.io sends it. In a definition, options are texts; `5` and `true` are sent as a number
 * and a boolean unless `dataType` says otherwise.
 * @param {Component} component
 * @param {unknown} value
 */
export function toSubmitted({ type, dataType }, value) {
  if (typeof value === 'object' || value === '' || value === undefined) return value;
  const text = String(value);
  if (dataType === 'string') return text;
  if (dataType === 'boolean') return type === 'radio' ? text !== 'false' : readBoolean(text);
  if (dataType === 'object') return value;
  if (String(Number(text)) === text && Number.isFinite(Number(text))) return Number(text);
  return dataType === 'number' ? value : readBoolean(text);
}

/** @param {string} text */
function readBoolean(text) {
  return text === 'true' ? true : text === 'false' ? false : text;
}

/**
 * Whether a required component has its value.
 * @param {Component} component
 * @param {unknown} value
 */
export function hasValue({ type }, value) {
  if (value === undefined || value === null) return false;
  if (typeof value === 'string') return value.trim() !== '' && !(type === 'day' && value === '00/00/0000');
  if (type === 'checkbox') return value === true;
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object') return Object.values(value).some((item) => item !== false && item !== '');
  return true;
}

/**
 * A date of a definition or submission. A date without a time is midnight here, as for Form.io, and not in UTC.
 * @param {unknown} value
 * @returns {number} milliseconds since 1970, NaN if it is no date
 */
export function parseDate(value) {
  if (typeof value !== 'string') return NaN;
  return Date.parse(/^\d{4}-\d{2}-\d{2}$/.test(value) ? `${value}T00:00` : value);
}

/**
 * A date such as 11/30/2026 or, with the day first, 30/11/2026.
 * @param {Component} component
 * @param {string} value
 * @returns {number} milliseconds since 1970, NaN if there is no such day
 */
export function parseDay({ isDayFirst }, value) {
  const [, first, second, year] = /^(\d{1,2})\/(\d{1,2})\/(\d{4})$/.exec(value) ?? [];
  const [day, month] = (isDayFirst ? [first, second] : [second, first]).map(Number);
  if (!day || !month || !year) return NaN;
  const date = new Date(Number(year), month - 1, day);
  return date.getDate() === day && date.getMonth() === month - 1 ? date.getTime() : NaN;
}

/**
 * @param {object} data
 * @param {readonly string[]} path
 * @returns {unknown}
 */
export function getPath(data, path) {
  /** @type {unknown} */
  let value = data;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = /** @type {Record<string, unknown>} */ (value)[name];
  }
  return value;
}

/**
 * @param {Record<string, unknown>} data
 * @param {readonly string[]} path
 * @param {unknown} value
 */
export function setPath(data, path, value) {
  let place = data;
  for (const name of path.slice(0, -1)) {
    const next = record(Object.hasOwn(place, name) ? place[name] : undefined);
    place[name] = next;
    place = next;
  }
  const last = path.at(-1);
  if (last) place[last] = value;
}
