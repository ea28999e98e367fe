// Announces changes to screen readers: one polite sentence for all recent changes. Reading out each piece of a streamed
// answer, or a whole history, would be unbearable.

import { element } from './dom.js';
import { fill } from './strings.js';

const COLLECT_MS = 600;
const MAX_READ_OUT = 2;

export class Announcer {
  region = element('div', { class: 'sr-only', role: 'status' });
  #template;
  #notice = '';
  /** @type {string[]} */
  #messages = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {string} template used when there are too many messages to read out */
  constructor(template) {
    this.#template = template;
  }

  /**
   * Announces a state. A later notice replaces an earlier one, which is no longer true.
   * @param {string} text
   */
  notice(text) {
    this.#notice = text;
    this.#schedule();
  }

  /** @param {string} text */
  message(text) {
    this.#messages.push(text);
    this.#schedule();
  }

  disconnect() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#messages = [];
    this.#notice = '';
  }

  #schedule() {
    this.#timer ??= setTimeout(() => this.#announce(), COLLECT_MS);
  }

  #announce() {
    const { length } = this.#messages;
    const messages = length > MAX_READ_OUT ? [fill(this.#template, { count: String(length) })] : this.#messages;
    this.region.textContent = [this.#notice, ...messages].filter(Boolean).join('. ');
    this.disconnect();
  }
}
