// Adds the element to a page.

import { moduleUrl, tag } from './element.js';

/**
 * Adds the widget to an element of the page.
 *
 * @param {Element} parent usually a `div`; its other children stay
 * @param {{ edge?: string, channel?: string, heading?: string, lang?: string, popup?: boolean, compact?: boolean,
 * strings?: Partial<import('./strings.js').Strings> }} [options]
 * @returns {() => void} removes the widget and ends its connections; safe to call again
 */
export function mount(parent, { strings = {}, ...attributes } = {}) {
  const widget = /** @type {import('./element.js').ChatWidget} */ (document.createElement(tag));
  widget.strings = strings;
  // Another copy of this build, from another edge, may have defined the element.
  for (const [name, value] of Object.entries({ edge: moduleUrl, ...attributes }))
    if (value) widget.setAttribute(name, String(value));
  parent.append(widget);
  return () => widget.remove();
}
