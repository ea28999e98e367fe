// Files that come with a message, as links. Nothing of them is loaded before the user follows a link.

import { element } from '../dom.js';
import { safeUrl } from './inline.js';
import { linkNode } from './render.js';

const MAX_FILES = 20;
const MAX_NAME = 200;
const UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte'];

/**
 * @param {unknown} attachments of an event; it may be anything
 * @param {string} label
 * @param {string | undefined} locale
 * @returns {HTMLElement | undefined} undefined: there is none that can be shown
 */
export function attachmentList(attachments, label, locale) {
  const links = (Array.isArray(attachments) ? attachments.slice(0, MAX_FILES) : []).flatMap((file) => {
    const { name, url, size } = Object(file);
    const href = safeUrl(url);
    if (!/^https?:/.test(href)) return [];
    const text = (typeof name === 'string' && name.trim().slice(0, MAX_NAME)) || nameOf(href);
    const link = linkNode('attachment', href, element('bdi', {}, text));
    if (Number.isFinite(size) && size >= 0)
      link.append(' ', element('span', { class: 'size' }, sizeText(size, locale)));
    return [element('li', {}, link)];
  });
  return links[0] && element('ul', { part: 'attachments', 'aria-label': label }, ...links);
}

/** @param {string} href */
const nameOf = (href) => new URL(href).pathname.split('/').findLast(Boolean) ?? new URL(href).host;

/**
 * @param {number} bytes
 * @param {string | undefined} locale
 */
function sizeText(bytes, locale) {
  const step = Math.min(UNITS.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3));
  const unit = UNITS[step];
  return (bytes / 1000 ** step).toLocaleString(locale, {
    style: 'unit',
    unit,
    unitDisplay: 'short',
    maximumSignificantDigits: 3,
  });
}
