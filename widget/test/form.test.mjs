import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { MAX_COMPONENTS, MAX_DEPTH, MAX_FORM_OPTIONS, parseForm } from '../src/form/definition.js';
import { MAX_OPTIONS } from '../src/form/input.js';
import { messageOf, usableLocale } from '../src/form/message.js';
import { compile } from '../src/form/pattern.js';
import { compileLogic } from '../src/form/logic.js';
import { registerFormRenderer, renderByPage } from '../src/form/renderer.js';
import { evaluate, flatten, initialValues } from '../src/form/state.js';
import { FORM_STRINGS } from '../src/form/strings.js';
import { validate } from '../src/form/validation.js';
import { setPath } from '../src/form/value.js';

/** @typedef {import('../src/form/definition.js').Component} Component */

/**
 * @param {object[]} components
 * @param {Record<string, unknown>} [answers] by key
 */
function answer(components, answers = {}) {
  const form = parseForm({ components });
  const values = initialValues(form.components, (input) =>
    Object.hasOwn(answers, input.key) ? answers[input.key] : input.initial,
  );
  const state = evaluate(form, values);
  const failures = validate(values, state);
  return {
    form,
    data: state.data,
    shown: flatten(form.components)
      .filter((component) => state.shown.has(component) && component.key)
      .map(({ key }) => key),
    invalid: [...failures].map(([{ key }, { rule }]) => `${key}: ${rule}`),
    messages: [...failures].map(([component, failure]) => messageOf(component, failure, FORM_STRINGS, 'en')),
  };
}

const text = (/** @type {string} */ key, more = {}) => ({ type: 'textfield', key, label: key, ...more });

