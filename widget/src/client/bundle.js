// Loads a bundle on demand.

/** What is loaded, or being loaded, by path. @type {Record<string, Promise<any> | undefined>} */
const bundles = {};

/**
 * Loads a bundle once. If that fails, the next call tries again.
 * @template T
 * @param {string} path beside the bundle that asks for it
 * @param {() => Promise<T>} first imports it by its plain path, which bundlers understand
 * @returns {Promise<T>}
 */
export function load(path, first) {
  return (bundles[path] ??= first()
    // Browsers remember that a module failed, under its address.
    .catch(() => import(`${path}?${Date.now()}`))
    .catch((error) => {
      bundles[path] = undefined;
      throw error;
    }));
}
