// Validates answers as Form.io does. Without DOM.

import { refillSteps } from './logic.js';
import { hasValue, parseDate, parseDay } from './value.js';

/**
 * @typedef {import('./definition.js').Component} Component
 * @typedef {keyof typeof import('./input.js').RULE_NAMES} RuleName
 * @typedef {{ rule: RuleName, limit?: number | string, message?: string }} Failure
 *   message: of the rule itself, where it is JSON logic
 */

/**
 * @param {import('./state.js').Values} values
 * @param {import('./state.js').State} state
 * @returns {Map<Component, Failure>} the first failure of each component that has one
 */
export function validate(values, state) {
  /** @type {Map<Component, Failure>} */
  const failures = new Map();
  refillSteps();
  for (const [component, value] of values) {
    const failure = validateComponent(component, value, state);
    if (failure) failures.set(component, failure);
  }
  return failures;
}

/**
 * @param {Component} component
 * @param {unknown} value
 * @param {import('./state.js').State} state
 * @returns {Failure | undefined}
 */
export function validateComponent(component, value, { shown, data }) {
  if (component.kind !== 'input' || component.type === 'hidden') return undefined;
  // What nobody sees, nobody can correct.
  if (component.isHidden || !shown.has(component)) return undefined;
  const { rules, type, isDoubtful } = component;
  if (typeof value === 'number' && Number.isNaN(value)) return { rule: type === 'number' ? 'number' : 'invalidDate' };
  // If it is unknown whether a question applies, nobody can be made to answer it.
  if (rules.required && !isDoubtful && !hasValue(component, value)) return { rule: 'required' };
  const failure =
    type === 'number'
      ? validateNumber(component, value)
      : type === 'datetime' || type === 'day'
        ? validateDate(component, value)
        : type === 'selectboxes'
          ? validateCount(component, value)
          : typeof value === 'string'
            ? validateText(component, value)
            : undefined;
  if (failure || !rules.logic) return failure;
  const verdict = rules.logic.apply({ data, row: data, value: value || null });
  if (verdict === true || verdict === null) return undefined;
  return typeof verdict === 'string' && verdict ? { rule: 'jsonLogic', message: verdict } : { rule: 'jsonLogic' };
}

/**
 * @param {Component} component
 * @param {string} source
 * @returns {Failure | undefined}
 */
function validateText({ type, rules, trimsSpaces }, source) {
  const value = trimsSpaces ? source.trim().replace(/\s{2,}/g, ' ') : source;
  if (value === '') return undefined;
  const { minLength, maxLength, minWords, maxWords, pattern } = rules;
  const words = value.trim().split(/\s+/).length;
  if (type === 'email' && !isEmail(value.trim().toLowerCase())) return { rule: 'invalid_email' };
  if (minLength && value.length < minLength) return { rule: 'minLength', limit: minLength };
  if (maxLength && value.length > maxLength) return { rule: 'maxLength', limit: maxLength };
  if (minWords && words < minWords) return { rule: 'minWords', limit: minWords };
  if (maxWords && words > maxWords) return { rule: 'maxWords', limit: maxWords };
  if (pattern?.matches(value) === false) return { rule: 'pattern' };
  return undefined;
}

/**
 * What Form.io accepts: a dotted or quoted name, and a domain of two or more labels or an IPv4 address in brackets.
 * @param {string} value
 */
function isEmail(value) {
  const at = value.lastIndexOf('@');
  const [name, domain] = [value.slice(0, at), value.slice(at + 1)];
  const isQuoted = name.length > 2 && name.startsWith('"') && name.endsWith('"');
  const isName = isQuoted || name.split('.').every((part) => /^[^<>()[\]\\,;:\s@"]+$/.test(part));
  const labels = domain.split('.');
  const isDomain = labels.length > 1 && labels.every((label) => /^[a-z\d-]+$/.test(label));
  return (
    at > 0 &&
    isName &&
    ((isDomain && /^[a-z]{2,}$/.test(labels.at(-1) ?? '')) || /^\[(\d{1,3}\.){3}\d{1,3}\]$/.test(domain))
  );
}

/**
 * @param {Component} component
 * @param {unknown} value
 * @returns {Failure | undefined}
 */
function validateNumber({ rules: { min, max } }, value) {
  if (typeof value !== 'number') return undefined;
  if (min !== undefined && value < min) return { rule: 'min', limit: min };
  if (max !== undefined && value > max) return { rule: 'max', limit: max };
  return undefined;
}

/**
 * @param {Component} component
 * @param {unknown} value
 * @returns {Failure | undefined}
 */
function validateDate(component, value) {
  if (typeof value !== 'string' || value === '') return undefined;
  const isDay = component.type === 'day';
  const time = isDay ? parseDay(component, value) : parseDate(value);
  if (Number.isNaN(time)) return { rule: 'invalidDate' };
  const { minDate, maxDate } = component.rules;
  const isWhole = isDay || !component.hasTime;
  if (minDate && time < bound(minDate, isWhole, false)) return { rule: 'minDate', limit: minDate };
  if (maxDate && time > bound(maxDate, isWhole, !isDay)) return { rule: 'maxDate', limit: maxDate };
  return undefined;
}

/**
 * @param {string} text
 * @param {boolean} isWhole whether the whole day is within the bound
 * @param {boolean} isEnd whether the bound is the last moment of that day
 */
function bound(text, isWhole, isEnd) {
  const date = new Date(parseDate(text));
  if (!isWhole) return date.getTime();
  return isEnd ? date.setHours(23, 59, 59, 999) : date.setHours(0, 0, 0, 0);
}

/**
 * @param {Component} component
 * @param {unknown} value
 * @returns {Failure | undefined}
 */
function validateCount({ rules: { minCount, maxCount } }, value) {
  const count = Object.values(Object(value)).filter(Boolean).length;
  if (count === 0) return undefined;
  if (minCount && count < minCount) return { rule: 'minSelectedCount', limit: minCount };
  if (maxCount && count > maxCount) return { rule: 'maxSelectedCount', limit: maxCount };
  return undefined;
}
