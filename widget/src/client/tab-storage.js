// Values that must survive the trip to the identity provider and back, in the sessionStorage of the tab.

/**
 * @param {string} key
 * @param {unknown} value
 */
export function storeInTab(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is blocked. A draft is lost, or this sign-in has no effect, and the widget says so.
  }
}

/**
 * Reads and removes a value.
 * @param {string} key
 * @returns {any} null if there is none
 */
export function takeFromTab(key) {
  try {
    const text = sessionStorage.getItem(key);
    sessionStorage.removeItem(key);
    return JSON.parse(text ?? 'null');
  } catch {
    return null;
  }
}