describe('a form definition', () => {
  test('may be anything', () => {
    for (const definition of [undefined, null, 1, 'text', [], { components: 'x' }, { components: [null, 1, [], {}] }])
      assert.ok(Array.isArray(parseForm(definition).components));
    const hostile = { type: {}, key: [], label: {}, validate: 'x', data: 1, values: 'x', conditional: [], fields: 3 };
    const types = ['textfield', 'select', 'radio', 'day', 'datetime', 'columns', 'panel', 'button', 'selectboxes'];
    for (const type of types) {
      const { components } = parseForm({
        components: [
          { ...hostile, type },
          { ...hostile, type, key: 'a' },
        ],
      });
      assert.equal(components.length, 2);
    }
  });

  test('of too many or too deep components is cut off, which is said', () => {
    const { components } = parseForm({ components: Array.from({ length: 1_000 }, (_, i) => text(`a${i}`)) });
    assert.equal(components.length, MAX_COMPONENTS + 1);
    assert.equal(components.at(-1)?.type, 'limit');

    let nested = { components: [text('a')] };
    for (let depth = 0; depth < 1_000; depth += 1)
      nested = { components: [/** @type {any} */ ({ type: 'panel', components: nested.components })] };
    const all = flatten(parseForm(nested).components);
    assert.equal(all.length, MAX_DEPTH + 1);
    assert.equal(all.at(-1)?.type, 'limit');
  });

  test('of long texts and many options is cut off', () => {
    const values = Array.from({ length: 10_000 }, (_, i) => ({ label: 'x'.repeat(10_000), value: i }));
    const [select] = parseForm({
      components: [{ type: 'select', key: 'a', label: 'y'.repeat(10_000), data: { values } }],
    }).components;
    assert.equal(select?.options.length, MAX_OPTIONS);
    assert.equal(select?.options[0]?.label, `${'x'.repeat(399)}…`);
    assert.equal(select?.label, `${'y'.repeat(399)}…`);
    assert.deepEqual([...(select?.unread ?? [])], ['limit']);
  });

  test('of options that cannot be read, or too many columns, says so', () => {
    const columns = Array.from({ length: 13 }, (_, i) => ({ components: [text(`c${i}`)] }));
    const [broken, large, read, wide] = parseForm({
      components: [
        { type: 'select', key: 'a', dataSrc: 'json', data: { json: '[{' } },
        { type: 'select', key: 'b', dataSrc: 'json', data: { json: `["${'x'.repeat(100_000)}"]` } },
        { type: 'select', key: 'c', dataSrc: 'json', data: { json: '["x"]' } },
        { type: 'columns', key: 'd', columns },
      ],
    }).components;
    assert.deepEqual(
      [broken, large, read].map((select) => select?.unread.has('limit')),
      [true, true, false],
    );
    assert.equal(wide?.children.at(-1)?.type, 'limit');
  });

  test('of too many options in all is cut off, which is said', () => {
    const values = Array.from({ length: 400 }, (_, i) => ({ label: `${i}`, value: i }));
    const { components } = parseForm({
      components: ['a', 'b', 'c', 'd'].map((key) => ({ type: 'radio', key, values })),
    });
    const counts = components.map(({ options, unread }) => [options.length, unread.has('limit')]);
    assert.deepEqual(counts, [
      [400, false],
      [400, false],
      [MAX_FORM_OPTIONS - 800, true],
      [0, true],
    ]);
  });

  test('of large default values leaves those out, which is said', () => {
    /** @type {Record<string, unknown>} */
    const endless = {};
    endless.self = endless;
    const { form, data } = answer([
      text('a', { defaultValue: 'x'.repeat(5_000) }),
      text('b', { defaultValue: 'x'.repeat(5_000) }),
      text('c', { defaultValue: 'short' }),
      { type: 'hidden', key: 'd', label: 'Order', defaultValue: Array(5_000).fill(1) },
      { type: 'hidden', key: 'e', defaultValue: endless },
    ]);
    assert.deepEqual(data, { a: 'x'.repeat(5_000), b: '', c: 'short' });
    assert.deepEqual(
      form.components.map(({ type, unread }) => [type, unread.has('value')]),
      [
        ['textfield', false],
        ['textfield', true],
        ['textfield', false],
        ['notice', true],
        ['notice', true],
      ],
    );
  });

  test('of too many conditions shows what they would hide', () => {
    const conditions = Array.from({ length: 50 }, () => ({ component: 'a', operator: 'isEqual', value: 'x' }));
    const conditional = { show: true, conjunction: 'all', conditions };
    const { shown } = answer([text('a'), ...Array.from({ length: 12 }, (_, i) => text(`b${i}`, { conditional }))]);
    assert.deepEqual(shown, ['a', 'b10', 'b11']);
    const large = { ...conditional, conditions: [{ component: 'a', operator: 'isEqual', value: 'x'.repeat(2_000) }] };
    assert.deepEqual(answer([text('a'), text('b', { conditional: large })]).shown, ['a', 'b']);
  });

  test('whose rules take long is answered in a moment, and decides nothing by them', () => {
    const list = Array(4_000).fill(1);
    const loop = {
      some: [
        { var: 'data.list' },
        {
          and: Array(250)
            .fill({ '==': [{ var: '' }, 1] })
            .concat(false),
        },
      ],
    };
    const search = { or: Array(90).fill({ in: ['y', { var: 'data.long' }] }) };
    const rules = Array.from({ length: 150 }, (_, i) =>
      text(`a${i}`, { conditional: { json: i % 2 ? loop : search }, validate: { json: i % 2 ? loop : search } }),
    );
    const start = performance.now();
    const { shown, invalid } = answer(
      [{ type: 'hidden', key: 'list', defaultValue: list }, text('long'), ...rules],
      Object.fromEntries([['list', list], ['long', 'x'.repeat(20_000)], ...rules.map(({ key }) => [key, 'x'])]),
    );
    assert.ok(performance.now() - start < 1_000);
    assert.ok(shown.includes('a149'));
    assert.ok(!invalid.some((failure) => failure.startsWith('a149')));
  });

  test('cannot reach the prototypes of objects by a key', () => {
    for (const key of ['__proto__', 'a.__proto__.b', 'constructor', 'prototype.x', 'a..b', 'a b', '', '1a']) {
      const [component] = parseForm({ components: [text(key)] }).components;
      assert.equal(component?.type, 'notice', key);
    }
    assert.deepEqual(answer([text('a.b'), text('a.c')], { 'a.b': '1', 'a.c': '2' }).data, { a: { b: '1', c: '2' } });
    setPath({}, ['__proto__', 'polluted'], true);
    assert.equal('polluted' in {}, false);
  });

  test('shows HTML as text', () => {
    const [content, field] = parseForm({
      components: [
        { type: 'content', html: '<p>Hello &amp; <b>welcome</b></p><script>x()</script>' },
        text('a', { label: '<i>Name</i> if 3 < 4 &lt;b&gt;' }),
      ],
    }).components;
    assert.equal(content?.description, 'Hello & welcome x()');
    assert.equal(field?.label, 'Name if 3 < 4 <b>');
  });

  test('of unknown or partly known types becomes a notice', () => {
    const components = [
      { type: 'signature', key: 'a' },
      { type: 'password', key: 'b' },
      text('c', { multiple: true }),
      { type: 'select', key: 'd', dataSrc: 'url', data: { url: 'https://attacker.example/' } },
      { type: 'select', key: 'e', dataSrc: 'custom', data: { custom: 'values = alert(1)' } },
      { type: 'button', key: 'f', action: 'url' },
      { type: 'day', key: 'g', fields: { day: { hide: true } } },
      { type: 'toString', key: 'h' },
    ];
    const form = parseForm({ components });
    assert.deepEqual([...new Set(form.components.map(({ type }) => type))], ['notice']);
    assert.deepEqual(answer(components).data, {});
  });

  test('never runs code, and names what it leaves out', () => {
    const { form, shown } = answer([
      text('a', { customConditional: 'globalThis.hacked = true; show = false' }),
      text('b', { validate: { custom: 'globalThis.hacked = true; valid = "no"' } }),
      text('c', { calculateValue: 'globalThis.hacked = true; value = 1' }),
      text('d', { logic: [{ trigger: { type: 'javascript', javascript: 'globalThis.hacked = true' } }] }),
      text('e', { defaultValue: '{{ globalThis.hacked = true }}' }),
      { type: 'datetime', key: 'f', widget: { minDate: 'globalThis.hacked = true' } },
    ]);
    assert.equal('hacked' in globalThis, false);
    assert.deepEqual(shown, ['a', 'b', 'c', 'd', 'e', 'f']);
    const unread = form.components.map((component) => [...component.unread].join());
    assert.deepEqual(unread, ['condition', 'rule', 'value', 'rule', '', 'rule']);
  });
});

