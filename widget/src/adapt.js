// The bundle `adapt.js`: what a page may ask for besides the ordinary, another language than English and the compact
// form. Loaded for either; each language and the launcher are bundles of their own. Names of what they get and give are
// not shortened.

import { load } from './client/bundle.js';

/** @typedef {Partial<import('./strings.js').Strings>} Texts */

/** By the first part of a language tag. Browsers and bundlers need each path in full. */
const LANGUAGES = {
  ar: () => load('./language-ar.js', () => import('./language/ar.js')),
  de: () => load('./language-de.js', () => import('./language/de.js')),
  es: () => load('./language-es.js', () => import('./language/es.js')),
  fr: () => load('./language-fr.js', () => import('./language/fr.js')),
  hi: () => load('./language-hi.js', () => import('./language/hi.js')),
  it: () => load('./language-it.js', () => import('./language/it.js')),
  ja: () => load('./language-ja.js', () => import('./language/ja.js')),
  ko: () => load('./language-ko.js', () => import('./language/ko.js')),
  pt: () => load('./language-pt.js', () => import('./language/pt.js')),
  ru: () => load('./language-ru.js', () => import('./language/ru.js')),
  zh: () => load('./language-zh.js', () => import('./language/zh.js')),
};

/** @param {string} code @returns {code is keyof typeof LANGUAGES} */
const isKnown = (code) => Object.hasOwn(LANGUAGES, code);

/** @type {Texts} */
const ENGLISH = {};

/**
 * @param {string} language a language tag; it may be malformed
 * @returns {Promise<Texts>} the same each time. Empty if there is no translation: the texts are then English
 */
export async function translationOf(language) {
  const code = language.toLowerCase().split(/[-_]/)[0] ?? '';
  return isKnown(code) ? (await LANGUAGES[code]()).default : ENGLISH;
}

/**
 * @param {HTMLElement} host
 * @param {string} language
 * @param {Texts} strings of the page
 * @returns {Promise<Texts>} translation of all texts
 */
export async function adapt(host, language, strings) {
  const translation = await translationOf(language);
  if (host.hasAttribute('compact')) {
    const { launch } = await load('./launcher.js', () => import('./launcher/module.js'));
    launch(host, { ...translation, ...strings }, language);
  }
  return translation;
}
