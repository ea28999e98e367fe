// The native controls of each type of component, and how a value is read from and written to them.

import { element } from '../dom.js';
import { UNREADABLE, parseDate, parseDay } from './value.js';

/**
 * @typedef {import('./definition.js').Component} Component
 * @typedef {HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement} Input
 *
 * @typedef {object} Control
 * @property {HTMLElement} node
 * @property {Input[]} inputs
 * @property {boolean} isGroup several inputs under one legend
 * @property {boolean} isInline the label stands behind the input
 * @property {() => unknown} read
 * @property {(value: unknown) => void} write
 */

/** No answer is longer: what is posted to the edge has a limit, too. */
const MAX_ANSWER = '20000';

/**
 * @param {Component} component
 * @param {string} id
 * @param {import('./strings.js').FormStrings} strings
 * @returns {Control}
 */
export function createControl(component, id, strings) {
  switch (component.type) {
    case 'checkbox':
      return checkbox(component, id);
    case 'radio':
      return radios(component, id);
    case 'selectboxes':
      return boxes(component, id);
    case 'select':
      return component.isMultiple ? choices(component, id) : select(component, id, strings);
    case 'number':
      return numberInput(component, id);
    case 'datetime':
    case 'day':
      return dateInput(component, id);
    default:
      return text(component, id);
  }
}

/**
 * @param {Component} component
 * @param {string} id
 * @param {Record<string, string>} [more]
 * @returns {Record<string, string>}
 */
function attributes({ placeholder, autocomplete, rules }, id, more = {}) {
  return {
    part: 'form-input',
    id,
    ...(placeholder && { placeholder }),
    ...(autocomplete && { autocomplete }),
    ...(rules.required && { required: '' }),
    ...more,
  };
}

/**
 * @param {Component} component
 * @param {HTMLElement} node
 * @returns {HTMLElement} the node between the component's prefix and suffix
 */
function affixed({ prefix, suffix }, node) {
  if (!prefix && !suffix) return node;
  const parts = [prefix && element('span', {}, prefix), node, suffix && element('span', {}, suffix)];
  return element('div', { class: 'affixed' }, ...parts.filter(Boolean));
}

/**
 * @param {Component} component
 * @param {string} id
 * @returns {Control}
 */
function text(component, id) {
  /** @type {Record<string, Record<string, string>>} */
  const types = {
    email: { type: 'email', autocomplete: component.autocomplete || 'email', autocapitalize: 'none' },
    phoneNumber: { type: 'tel', autocomplete: component.autocomplete || 'tel' },
  };
  const more = types[component.type] ?? { type: 'text' };
  const input =
    component.type === 'textarea'
      ? element('textarea', attributes(component, id, { rows: String(component.rows), maxlength: MAX_ANSWER }))
      : element('input', attributes(component, id, { ...more, maxlength: MAX_ANSWER }));
  return {
    node: affixed(component, input),
    inputs: [input],
    isGroup: false,
    isInline: false,
    // An address is stored as Form.io stores it.
    read: () => (component.type === 'email' ? input.value.trim().toLowerCase() : input.value),
    write: (value) => (input.value = String(value ?? '')),
  };
}

/**
 * @param {Component} component
 * @param {string} id
 * @returns {Control}
 */
function numberInput(component, id) {
  const more = { type: 'number', step: 'any', inputmode: 'decimal' };
  const input = element('input', attributes(component, id, more));
  return {
    node: affixed(component, input),
    inputs: [input],
    isGroup: false,
    isInline: false,
    read() {
      // An input that holds `-` or `1e` has no value, but is not empty.
      if (input.validity.badInput) return UNREADABLE;
      return input.value === '' ? undefined : input.valueAsNumber;
    },
    write: (value) => (input.value = typeof value === 'number' && !Number.isNaN(value) ? String(value) : ''),
  };
}

/**
 * @param {Component} component
 * @param {string} id
 * @returns {Control}
 */
function checkbox(component, id) {
  const input = element('input', attributes(component, id, { type: 'checkbox' }));
  return {
    node: input,
    inputs: [input],
    isGroup: false,
    isInline: true,
    read: () => input.checked,
    write: (value) => (input.checked = value === true),
  };
}

/**
 * @param {Component} component
 * @param {string} id
 * @param {'radio' | 'checkbox'} type
 */
function optionInputs({ options, rules }, id, type) {
  const inputs = options.map((_option, i) =>
    element('input', {
      part: 'form-input',
      type,
      id: `${id}-${i}`,
      name: id,
      ...(type === 'radio' && rules.required && { required: '' }),
    }),
  );
  const node = element(
    'div',
    { class: 'options' },
    ...inputs.map((input, i) =>
      element('label', { part: 'form-option' }, input, element('span', {}, options[i]?.label ?? '')),
    ),
  );
  return { node, inputs, isGroup: true, isInline: false };
}

