// The bundle `form.js`, which the widget loads when the first form arrives.

import { renderByPage } from './renderer.js';
import { FormView } from './view.js';

export { removeFromBubble, renderInBubble } from './bubble.js';
export { registerFormRenderer } from './renderer.js';

/**
 * Renders a Form.io form definition.
 *
 * Parts: form, form-title, form-field, form-label, form-description, form-input, form-option, form-error, form-notice,
 *   form-panel, form-columns, form-submit, form-reset, form-status
 *
 * Custom properties: those of the widget
 *
 * @param {unknown} definition untrusted
 * @param {import('./renderer.js').FormOptions} options
 * @returns {import('./renderer.js').RenderedForm} the element has a shadow root of its own
 */
export function renderForm(definition, options) {
  return renderByPage(definition, options) ?? new FormView(definition, options);
}