describe('a pattern', () => {
  test('that could take exponential or long time is refused', () => {
    const refused = ['(a+)+', '(a|a)*', '(a|b)+', '(.*)*x', '(a?){30}', '((a{1,9}){1,9}){1,9}', '(?:a+b?)*', '(a)\\1'];
    for (const source of [...refused, '(?<=a)b', '(?<n>a)', '\\d+\\d+\\d+\\d+\\d+\\d+', 'x'.repeat(251), '(', '[', ')'])
      assert.equal(compile(source), undefined, source);
  });

  test('that forms use is accepted', () => {
    const accepted = ['[A-Z]{2}\\d{4}', '(\\d{3}-)?\\d{4}', '([0-9]{2} ){4}', '[^@]+@[^@]+\\.[a-z]+', 'yes|no', '.*'];
    for (const source of [
      ...accepted,
      '(?=.*[a-z])(?=.*\\d).{8,}',
      '(?:\\+49|0)\\d{3,14}',
      '[a-z)(|+*]+',
      '\\(\\d+\\)',
    ])
      assert.ok(compile(source), source);
  });

  test('answers in a moment, whatever the text, and in many fields', () => {
    const patterns = Array.from({ length: 200 }, () => compile('.*.*.*x'));
    const start = performance.now();
    for (const pattern of patterns) for (const length of [40, 46, 5_000]) pattern?.matches('a'.repeat(length));
    assert.ok(performance.now() - start < 1_000);
    assert.equal(patterns[0]?.matches('a'.repeat(46)), false);
    assert.equal(patterns[0]?.matches('a'.repeat(47)), undefined, 'too long to be tested');
    assert.equal(compile('.*.*.*.*x'), undefined);
  });

  test('is anchored as by Form.io', () => {
    assert.equal(compile('a|b')?.matches('axx'), true);
    assert.equal(compile('(a|b)')?.matches('axx'), false);
  });
});

