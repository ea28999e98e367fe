// The workerd that wrangler brings, run directly.

import { npmProgram } from '../path.mjs';

/** The command that serves a configuration. @param {string} config its file */
export const workerdCommand = (config) => [npmProgram('workerd'), 'serve', config, '--experimental'];

/** Writes values as Cap'n Proto's text format has them. */
export const capnp = Object.freeze({
  /** @param {string | undefined} value */
  text: (value = '') =>
    `"${value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n').replaceAll('\r', '\\r').replaceAll('\t', '\\t')}"`,
  /** @param {readonly string[]} values that are written already */
  list: (values) => `[${values.join(', ')}]`,
});
