// Speaks to screen readers: one polite sentence for what happened lately, never one per piece of an answer, never a
// whole history.

import { element } from './dom.js';
import { fill } from './strings.js';

const GATHER_MS = 600;
const MAX_SPOKEN = 2;

export class Announcer {
  region = element('div', { class: 'quiet', role: 'status', 'aria-live': 'polite' });
  #template;
  /** @type {string[]} */
  #waiting = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {string} template for more messages than are read out */
  constructor(template) {
    this.#template = template;
  }

  /** @param {string} text */
  say(text) {
    this.#waiting.push(text);
    this.#timer ??= setTimeout(() => this.#speak(), GATHER_MS);
  }

  disconnect() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
  }

  #speak() {
    const said = this.#waiting;
    this.disconnect();
    this.region.textContent =
      said.length > MAX_SPOKEN ? fill(this.#template, { count: String(said.length) }) : said.join('. ');
  }
}
