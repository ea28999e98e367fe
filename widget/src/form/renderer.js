// A page's own renderer in place of the built-in one, such as the full Form.io library. It is kept with the page and
// not in this module, which the page may load twice, under its stable and its hashed name.

const KEY = Symbol.for('causeway.form-renderer');

/**
 * @typedef {object} FormOptions
 * @property {Partial<import('./strings.js').FormStrings>} [strings]
 * @property {string} [locale] of dates and numbers
 * @property {(event: FormEvent) => unknown} onSubmit may return a promise; while it is pending, the form waits, and if
 *   it rejects, the user may send again
 * @property {{ data?: unknown, state?: unknown }} [submission] answers to begin with; with `state: 'submitted'` they
 *   are shown as sent and can't be changed
 * @property {Promise<unknown>} [sending] settles with the answers in `submission`, which are being sent; if it rejects,
 *   the user may send again
 * @property {string} [id] of the message; without it, the definition's own is sent with the answers
 *
 * @typedef {{ type: 'form', data: { form: string, submission: { data: Record<string, unknown> } } }} FormEvent
 * @typedef {{ element: HTMLElement, destroy: () => void }} RenderedForm
 * @typedef {(definition: unknown, options: FormOptions) => RenderedForm | undefined} FormRenderer
 *   undefined: the built-in renderer is to render this form
 */

/** @type {Record<symbol, FormRenderer | undefined>} */
const page = /** @type {any} */ (globalThis);

/**
 * @param {FormRenderer} renderer
 * @returns {() => void} removes it
 */
export function registerFormRenderer(renderer) {
  page[KEY] = renderer;
  return () => {
    if (page[KEY] === renderer) delete page[KEY];
  };
}

/**
 * @param {unknown} definition
 * @param {FormOptions} options
 * @returns {RenderedForm | undefined}
 */
export function renderByPage(definition, options) {
  try {
    return page[KEY]?.(definition, options);
  } catch (error) {
    // A defect of the page's renderer must not lose the question.
    reportError(error);
    return undefined;
  }
}