describe('JSON logic', () => {
  test('is refused if it is unknown, too large, or reaches out of the data', () => {
    const deep = Array.from({ length: 100 }).reduce((inner) => ({ '!': inner }), /** @type {unknown} */ (true));
    const refused = [
      { log: 'x' },
      { reduce: [{ var: 'a' }, { cat: [{ var: 'accumulator' }, { var: 'accumulator' }] }, 'a'] },
      { map: [{ var: 'a' }, { map: [{ var: 'a' }, 1] }] },
      { method: ['a', 'b'] },
      { _map: [] },
      { var: 'constructor' },
      { var: 'data.__proto__.x' },
      { var: [{ cat: ['con', 'structor'] }] },
      { and: Array(1_000).fill(true) },
      { in: ['x', 'y'.repeat(5_000)] },
      deep,
    ];
    for (const rule of refused) assert.equal(compileLogic(rule), undefined, JSON.stringify(rule));
  });

  test('that fails decides nothing', () => {
    const rule = compileLogic({ missing_some: [1, null] });
    assert.equal(rule?.apply({}), null);
  });
});

describe('conditional display', () => {
  const when = (/** @type {object} */ conditional) => [
    text('a'),
    { type: 'number', key: 'n' },
    { type: 'selectboxes', key: 'boxes', values: [{ value: 'x' }, { value: 'y' }] },
    text('b', { conditional, validate: { required: true } }),
  ];
  const terms = (/** @type {string} */ component, /** @type {string} */ operator, /** @type {unknown} */ value) => ({
    show: true,
    conjunction: 'all',
    conditions: [{ component, operator, value }],
  });

  test('a hidden required field blocks nothing and has no value', () => {
    const components = when({ show: true, when: 'a', eq: 'yes' });
    assert.deepEqual(answer(components, { a: 'no', b: 'left over' }).invalid, []);
    assert.equal('b' in answer(components, { a: 'no', b: 'left over' }).data, false);
    assert.deepEqual(answer(components, { a: 'yes' }).invalid, ['b: required']);
  });

  test('a hidden field keeps its value if its definition says so', () => {
    const kept = text('b', { clearOnHide: false, conditional: { show: true, when: 'a', eq: 'yes' } });
    assert.equal(answer([text('a'), kept], { b: 'kept' }).data.b, 'kept');
  });

  test('the cleared value of a hidden field hides what depends on it', () => {
    const components = [
      text('a'),
      text('b', { conditional: { show: true, when: 'a', eq: 'yes' } }),
      text('c', { conditional: { show: true, when: 'b', eq: 'yes' } }),
      text('d', { conditional: { show: true, when: 'c', eq: 'yes' } }),
    ];
    assert.deepEqual(answer(components, { a: 'no', b: 'yes', c: 'yes', d: '1' }).data, { a: 'no' });
  });

  test('conditions in a circle come to an end', () => {
    const components = [
      text('a', { conditional: { show: true, when: 'b', eq: 'undefined' } }),
      text('b', { conditional: { show: true, when: 'a', eq: 'undefined' } }),
    ];
    assert.ok(answer(components).shown.length <= 2);
  });

  test('what is in a hidden panel is hidden', () => {
    const panel = {
      type: 'panel',
      key: 'p',
      conditional: { show: true, when: 'a', eq: 'yes' },
      components: [
        { type: 'columns', key: 'c', columns: [{ components: [text('b', { validate: { required: true } })] }] },
      ],
    };
    assert.deepEqual(answer([text('a'), panel]).shown, ['a']);
    assert.deepEqual(answer([text('a'), panel]).invalid, []);
    assert.deepEqual(answer([text('a'), panel], { a: 'yes' }).invalid, ['b: required']);
  });

  test('a field that is hidden always is not asked for', () => {
    const panel = { type: 'panel', key: 'p', hidden: true, components: [text('b', { validate: { required: true } })] };
    assert.deepEqual(answer([panel]).invalid, []);
  });

  test('each operator decides', () => {
    /** @type {[object, Record<string, unknown>, boolean][]} */
    const cases = [
      [{ show: 'true', when: 'a', eq: 'x' }, { a: 'x' }, true],
      [{ show: 'false', when: 'a', eq: 'x' }, { a: 'x' }, false],
      [{ show: true, when: 'boxes', eq: 'x' }, { boxes: { x: true } }, true],
      [{ show: true, when: 'boxes', eq: 'y' }, { boxes: { x: true } }, false],
      [{ show: true, when: 'gone', eq: 'x' }, {}, false],
      [{ show: null, when: null, eq: '' }, {}, true],
      [terms('a', 'isEqual', 'x'), { a: 'x' }, true],
      [terms('n', 'isEqual', '5'), { n: 5 }, true],
      [terms('boxes', 'isEqual', 'x'), { boxes: { x: true } }, true],
      [terms('a', 'isNotEqual', 'x'), { a: 'x' }, false],
      [terms('a', 'isEmpty', undefined), {}, true],
      [terms('boxes', 'isNotEmpty', undefined), { boxes: { y: true } }, true],
      [terms('a', 'includes', 'b'), { a: 'abc' }, true],
      [terms('a', 'notIncludes', 'b'), { a: 'abc' }, false],
      [terms('a', 'startsWith', 'ab'), { a: 'abc' }, true],
      [terms('a', 'endsWith', 'bc'), { a: 'abc' }, true],
      [terms('n', 'greaterThan', 4), { n: 5 }, true],
      [terms('n', 'lessThanOrEqual', 4), { n: 5 }, false],
      [terms('n', 'lessThan', 4), {}, false],
      [{ json: { '==': [{ var: 'data.a' }, 'x'] } }, { a: 'x' }, true],
      [{ json: { some: [[1, 2], { '==': [{ var: '' }, 3] }] } }, {}, false],
      [{ ...terms('a', 'isEqual', 'x'), show: false }, { a: 'x' }, false],
    ];
    for (const [conditional, answers, isShown] of cases)
      assert.equal(answer(when(conditional), answers).shown.includes('b'), isShown, JSON.stringify(conditional));
  });

  test('any of several conditions is enough if the definition says so', () => {
    const conditions = [
      { component: 'a', operator: 'isEqual', value: 'x' },
      { component: 'n', operator: 'greaterThan', value: 4 },
    ];
    const any = when({ show: true, conjunction: 'any', conditions });
    const all = when({ show: true, conjunction: 'all', conditions });
    assert.equal(answer(any, { n: 5 }).shown.includes('b'), true);
    assert.equal(answer(all, { n: 5 }).shown.includes('b'), false);
  });

  test('a question that may not apply is shown, but not required', () => {
    const { shown, invalid } = answer([text('a', { customConditional: 'show = x', validate: { required: true } })]);
    assert.deepEqual([shown, invalid], [['a'], []]);
    const panel = {
      type: 'panel',
      customConditional: 'show = x',
      components: [text('b', { validate: { required: true } })],
    };
    assert.deepEqual(answer([panel]).invalid, [], 'nor one in a panel that may not apply');
  });
});

