// The rate limiters that a Worker needs for limits other than the default ones. A limiter's limit is fixed where it is
// declared, so the edge looks for one with the limit in its name: docs/configuration.md, Rates.

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { comment } from './format.mjs';

const MANIFEST = readFileSync(join(resolve(import.meta.dirname, '../..'), 'wrangler.toml'), 'utf8');
/** The limiters in wrangler.toml: name, namespace and limit. */
const DECLARED = [
  ...MANIFEST.matchAll(/^\[\[ratelimits\]\]\nname = "(\w+)"\nnamespace_id = "(\d+)"\nsimple = \{ limit = (\d+),/gm),
].map(([, name = '', id = '', limit]) => ({ name, id, limit: Number(limit) }));

/** Each with a namespace of its own, which is not in wrangler.toml as it comes. */
const RATES = Object.freeze([
  { key: 'EVENTS_PER_MINUTE', name: 'EVENTS_RATE', id: 1004 },
  { key: 'LOGIN_STEPS_PER_MINUTE', name: 'LOGIN_RATE', id: 1005 },
  { key: 'LOGOUTS_PER_MINUTE', name: 'LOGOUT_RATE', id: 1006 },
]);

/** Tables for a manifest. @param {Record<string, string>} variables of the edge */
export function limiterLines(variables) {
  const tables = RATES.flatMap(({ key, name, id }) => {
    const value = variables[key] ?? '';
    // --check names a limit that is none.
    if (!/^[1-9]\d{0,8}$/.test(value)) return [];
    const full = `${name}_${value}`;
    const isDefault = DECLARED.some((it) => it.name === name && it.limit === Number(value));
    return isDefault || DECLARED.some((it) => it.name === full) ? [] : [tableOf(full, freeId(id), value)];
  });
  if (!tables.length) return [];
  const why = comment(
    'Limiters of these limits. A namespace_id is of the whole account: change one that another Worker of yours uses.',
  );
  return ['', ...why, ...tables.flat()];
}

/** @param {string} name @param {number} id @param {string} limit */
const tableOf = (name, id, limit) => [
  '[[ratelimits]]',
  `name = "${name}"`,
  `namespace_id = "${id}"`,
  `simple = { limit = ${limit}, period = 60 }`,
];

/** An id that wrangler.toml does not use. The same answers get the same one. @param {number} id */
function freeId(id) {
  while (DECLARED.some((it) => it.id === String(id))) id += RATES.length;
  return id;
}
