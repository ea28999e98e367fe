// A form in the bubble of its message: asked first, and shown with its answers once they are known to be sent, from
// this page or another one, or before a reload.

import { renderByPage } from './renderer.js';
import { record } from './text.js';
import { FormView } from './view.js';

/**
 * @typedef {object} Asked
 * @property {import('./renderer.js').RenderedForm} form
 * @property {boolean} isSent from this page, or about to be
 */

/** @type {WeakMap<HTMLElement, Asked>} */
const asked = new WeakMap();

/**
 * @param {HTMLElement} bubble
 * @param {{ id: string | null, form?: unknown, answer?: unknown }} message
 * @param {import('./renderer.js').FormOptions} options
 */
export function renderInBubble(bubble, { id, form, answer }, options) {
  const before = asked.get(bubble);
  // The form itself says that it was sent.
  if (before && (before.isSent || !answer)) return;
  const hadFocus = before && before.form.element.matches(':focus');
  before?.form.destroy();
  const submission = answer ? { data: record(answer).data, state: 'submitted' } : undefined;
  const own = { ...options, id: id ?? '', submission, onSubmit };
  const rendered = renderByPage(form, own) ?? new FormView(form, own);
  const current = { form: rendered, isSent: false };
  asked.set(bubble, current);
  bubble.append(rendered.element);
  if (hadFocus && rendered instanceof FormView) rendered.focus();

  /** @param {import('./renderer.js').FormEvent} event */
  async function onSubmit(event) {
    current.isSent = true;
    try {
      await options.onSubmit(event);
    } catch (error) {
      current.isSent = false;
      throw error;
    }
  }
}
