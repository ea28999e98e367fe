// The widget as a Module Federation remote, which webpack and Vite load as an ES module from `/assets/remote-entry.js`.
// Written by hand, as it shares nothing with its host.

/** @type {Record<string, () => Promise<object>>} */
const MODULES = {
  './chat-widget': () => import('./module.js'),
  './client': () => import('./client/client.js'),
  './parcel': () => import('./parcel.js'),
};

/** The host offers what it shares. The widget depends on nothing. */
export function init() {}

/**
 * @param {string} name of a module, as in MODULES
 * @returns {Promise<() => object>} makes the module
 */
export async function get(name) {
  const load = Object.hasOwn(MODULES, name) && MODULES[name];
  if (!load) throw new Error(`no module ${name}`);
  const module = await load();
  return () => module;
}
