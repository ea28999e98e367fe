// Announces the latest state to screen readers. One that lasts no longer than a moment is not worth it.

import { element } from './dom.js';

const COLLECT_MS = 600;

export function createAnnouncer() {
  const region = element('div', { class: 'sr-only', role: 'status' });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  return {
    region,

    /** @param {string} text */
    notice(text) {
      clearTimeout(timer);
      timer = setTimeout(() => {
        region.textContent = text;
      }, COLLECT_MS);
    },
  };
}
