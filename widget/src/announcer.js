// Speaks to screen readers: one polite sentence for what happened lately, never one per piece of an answer, never a
// whole history.

import { element } from './dom.js';
import { fill } from './strings.js';

const GATHER_MS = 600;
const MAX_SPOKEN = 2;

export class Announcer {
  region = element('div', { class: 'quiet', role: 'status' });
  #template;
  #notice = '';
  /** @type {string[]} */
  #messages = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {string} template for more messages than are read out */
  constructor(template) {
    this.#template = template;
  }

  /**
   * What was true a moment ago and no longer is, is not worth hearing: a later notice replaces an earlier one.
   * @param {string} text
   */
  notice(text) {
    this.#notice = text;
    this.#soon();
  }

  /** @param {string} text */
  message(text) {
    this.#messages.push(text);
    this.#soon();
  }

  disconnect() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#messages = [];
    this.#notice = '';
  }

  #soon() {
    this.#timer ??= setTimeout(() => this.#speak(), GATHER_MS);
  }

  #speak() {
    const { length } = this.#messages;
    const heard = length > MAX_SPOKEN ? [fill(this.#template, { count: String(length) })] : this.#messages;
    this.region.textContent = [this.#notice, ...heard].filter(Boolean).join('. ');
    this.disconnect();
  }
}
