// The formats that the tools read: TOML for wrangler, `KEY=VALUE` for Spin and the bridge.

import { Refusal } from './refusal.mjs';

/** Characters that shells, systemd and containers take as they are, without quotes. Shells expand `~`. */
const BARE = /^[\w.:/,@%+-]*$/;

/** TOML's basic strings are JSON's, for texts without control characters. @param {Record<string, string>} values */
export const tomlLines = (values) => Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);

/**
 * Lines that shells, systemd and parsers of `.env` files read alike.
 * @param {Record<string, string>} values @param {string} [prefix] of the names
 */
export const envLines = (values, prefix = '') =>
  Object.entries(values).map(([key, value]) => `${prefix}${key}=${quoted(key, value)}`);

/** @param {string} key @param {string} value */
function quoted(key, value) {
  if (BARE.test(value)) return value;
  if (!/['\p{C}]/u.test(value)) return `'${value}'`;
  if (!/["$`\\\p{C}]/u.test(value)) return `"${value}"`;
  throw new Refusal(
    `${key} has quotes of both kinds or control characters, which shells and systemd read differently: ` +
      'choose another value',
  );
}

/** @param {string[]} lines */
export const comment = (...lines) => lines.map((line) => (line ? `# ${line}` : '#'));
