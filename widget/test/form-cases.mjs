// Forms and answers of which Form.io's own library and ours must think the same. `invalid` and `hidden` are keys: what
// both are expected to say, so that the two can't agree on nothing.

/**
 * @typedef {object} FormCase
 * @property {string} name
 * @property {object[]} components
 * @property {Record<string, unknown>} data
 * @property {string[]} [invalid]
 * @property {string[]} [hidden]
 * @property {string[]} [kept] hidden ones whose value Form.io submits nevertheless, and we do not
 */

const required = { required: true };

/**
 * @param {string} type
 * @param {string} key
 * @param {object} [more]
 */
const component = (type, key, more = {}) => ({ type, key, label: key.toUpperCase(), input: true, ...more });
/**
 * @param {string} key
 * @param {object} [more]
 */
const text = (key, more) => component('textfield', key, more);
const values = [
  { label: 'Road', value: 'road' },
  { label: 'Sea', value: 'sea' },
];
const select = component('select', 's', { data: { values }, validate: required });
const radio = component('radio', 'r', { values, validate: required });
const boxes = component('selectboxes', 'x', {
  values: [...values, { label: 'Air', value: 'air' }],
  validate: required,
});
const counted = { ...boxes, validate: { minSelectedCount: 2, maxSelectedCount: 2 } };
const number = component('number', 'n', { validate: { min: 1, max: 10 } });
const pattern = text('p', { validate: { pattern: '[A-Z]{2}-\\d{5}' } });
const lengths = text('t', { validate: { minLength: 3, maxLength: 5 } });
const email = component('email', 'e');
const box = component('checkbox', 'c', { validate: required });
const area = component('textarea', 'a', { validate: { required: true, maxWords: 3 } });
/** @param {object} widget */
const date = (widget) =>
  component('datetime', 'd', { enableTime: false, widget: { enableTime: false, ...widget }, datePicker: widget });
const day = component('day', 'y', {
  fields: { day: { type: 'number' }, month: { type: 'select' }, year: { type: 'number' } },
  validate: required,
  minDate: '2026-02-01',
  maxDate: '2026-11-30',
});
/** @param {object} conditional */
const when = (conditional) => [text('a'), text('b', { validate: required, conditional })];
const simple = when({ show: true, when: 'a', eq: 'yes' });
const inverse = when({ show: 'false', when: 'a', eq: 'yes' });
/**
 * @param {string} conjunction
 * @param {boolean} [show]
 */
const several = (conjunction, show = true) => [
  text('a'),
  component('number', 'n'),
  text('b', {
    validate: required,
    conditional: {
      show,
      conjunction,
      conditions: [
        { component: 'a', operator: 'isEqual', value: 'yes' },
        { component: 'n', operator: 'greaterThan', value: 4 },
      ],
    },
  }),
];
/**
 * @param {string} operator
 * @param {unknown} [value]
 */
const term = (operator, value) =>
  when({ show: true, conjunction: 'all', conditions: [{ component: 'a', operator, value }] });
const logic = when({ json: { and: [{ '==': [{ var: 'data.a' }, 'yes'] }, { '!': { var: 'data.gone' } }] } });
const nested = [
  text('a'),
  {
    ...component('panel', 'panel', { input: false, title: 'Panel', conditional: { show: true, when: 'a', eq: 'yes' } }),
    components: [
      {
        ...component('columns', 'columns', { input: false }),
        columns: [
          { width: 6, components: [text('left', { validate: required })] },
          { width: 6, components: [component('number', 'right', { validate: { min: 5 } })] },
        ],
      },
    ],
  },
];
const chain = [
  text('a'),
  text('b', { conditional: { show: true, when: 'a', eq: 'yes' } }),
  text('c', { validate: required, conditional: { show: true, when: 'b', eq: 'yes' } }),
];
const rule = text('a', { validate: { json: { if: [{ '==': [{ var: 'data.a' }, 'ok'] }, true, 'Say ok'] } } });