describe('answers', () => {
  test('have the types that Form.io submits', () => {
    const values = [{ value: '1' }, { value: 'true' }, { value: 'x' }];
    const components = [
      { type: 'number', key: 'n' },
      { type: 'radio', key: 'r', values },
      { type: 'radio', key: 'text', values, dataType: 'string' },
      { type: 'select', key: 's', data: { values } },
      { type: 'select', key: 'm', multiple: true, data: { values } },
      { type: 'checkbox', key: 'c' },
      { type: 'email', key: 'e' },
    ];
    assert.deepEqual(
      answer(components, { n: '4.5', r: 'true', text: '1', s: '1', m: ['x', '1', 'gone'], e: ' Ada@Example.COM' }).data,
      { n: 4.5, r: true, text: '1', s: 1, m: [1, 'x'], c: false, e: 'ada@example.com' },
    );
    assert.deepEqual(answer(components).data, { r: '', text: '', s: '', m: [], c: false, e: '' });
  });

  test('a value that is no option is not chosen', () => {
    assert.equal(answer([{ type: 'radio', key: 'r', values: [{ value: 'a' }] }], { r: 'b' }).data.r, '');
  });

  test('get the message that the definition has, or that of the widget', () => {
    const required = { required: true };
    const { messages } = answer(
      [
        text('a', { validate: required, label: 'Name' }),
        text('b', { validate: { ...required, customMessage: '{{ field }}, please' }, label: 'City' }),
        text('c', { validate: required, errors: { required: 'Missing: {{field}}' } }),
        text('d', { validate: { pattern: '[A-Z]+', patternMessage: 'Capitals only' } }),
        { type: 'number', key: 'e', label: 'Size', validate: { min: 1500 }, errors: { min: 'From {{min}}' } },
        { type: 'number', key: 'f', label: 'Size', validate: { max: 1500 } },
        text('g', { validate: { json: { if: [{ '==': [{ var: 'value' }, 'x'] }, true, 'Say x'] } } }),
        { type: 'day', key: 'h', label: 'Date', minDate: '2026-03-01' },
      ],
      { d: 'abc', e: 2, f: 2000, g: 'y', h: '02/28/2026' },
    );
    assert.deepEqual(messages, [
      'Name is required.',
      'City, please',
      'Missing: c',
      'Capitals only',
      'From 1,500',
      'Size must be 1,500 or less.',
      'Say x',
      'Date must not be before Mar 1, 2026.',
    ]);
  });

  test('a malformed locale is ignored', () => {
    assert.equal(usableLocale('en_US'), 'en-US');
    assert.equal(usableLocale('no such language!'), undefined);
  });
});

describe("a page's own renderer", () => {
  const options = { onSubmit() {} };

  test('leaves the form to the built-in one if it is none, declines or fails', (context) => {
    /** @type {unknown[]} */
    const reported = [];
    Object.assign(globalThis, { reportError: (/** @type {unknown} */ error) => reported.push(error) });
    context.after(() => Reflect.deleteProperty(globalThis, 'reportError'));
    assert.equal(renderByPage({}, options), undefined);
    registerFormRenderer(() => undefined);
    assert.equal(renderByPage({}, options), undefined);
    const unregister = registerFormRenderer(() => {
      throw new TypeError('a defect of the page');
    });
    assert.equal(renderByPage({}, options), undefined);
    assert.equal(String(reported), 'TypeError: a defect of the page');
    unregister();
  });

  test('is removed only by the one that registered it', () => {
    const rendered = { element: /** @type {any} */ ({}), destroy() {} };
    const unregisterFirst = registerFormRenderer(() => undefined);
    const unregisterSecond = registerFormRenderer(() => rendered);
    unregisterFirst();
    assert.equal(renderByPage({}, options), rendered);
    unregisterSecond();
    assert.equal(renderByPage({}, options), undefined);
  });
});
