// The input field: Enter sends, Shift+Enter breaks the line.

import { element, icon } from './dom.js';

// JSON may take six bytes for a character. Even then this many fit the edge's limit of 64 KiB.
const MAX_CHARACTERS = 8_000;

export class Composer {
  #onSend;
  #input;
  #button;

  /**
   * @param {import('./strings.js').Strings} strings
   * @param {(text: string) => boolean} onSend returns false to keep the text in the field
   */
  constructor(strings, onSend) {
    this.#onSend = onSend;
    const { placeholder, send } = strings;
    this.#input = element('textarea', {
      part: 'input',
      rows: '1',
      dir: 'auto',
      maxlength: String(MAX_CHARACTERS),
      enterkeyhint: 'send',
      placeholder,
      'aria-label': placeholder,
    });
    this.#button = element(
      'button',
      { part: 'send', type: 'submit', 'aria-label': send, title: send },
      icon('M12 19V5m-6 6 6-6 6 6'),
    );
    this.form = element('form', { part: 'composer' }, this.#input, this.#button);
    this.form.onsubmit = (event) => {
      event.preventDefault();
      this.#send();
    };
    this.#input.onkeydown = (event) => {
      // While an input method is composing, Enter picks a candidate. Safari reports that as key code 229.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#send();
    };
    this.#input.oninput = () => this.#fit();
    this.#fit();
  }

  get text() {
    return this.#input.value;
  }

  set text(text) {
    this.#input.value = text;
    this.#fit();
  }

  focus() {
    this.#input.focus({ preventScroll: true });
  }

  #send() {
    const text = this.text.trim();
    if (!text || !this.#onSend(text)) return;
    this.text = '';
    this.focus();
  }

  #fit() {
    this.#button.classList.toggle('idle', !this.text.trim());
    if (CSS.supports('field-sizing', 'content')) return;
    this.#input.style.height = 'auto';
    this.#input.style.height = `${this.#input.scrollHeight}px`;
  }
}