/** @type {FormCase[]} */
export const CASES = [
  { name: 'text, given', components: [text('a', { validate: required })], data: { a: 'x' } },
  { name: 'text, empty', components: [text('a', { validate: required })], data: { a: '' }, invalid: ['a'] },
  { name: 'text, blanks only', components: [text('a', { validate: required })], data: { a: '  ' }, invalid: ['a'] },
  { name: 'text, optional', components: [text('a')], data: { a: '' } },
  { name: 'pattern, matching', components: [pattern], data: { p: 'LF-20771' } },
  { name: 'pattern, not matching', components: [pattern], data: { p: 'LF-2077' }, invalid: ['p'] },
  { name: 'pattern, empty', components: [pattern], data: { p: '' } },
  {
    name: 'pattern of alternatives, which Form.io anchors at its ends only',
    components: [text('p', { validate: { pattern: 'yes|no' } })],
    data: { p: 'yesterday' },
  },
  { name: 'length, within', components: [lengths], data: { t: 'abcd' } },
  { name: 'length, too short', components: [lengths], data: { t: 'ab' }, invalid: ['t'] },
  { name: 'length, too long', components: [lengths], data: { t: 'abcdef' }, invalid: ['t'] },
  { name: 'length, empty', components: [lengths], data: { t: '' } },
  { name: 'email, valid', components: [email], data: { e: 'ada.lovelace@example.co.uk' } },
  { name: 'email, without a domain', components: [email], data: { e: 'ada@example' }, invalid: ['e'] },
  { name: 'email, two dots', components: [email], data: { e: 'ada..l@example.com' }, invalid: ['e'] },
  { name: 'email, quoted', components: [email], data: { e: '"ada l"@example.com' } },
  { name: 'email, empty', components: [email], data: { e: '' } },
  { name: 'number, within', components: [number], data: { n: 10 } },
  { name: 'number, zero', components: [number], data: { n: 0 }, invalid: ['n'] },
  { name: 'number, too large', components: [number], data: { n: 10.5 }, invalid: ['n'] },
  { name: 'number, none', components: [number], data: {} },
  {
    name: 'number, required',
    components: [component('number', 'n', { validate: required })],
    data: {},
    invalid: ['n'],
  },
  { name: 'number, required, zero', components: [component('number', 'n', { validate: required })], data: { n: 0 } },
  { name: 'checkbox, ticked', components: [box], data: { c: true } },
  { name: 'checkbox, not ticked', components: [box], data: { c: false }, invalid: ['c'] },
  { name: 'select, chosen', components: [select], data: { s: 'sea' } },
  { name: 'select, nothing', components: [select], data: { s: '' }, invalid: ['s'] },
  {
    name: 'select, several',
    components: [{ ...select, multiple: true }],
    data: { s: ['sea', 'road'] },
  },
  { name: 'select, several, none', components: [{ ...select, multiple: true }], data: { s: [] }, invalid: ['s'] },
  { name: 'radio, chosen', components: [radio], data: { r: 'road' } },
  { name: 'radio, nothing', components: [radio], data: { r: '' }, invalid: ['r'] },
  { name: 'boxes, one', components: [boxes], data: { x: { road: true, sea: false, air: false } } },
  { name: 'boxes, none', components: [boxes], data: { x: { road: false, sea: false, air: false } }, invalid: ['x'] },
  {
    name: 'boxes, too few',
    components: [counted],
    data: { x: { road: true, sea: false, air: false } },
    invalid: ['x'],
  },
  { name: 'boxes, too many', components: [counted], data: { x: { road: true, sea: true, air: true } }, invalid: ['x'] },
  { name: 'boxes, as many', components: [counted], data: { x: { road: true, sea: true, air: false } } },
  { name: 'text area, given', components: [area], data: { a: 'one two\nthree' } },
  { name: 'text area, too many words', components: [area], data: { a: 'one two three four' }, invalid: ['a'] },
  { name: 'date, after the first', components: [date({ minDate: '2026-03-01' })], data: { d: '2026-03-01T00:00:00' } },
  {
    name: 'date, before the first',
    components: [date({ minDate: '2026-03-01' })],
    data: { d: '2026-02-28T23:59:00' },
    invalid: ['d'],
  },
  { name: 'date, on the last', components: [date({ maxDate: '2026-03-01' })], data: { d: '2026-03-01T18:00:00' } },
  {
    name: 'date, after the last',
    components: [date({ maxDate: '2026-03-01' })],
    data: { d: '2026-03-02T00:00:00' },
    invalid: ['d'],
  },
  { name: 'day, within', components: [day], data: { y: '02/01/2026' } },
  { name: 'day, on the last', components: [day], data: { y: '11/30/2026' } },
  { name: 'day, too early', components: [day], data: { y: '01/31/2026' }, invalid: ['y'] },
  { name: 'day, too late', components: [day], data: { y: '12/01/2026' }, invalid: ['y'] },
  { name: 'day, none such', components: [day], data: { y: '02/30/2026' }, invalid: ['y'] },
  { name: 'day, empty', components: [day], data: { y: '' }, invalid: ['y'] },
  { name: 'hidden required field', components: simple, data: { a: 'no', b: '' }, hidden: ['b'] },
  { name: 'shown required field', components: simple, data: { a: 'yes', b: '' }, invalid: ['b'] },
  { name: 'value of a hidden field', components: simple, data: { a: 'no', b: 'left over' }, hidden: ['b'] },
  { name: 'hidden by an equal value', components: inverse, data: { a: 'yes', b: '' }, hidden: ['b'] },
  { name: 'shown by another value', components: inverse, data: { a: 'no', b: '' }, invalid: ['b'] },
  {
    name: 'shown by a box',
    components: [{ ...boxes, validate: {} }, text('b', { conditional: { show: true, when: 'x', eq: 'sea' } })],
    data: { x: { road: true, sea: false, air: false }, b: '' },
    hidden: ['b'],
  },
  {
    name: 'shown by a number of a radio',
    components: [
      component('radio', 'r', { values: [{ label: '1', value: '1' }] }),
      text('b', { validate: required, conditional: { show: true, when: 'r', eq: '1' } }),
    ],
    data: { r: 1, b: '' },
    invalid: ['b'],
  },
  { name: 'all of several conditions', components: several('all'), data: { a: 'yes', n: 5, b: '' }, invalid: ['b'] },
  { name: 'not all of several', components: several('all'), data: { a: 'yes', n: 4, b: '' }, hidden: ['b'] },
  { name: 'any of several conditions', components: several('any'), data: { a: 'no', n: 5, b: '' }, invalid: ['b'] },
  { name: 'none of several', components: several('any'), data: { a: 'no', n: 1, b: '' }, hidden: ['b'] },
  { name: 'hidden by several', components: several('all', false), data: { a: 'yes', n: 5, b: '' }, hidden: ['b'] },
  { name: 'includes', components: term('includes', 'cargo'), data: { a: 'air cargo', b: '' }, invalid: ['b'] },
  { name: 'starts with', components: term('startsWith', 'LF'), data: { a: 'XX', b: '' }, hidden: ['b'] },
  { name: 'is empty', components: term('isEmpty'), data: { a: '', b: '' }, invalid: ['b'] },
  { name: 'is not empty', components: term('isNotEmpty'), data: { a: '', b: '' }, hidden: ['b'] },
  { name: 'is not equal', components: term('isNotEqual', 'x'), data: { a: 'x', b: '' }, hidden: ['b'] },
  { name: 'JSON logic, shown', components: logic, data: { a: 'yes', b: '' }, invalid: ['b'] },
  { name: 'JSON logic, hidden', components: logic, data: { a: 'no', b: '' }, hidden: ['b'] },
  { name: 'JSON logic as a rule, met', components: [rule], data: { a: 'ok' } },
  { name: 'JSON logic as a rule, not met', components: [rule], data: { a: 'no' }, invalid: ['a'] },
  {
    name: 'nested, hidden',
    components: nested,
    data: { a: 'no', left: '', right: 1 },
    hidden: ['left', 'right'],
    kept: ['right'],
  },
  { name: 'nested, shown', components: nested, data: { a: 'yes', left: '', right: 1 }, invalid: ['left', 'right'] },
  { name: 'nested, valid', components: nested, data: { a: 'yes', left: 'x', right: 5 } },
  { name: 'chain, hidden by a hidden one', components: chain, data: { a: 'no', b: '', c: '' }, hidden: ['b', 'c'] },
  { name: 'chain, shown', components: chain, data: { a: 'yes', b: 'yes', c: '' }, invalid: ['c'] },
  {
    name: 'hidden always',
    components: [text('a', { hidden: true, validate: required })],
    data: { a: '' },
    hidden: ['a'],
  },
  {
    name: 'custom message',
    components: [text('a', { validate: { required: true, customMessage: 'Please name {{field}}' } })],
    data: { a: '' },
    invalid: ['a'],
  },
];
