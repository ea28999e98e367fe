// The edge on both runtimes: what this benchmark is about.

import { signedIn } from '../../support/sign-in.mjs';

/** @typedef {import('../scope.mjs').Scope} Scope */
/** @typedef {import('../../../scripts/stack/stack.mjs').Stack} Stack */
/** @typedef {{ name: string, target: 'workers' | 'spin', stack: Stack }} Edge */

export const WORKERS = 'Causeway on workerd';
export const SPIN = 'Causeway on Spin';

/** The edge with a channel that has no echo. @param {string} name @returns {string} */
export const withoutEcho = (name) => `${name}, no echo`;

/** @param {Scope} scope @param {Parameters<Scope['stack']>[1]} [options] @returns {Promise<Edge[]>} */
export async function startEdges(scope, options) {
  // One after the other: each picks free ports.
  return [
    { name: WORKERS, target: 'workers', stack: await scope.stack('workers', options) },
    { name: SPIN, target: 'spin', stack: await scope.stack('spin', options) },
  ];
}

/** The headers of a signed-in page's script. @param {Stack} stack @param {string} [login] */
export async function signedInHeaders(stack, login = 'ada') {
  const { browser } = await signedIn(stack, 'github', login);
  return (/** @type {string} */ method = 'GET') => ({
    ...browser.scriptHeaders(method),
    Cookie: browser.cookieHeader ?? '',
  });
}
