// A form in the bubble of its message: asked first, and shown with its answers once there are some: those that are
// being sent, or those that were, from this page or another one, or before a reload.

import { renderByPage } from './renderer.js';
import { record } from './text.js';
import { FormView } from './view.js';

/**
 * @typedef {object} Asked
 * @property {import('./renderer.js').RenderedForm} form
 * @property {boolean} isSettled whether it shows its final answers, or sends them: no others take their place
 */

/** @type {WeakMap<HTMLElement, Asked>} */
const asked = new WeakMap();

/**
 * @param {HTMLElement} bubble
 * @param {{ id: string | null, form?: unknown, answer?: unknown }} message answer: the data of the event that answers
 *   the form, with `sent` if it is not known to be sent yet
 * @param {import('./renderer.js').FormOptions} options
 */
export function renderInBubble(bubble, { id, form, answer }, options) {
  const before = asked.get(bubble);
  if (before && (before.isSettled || !answer)) return;
  const hadFocus = before && before.form.element.matches(':focus');
  before?.form.destroy();
  const { submission: answers, sent } = record(answer);
  // Nothing of a record is a promise.
  const sending = sent instanceof Promise ? sent : undefined;
  const submission = answer ? { data: record(answers).data, state: sending ? 'draft' : 'submitted' } : undefined;
  const own = { ...options, id: id ?? '', submission, sending, onSubmit };
  const rendered = renderByPage(form, own) ?? new FormView(form, own);
  const current = { form: rendered, isSettled: Boolean(answer && !sending) };
  asked.set(bubble, current);
  bubble.append(rendered.element);
  if (hadFocus && rendered instanceof FormView) rendered.focus();

  /** @param {import('./renderer.js').FormEvent} event */
  async function onSubmit(event) {
    current.isSettled = true;
    try {
      await options.onSubmit(event);
    } catch (error) {
      current.isSettled = false;
      throw error;
    }
  }
}

/** The message is gone. @param {HTMLElement} bubble */
export function removeFromBubble(bubble) {
  asked.get(bubble)?.form.destroy();
  asked.delete(bubble);
}
