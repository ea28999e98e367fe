// The texts of one widget, which the page may replace at any time, and the language of its times and days.

import { STRINGS } from './strings.js';

/**
 * @typedef {import('./strings.js').Strings} Strings
 * @typedef {ReturnType<typeof createTexts>} Texts
 */

export function createTexts() {
  /** @type {(() => void)[]} */
  const bound = [];
  const texts = {
    strings: STRINGS,
    /** Undefined: that of the browser. @type {string | undefined} */
    language: undefined,
    /** Writes times of day. @type {Intl.DateTimeFormat | undefined} */
    clock: undefined,
    /** Grows whenever texts change. */
    version: 0,

    /**
     * Keeps a text of an element up to date.
     * @template {Element} T
     * @param {T} node
     * @param {keyof typeof STRINGS} name of the text
     * @param {...string} attributes that have it; if there are none, the element's content
     * @returns {T}
     */
    bind(node, name, ...attributes) {
      bound.push(() => {
        for (const attribute of attributes) node.setAttribute(attribute, texts.strings[name]);
        if (!attributes[0]) node.textContent = texts.strings[name];
      });
      bound.at(-1)?.();
      return node;
    },

    /**
     * @param {Strings} strings
     * @param {string} language malformed ones are ignored
     */
    update(strings, language) {
      texts.strings = strings;
      texts.language = localeOf(language);
      texts.clock = new Intl.DateTimeFormat(texts.language, { timeStyle: 'short' });
      texts.version += 1;
      for (const apply of bound) apply();
    },
  };
  return texts;
}

/**
 * A locale that `Intl` accepts. Pages also write `en_US`, and anything else.
 * @param {string} language
 */
export function localeOf(language) {
  try {
    return Intl.getCanonicalLocales(language.replaceAll('_', '-'))[0];
  } catch {
    return undefined;
  }
}
