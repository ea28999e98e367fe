// Values of this tab that must survive a trip to the identity provider and back, in its sessionStorage.

/** In their place if storage is blocked. They are lost with the page. @type {Map<string, string>} */
const memory = new Map();

/**
 * @param {string} key
 * @param {unknown} value
 */
export function storeInTab(key, value) {
  const text = JSON.stringify(value);
  try {
    sessionStorage.setItem(key, text);
  } catch {
    memory.set(key, text);
  }
}

/**
 * Reads and removes a value.
 * @param {string} key
 * @returns {any} null if there is none
 */
export function takeFromTab(key) {
  let text = memory.get(key) ?? null;
  memory.delete(key);
  try {
    text ??= sessionStorage.getItem(key);
    sessionStorage.removeItem(key);
  } catch {
    // Storage is blocked.
  }
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return null;
  }
}
