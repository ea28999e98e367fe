// Reads enums of the product from their Rust source: the variants, and what a method returns for each.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/stack/path.mjs';

/** @param {string} path in the repository */
export const source = (path) => readFileSync(join(ROOT, path), 'utf8');

/** The variants of an enum. @param {string} text @param {string} name @returns {string[]} */
export function variants(text, name) {
  const body = new RegExp(`^(?:pub|pub\\([^)]*\\)) enum ${name} \\{\\n(.*?)^\\}`, 'ms').exec(text)?.[1] ?? '';
  return [...body.matchAll(/^ {4}([A-Z]\w*)/gm)].map(([, variant = '']) => variant);
}

/**
 * What a method returns for each variant, whose whole body is one `match self`.
 * @param {string} text @param {string} method
 * @returns {Map<string, string>} variant → string literal or last segment of a path
 */
export function arms(text, method) {
  const body = new RegExp(`fn ${method}\\(&?self\\)[^{]*\\{\\n(.*?)^ {4}\\}$`, 'ms').exec(text)?.[1] ?? '';
  const returned = new Map();
  /** @type {string[]} */
  let waiting = [];
  for (const [, variant, literal, path] of body.matchAll(/Self::(\w+)|=>\s*(?:\{\s*)?(?:"([^"]*)"|(?:\w+::)*(\w+))/g)) {
    if (variant) waiting.push(variant);
    else {
      for (const each of waiting) returned.set(each, literal ?? path);
      waiting = [];
    }
  }
  return returned;
}

/** The value of a constant, of a string or of a product of numbers. @param {string} text @param {string} name */
export function constant(text, name) {
  const value = new RegExp(`\\bconst ${name}: [^=]+ = ([^;]+);`).exec(text)?.[1];
  if (value === undefined) throw new Error(`there is no constant ${name}`);
  return value.startsWith('"') ? value.slice(1, -1) : product(value);
}

/** @param {string} text such as `64 * 1024` */
export const product = (text) => text.split('*').reduce((so, factor) => so * Number(factor.trim()), 1);
