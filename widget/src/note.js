// What a page leaves behind in its tab for the way back from the identity provider.

/**
 * @param {string} key
 * @param {unknown} value
 */
export function leaveNote(key, value) {
  try {
    sessionStorage.setItem(key, JSON.stringify(value));
  } catch {
    // Storage is blocked: a draft is lost, or this sign-in comes to nothing, and the widget will say so.
  }
}

/**
 * @param {string} key
 * @returns {any} null if there is none
 */
export function takeNote(key) {
  try {
    const text = sessionStorage.getItem(key);
    sessionStorage.removeItem(key);
    return JSON.parse(text ?? 'null');
  } catch {
    return null;
  }
}
