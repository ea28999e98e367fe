// The workerd that wrangler brings, run directly.

import { npmProgram } from '../path.mjs';

/**
 * The command that serves a configuration. @param {string} config its file
 * @param {number} [inspectorPort] where debuggers and profilers connect
 */
export const workerdCommand = (config, inspectorPort) => [
  ...[npmProgram('workerd'), 'serve', config, '--experimental'],
  ...(inspectorPort === undefined ? [] : [`--inspector-addr=127.0.0.1:${inspectorPort}`]),
];

/** Writes values as Cap'n Proto's text format has them. */
export const capnp = Object.freeze({
  /** @param {string | undefined} value */
  text: (value = '') =>
    `"${value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t')}"`,
  /** @param {readonly string[]} values that are written already */
  list: (values) => `[${values.join(', ')}]`,
});
