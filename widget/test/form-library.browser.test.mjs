// The same forms and answers through the whole Form.io library, as it renders them in a browser.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';

import { CASES } from './form-cases.mjs';
import { useWidgetPage } from './widget-page.mjs';

/** Where it differs from `@formio/core`, and so from us: docs/forms.md. @type {string[]} */
const DIFFERING = ['boxes, too few', 'boxes, too many'];

describe('forms as in @formio/js', () => {
  const widget = useWidgetPage();

  test('the same fields are shown and invalid', { timeout: 120_000 }, async () => {
    widget.edge.pages.set('/formio', { policy: '', html: '<!doctype html><title>Form.io</title><body></body>' });
    // Not the page whose script errors are ours: the library fails to load style sheets of other origins.
    const page = await widget.context.newPage();
    await page.goto(`${widget.edgeOrigin}/formio`);
    await page.evaluate(await readFile(new URL(import.meta.resolve('@formio/js/dist/formio.full.min.js')), 'utf8'));
    const found = await page.evaluate(async (cases) => {
      const { Formio } = /** @type {any} */ (globalThis);
      const results = [];
      for (const { name, components, data } of cases) {
        const place = document.body.appendChild(document.createElement('div'));
        const form = await Formio.createForm(place, { components }, { noAlerts: true });
        await form.setSubmission({ data });
        form.checkConditions();
        form.checkData();
        const errors = await form.submit().then(
          () => [],
          (/** @type {any} */ failed) => [failed].flat(),
        );
        /** @type {string[]} */
        const hidden = [];
        form.everyComponent((/** @type {any} */ component) => {
          if (component.isInputComponent && !component.visible) hidden.push(component.key);
        });
        results.push({
          name,
          invalid: [...new Set(errors.map((/** @type {any} */ error) => error.context?.key ?? error.component?.key))],
          hidden,
        });
        form.destroy(true);
        place.remove();
      }
      return results;
    }, CASES);
    const differing = CASES.filter(({ invalid = [], hidden = [] }, i) => {
      const theirs = found[i];
      return JSON.stringify([theirs?.invalid.toSorted(), theirs?.hidden]) !== JSON.stringify([invalid, hidden]);
    });
    assert.deepEqual(
      differing.map(({ name }) => name),
      DIFFERING,
    );
  });
});
