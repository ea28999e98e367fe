// The same forms and answers through Form.io's own library: it must find the same fields hidden and invalid. What it
// does differently, and why, is in docs/forms.md.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { parseForm } from '../src/form/definition.js';
import { messageOf } from '../src/form/message.js';
import { evaluate, flatten, initialValues } from '../src/form/state.js';
import { FORM_STRINGS } from '../src/form/strings.js';
import { validate } from '../src/form/validation.js';
import { CASES } from './form-cases.mjs';

/** @typedef {import('./form-cases.mjs').FormCase} FormCase */

/** @param {FormCase} formCase */
function ours({ components, data }) {
  const form = parseForm({ components });
  const values = initialValues(form.components, ({ key }) => data[key]);
  const state = evaluate(form, values);
  const failures = validate(values, state);
  const inputs = flatten(form.components).filter(({ kind }) => kind === 'input');
  return {
    invalid: [...failures.keys()].map(({ key }) => key),
    hidden: inputs.filter((input) => !state.shown.has(input) || input.isHidden).map(({ key }) => key),
    messages: [...failures].map(([component, failure]) => messageOf(component, failure, FORM_STRINGS, 'en')),
    data: state.data,
  };
}

/** @param {FormCase} formCase */
async function theirs(formCase) {
  // It takes a while to load, which a run that selects no test of this file need not wait for.
  const { Processors, interpolateErrors, processSync } = await import('@formio/core');
  const { components, data } = structuredClone({ components: formCase.components, data: formCase.data });
  /** @type {any} */
  const scope = { errors: [] };
  const form = { components };
  processSync(
    /** @type {any} */ ({
      form,
      components,
      data,
      row: data,
      submission: { data },
      scope,
      processors: Processors,
      config: {},
    }),
  );
  /** @type {Set<string>} */
  const invalid = new Set(scope.errors.map((/** @type {any} */ error) => error.context.component.key));
  return {
    invalid: [...invalid],
    hidden: hiddenOf(
      components,
      new Set(
        scope.conditionals
          ?.filter((/** @type {any} */ c) => c.conditionallyHidden)
          .map((/** @type {any} */ c) => c.path),
      ),
    ),
    messages: interpolateErrors(scope.errors).map((/** @type {any} */ error) => error.message),
    data,
  };
}

/**
 * @param {any[]} components
 * @param {Set<string>} paths of components that are hidden by a condition
 * @param {boolean} [isHidden] whether what they are in is hidden
 * @returns {string[]} keys of hidden inputs
 */
function hiddenOf(components, paths, isHidden = false) {
  return components.flatMap(({ key, hidden, input, components: children = [], columns = [] }) => {
    const isOwnHidden = isHidden || hidden || paths.has(key);
    const inner = [...children, ...columns.flatMap((/** @type {any} */ column) => column.components)];
    return [...(input && isOwnHidden ? [key] : []), ...hiddenOf(inner, paths, isOwnHidden)];
  });
}

describe('forms as in @formio/core', () => {
  for (const formCase of CASES)
    test(formCase.name, async () => {
      const { invalid = [], hidden = [], kept = [] } = formCase;
      const [mine, other] = [ours(formCase), await theirs(formCase)];
      assert.deepEqual([mine.invalid.toSorted(), mine.hidden], [invalid, hidden]);
      assert.deepEqual([other.invalid.toSorted(), other.hidden], [invalid, hidden], 'Form.io');
      for (const key of hidden)
        assert.equal(key in mine.data, key in other.data && !kept.includes(key), `whether ${key} has a value`);
    });

  test('messages of the definition are the same', async () => {
    for (const formCase of CASES.filter(({ name }) =>
      ['custom message', 'JSON logic as a rule, not met'].includes(name),
    ))
      assert.deepEqual(ours(formCase).messages, (await theirs(formCase)).messages);
  });
});