/**
 * @param {Component} component
 * @param {string} id
 * @returns {Control}
 */
function radios(component, id) {
  const control = optionInputs(component, id, 'radio');
  const { inputs } = control;
  return {
    ...control,
    read: () => component.options[inputs.findIndex((input) => input.checked)]?.value ?? '',
    write: (value) =>
      inputs.forEach((input, i) => (input.checked = value !== '' && component.options[i]?.value === value)),
  };
}

/**
 * @param {Component} component
 * @param {string} id
 * @returns {Control} its value is an object of booleans
 */
function boxes(component, id) {
  const control = optionInputs(component, id, 'checkbox');
  const names = component.options.map(({ value }) => String(value));
  return {
    ...control,
    read: () => Object.fromEntries(control.inputs.map((input, i) => [names[i], input.checked])),
    write: (value) => control.inputs.forEach((input, i) => (input.checked = Object(value)[names[i] ?? ''] === true)),
  };
}

/**
 * @param {Component} component
 * @param {string} id
 * @returns {Control} its value is an array: a native list of several choices is hard to use
 */
function choices(component, id) {
  const control = optionInputs(component, id, 'checkbox');
  return {
    ...control,
    read: () => component.options.filter((_option, i) => control.inputs[i]?.checked).map(({ value }) => value),
    write: (value) =>
      control.inputs.forEach(
        (input, i) => (input.checked = Array.isArray(value) && value.includes(component.options[i]?.value)),
      ),
  };
}

/**
 * @param {Component} component
 * @param {string} id
 * @param {import('./strings.js').FormStrings} strings
 * @returns {Control}
 */
function select(component, id, strings) {
  const none = element('option', { value: '' }, component.placeholder || strings.formChoose);
  const options = component.options.map(({ label }, i) => element('option', { value: String(i) }, label));
  const input = element('select', attributes({ ...component, placeholder: '' }, id), none, ...options);
  return {
    node: affixed(component, input),
    inputs: [input],
    isGroup: false,
    isInline: false,
    read: () => (input.value === '' ? '' : component.options[Number(input.value)]?.value),
    write(value) {
      const index = component.options.findIndex((option) => option.value === value);
      input.value = value === '' || index < 0 ? '' : String(index);
    },
  };
}

/**
 * @param {Component} component
 * @param {string} id
 * @returns {Control}
 */
function dateInput(component, id) {
  const isDay = component.type === 'day';
  const hasTime = !isDay && component.hasTime;
  const { minDate = '', maxDate = '' } = component.rules;
  const bounds = { min: toLocal(parseDate(minDate), hasTime), max: toLocal(parseDate(maxDate), hasTime) };
  const input = element(
    'input',
    attributes({ ...component, placeholder: '' }, id, {
      type: hasTime ? 'datetime-local' : 'date',
      ...Object.fromEntries(Object.entries(bounds).filter(([, value]) => value)),
    }),
  );
  return {
    node: affixed(component, input),
    inputs: [input],
    isGroup: false,
    isInline: false,
    read() {
      if (input.validity.badInput) return UNREADABLE;
      if (input.value === '') return '';
      return isDay ? toDay(component, input.value) : toTimestamp(input.value);
    },
    write(value) {
      const text = typeof value === 'string' ? value : '';
      input.value = toLocal(isDay ? parseDay(component, text) : parseDate(text), hasTime);
    },
  };
}

/**
 * @param {number} time
 * @param {boolean} hasTime
 * @returns {string} as the native controls have it, empty for no time
 */
function toLocal(time, hasTime) {
  if (Number.isNaN(time)) return '';
  const date = new Date(time);
  const day = `${pad(date.getFullYear(), 4)}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return hasTime ? `${day}T${pad(date.getHours())}:${pad(date.getMinutes())}` : day;
}

/**
 * @param {string} local the value of a native control
 * @returns {string} with the offset from UTC, as Form.io stores it
 */
function toTimestamp(local) {
  const time = parseDate(local);
  if (Number.isNaN(time)) return '';
  const date = new Date(time);
  const offset = -date.getTimezoneOffset();
  const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60];
  const seconds = pad(date.getSeconds());
  return `${toLocal(time, true)}:${seconds}${offset < 0 ? '-' : '+'}${pad(hours)}:${pad(minutes)}`;
}

/**
 * @param {Component} component
 * @param {string} local such as 2026-11-30
 */
function toDay({ isDayFirst }, local) {
  const [year, month, day] = local.split('-');
  return (isDayFirst ? [day, month, year] : [month, day, year]).join('/');
}

/**
 * @param {number} number
 * @param {number} [length]
 */
function pad(number, length = 2) {
  return String(number).padStart(length, '0');
}
