// Texts with a number. Besides the text `unreadCount` there may be `unreadCountOne`, `unreadCountFew` and so on, named
// after the plural categories of the language. The one without a category is for all others.

import { fill } from './strings.js';

/**
 * @param {Record<string, string | undefined>} strings
 * @param {string} name
 * @param {number} count
 * @param {string | undefined} locale
 */
export function plural(strings, name, count, locale) {
  const category = new Intl.PluralRules(locale).select(count);
  const own = strings[name + category.charAt(0).toUpperCase() + category.slice(1)];
  return fill(own ?? strings[name] ?? '', { count: count.toLocaleString(locale) });
}
