// Announces changes to screen readers: the state and the latest messages, collected for a moment. Reading out each
// piece of a streamed answer, or a whole history, would be unbearable.

import { element } from './dom.js';

const COLLECT_MS = 600;
const MAX_READ_OUT = 2;

export function createAnnouncer() {
  const region = element('div', { class: 'sr-only', role: 'status' });
  let latestNotice = '';
  /** @type {string[]} */
  let messages = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** Removes the messages, which belong to a user. A state that is still to be announced stays. */
  function reset(text = '') {
    messages = [];
    region.textContent = text;
  }

  function schedule() {
    timer ??= setTimeout(() => {
      reset([latestNotice, ...messages.slice(-MAX_READ_OUT)].filter(Boolean).join('. '));
      latestNotice = '';
      timer = undefined;
    }, COLLECT_MS);
  }

  return {
    region,
    reset,

    /**
     * Announces a state. A later notice replaces an earlier one, which is no longer true.
     * @param {string} text
     */
    notice(text) {
      latestNotice = text;
      schedule();
    },

    /** @param {string} text of a message */
    readOut(text) {
      messages.push(text);
      schedule();
    },
  };
}
