// The text that tells what is wrong with an answer.

import { fill } from '../strings.js';
import { RULE_NAMES } from './input.js';
import { parseDate } from './value.js';

/**
 * A page's language may be malformed, such as `en_US`. It then means the browser's own.
 * @param {string | undefined} locale
 * @returns {string | undefined}
 */
export function usableLocale(locale) {
  try {
    return locale ? Intl.getCanonicalLocales(locale.replaceAll('_', '-'))[0] : undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param {import('./definition.js').Component} component
 * @param {import('./validation.js').Failure} failure
 * @param {import('./strings.js').FormStrings} strings
 * @param {string | undefined} locale
 */
export function messageOf(component, { rule, limit, message }, strings, locale) {
  const field = component.label || component.placeholder || strings.formAnswer;
  const values = { field, limit: format(component, limit, locale) };
  const own = component.messages['*'] ?? message ?? component.messages[rule];
  return own ? fillOwn(own, values, limit) : fill(strings[RULE_NAMES[rule]], values);
}

/**
 * Fills a message of the definition, whose placeholders are written as `{{ field }}`, `{{ min }}` or `{{ length }}`.
 * @param {string} text
 * @param {{ field: string, limit: string }} values
 * @param {unknown} limit
 */
function fillOwn(text, values, limit) {
  return text.replace(/\{\{\s*(\w+)\s*\}\}/g, (whole, name) => {
    if (name === 'field' || name === 'label') return values.field;
    return limit !== undefined && /^(min|max|length)/.test(name) ? values.limit : whole;
  });
}

/**
 * @param {import('./definition.js').Component} component
 * @param {number | string | undefined} limit
 * @param {string | undefined} locale
 */
function format({ type, hasTime }, limit, locale) {
  if (typeof limit === 'number') return limit.toLocaleString(locale);
  if (limit === undefined) return '';
  const timeStyle = type === 'datetime' && hasTime ? { timeStyle: /** @type {const} */ ('short') } : {};
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium', ...timeStyle }).format(parseDate(limit));
}
