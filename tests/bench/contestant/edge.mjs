// The edge on both runtimes: what this benchmark is about.

import { signedIn } from '../../support/sign-in.mjs';

/** @typedef {import('../scope.mjs').Scope} Scope */
/** @typedef {import('../../../scripts/stack/stack.mjs').Stack} Stack */
/** @typedef {{ name: string, target: 'workers' | 'spin', stack: Stack }} Edge */

export const WORKERS = 'Causeway on workerd';
export const SPIN = 'Causeway on Spin';

/** The edge with a channel that has no echo. @param {string} name @returns {string} */
export const withoutEcho = (name) => `${name}, no echo`;

/** @type {readonly [string, Edge['target']][]} */
const EDGES = [
  [WORKERS, 'workers'],
  [SPIN, 'spin'],
];

/**
 * Starts those that are asked for.
 * @param {Scope} scope @param {Parameters<Scope['stack']>[1]} [options] @returns {Promise<Edge[]>}
 */
export async function startEdges(scope, options) {
  /** @type {Edge[]} */
  const edges = [];
  // One after the other: each picks free ports.
  for (const [name, target] of EDGES)
    if (scope.wants(name)) edges.push({ name, target, stack: await scope.stack(target, options) });
  return edges;
}

/** The headers of a signed-in page's script. @param {Stack} stack @param {string} [login] */
export async function signedInHeaders(stack, login = 'ada') {
  const { browser } = await signedIn(stack, 'github', login);
  return (/** @type {string} */ method = 'GET') => ({
    ...browser.scriptHeaders(method),
    Cookie: browser.cookieHeader ?? '',
  });
}
