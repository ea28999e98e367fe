// The input field: Enter sends, Shift+Enter breaks the line.

import { button, element } from './dom.js';

// JSON may take six bytes for a character. Even then this many fit the edge's limit of 64 KiB.
const MAX_CHARACTERS = '8000';

/**
 * @param {import('./texts.js').Texts} texts
 * @param {(text: string) => void} onSend
 */
export function createComposer(texts, onSend) {
  const input = element('textarea', { part: 'input', rows: '1', dir: 'auto', maxlength: MAX_CHARACTERS });
  texts.bind(input, 'placeholder', 'placeholder', 'aria-label');
  const submit = texts.bind(button('send'), 'send', 'aria-label');
  const bar = element('div', { part: 'composer' }, input, submit);

  const focus = () => input.focus({ preventScroll: true });

  /** @param {string} text */
  function setText(text) {
    input.value = text;
    fit();
  }

  function send() {
    const text = input.value.trim();
    focus();
    if (!text) return;
    onSend(text);
    setText('');
  }

  function fit() {
    submit.classList.toggle('idle', !input.value.trim());
    input.style.height = 'auto';
    // With its borders.
    input.style.height = `${input.scrollHeight + 2}px`;
  }

  submit.onclick = send;
  input.onkeydown = (event) => {
    keepTyping(event);
    // While an input method is composing, Enter picks a candidate. The key code is then 229.
    if (event.key !== 'Enter' || event.shiftKey || event.keyCode === 229) return;
    event.preventDefault();
    send();
  };
  // Single-letter shortcuts of the page must not fire while the user types. To the page, the widget is no text field.
  input.onkeyup = input.onkeypress = keepTyping;
  input.oninput = fit;
  fit();

  return { bar, focus, setText, getText: () => input.value };
}

/** Keys that are commands, such as Escape and Ctrl+K, still reach the page. @param {KeyboardEvent} event */
export function keepTyping(event) {
  if (!event.ctrlKey && !event.metaKey && !/^(Escape|Tab)$/.test(event.key)) event.stopPropagation();
}
