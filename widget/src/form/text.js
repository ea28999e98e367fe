// Reads values of a definition. A definition is untrusted: whatever it holds, these return a value of the asked type
// within the asked bound.

/** Characters of a label or message. */
export const MAX_LABEL = 400;
/** Characters of a description or other longer text. */
export const MAX_TEXT = 4_000;

/**
 * @param {unknown} value
 * @returns {Record<string, unknown>} `value` if it is an object, otherwise an empty one
 */
export function record(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? /** @type {Record<string, unknown>} */ (value)
    : {};
}

/**
 * @param {unknown} value
 * @param {number} max
 * @returns {unknown[]}
 */
export function list(value, max) {
  return Array.isArray(value) ? value.slice(0, max) : [];
}

/**
 * @param {unknown} value
 * @param {number} max characters
 */
export function string(value, max) {
  return typeof value === 'string' || typeof value === 'number' ? String(value).slice(0, max) : '';
}

/**
 * A number, or a text that begins with one. Form.io writes either.
 * @param {unknown} value
 */
export function number(value) {
  const parsed = typeof value === 'string' ? parseFloat(value) : value;
  return typeof parsed === 'number' && Number.isFinite(parsed) ? parsed : undefined;
}

/**
 * @param {unknown} value
 * @returns {number} characters of its JSON; Infinity if it has none
 */
export function sizeOf(value) {
  try {
    return value === undefined ? 0 : JSON.stringify(value).length;
  } catch {
    return Infinity;
  }
}

/** @type {Record<string, string>} */
const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: '\u00a0' };

/**
 * Text of what may be HTML. Form.io allows HTML in labels and descriptions; here the tags are dropped. The result is
 * only ever made a text node, so what this misses is shown as it is written. What is cut off ends in an ellipsis.
 * @param {unknown} value
 * @param {number} max characters
 */
export function plain(value, max) {
  const text = string(value, max + 1);
  return (text.length > max ? `${text.slice(0, max - 1)}…` : text)
    .replace(/<\/?[a-z][^>]*>/gi, ' ')
    .replace(/&(amp|lt|gt|quot|apos|nbsp);/g, (whole, name) => ENTITIES[name] ?? whole)
    .replace(/[^\S\n]+/g, ' ')
    .trim();
}
