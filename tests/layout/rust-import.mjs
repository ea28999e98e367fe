// Reads which modules of a crate import which, from the text of its files.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** The paths in a `use` tree: `a::{b, c::d}` is `a::b` and `a::c::d`. @param {string} tree @returns {string[]} */
export function leaves(tree) {
  const open = tree.indexOf('{');
  if (open < 0) return [tree.trim()];
  const [before, inside] = [tree.slice(0, open).trim(), tree.slice(open + 1, tree.lastIndexOf('}'))];
  let depth = 0;
  // A comma within inner braces belongs to the inner tree.
  const parts = inside.replace(/[{},]/g, (found) => {
    if (found === '{') depth++;
    if (found === '}') depth--;
    return found === ',' && depth === 0 ? '\n' : found;
  });
  return parts.split('\n').flatMap((part) => (part.trim() ? leaves(before + part.trim()) : []));
}

/**
 * What the product code of each module imports, by module: `oauth/cache.rs` is `oauth::cache`, `oauth/mod.rs` is
 * `oauth`. Unit tests are left out: they may import whatever they test with.
 * @param {string} source the crate's `src` @returns {Map<string, Set<string>>}
 */
export function importsByModule(source) {
  const paths = readdirSync(source, { recursive: true, encoding: 'utf8' });
  const product = paths.filter((path) => path.endsWith('.rs') && !/(^|\/)tests\.rs$/.test(path));
  const files = new Map(product.map((path) => [path.replace(/(\/mod)?\.rs$/, '').replaceAll('/', '::'), path]));
  const resolve = (/** @type {string} */ from, /** @type {string} */ path) => {
    let segments = from.split('::');
    for (const segment of path.split('::')) {
      if (segment === 'crate') segments = [];
      else if (segment === 'super') segments = segments.slice(0, -1);
      else if (segment !== 'self') segments = [...segments, segment];
    }
    while (segments.length && !files.has(segments.join('::'))) segments.pop();
    return segments.join('::');
  };
  return new Map(
    [...files].map(([name, path]) => {
      const text = readFileSync(join(source, path), 'utf8')
        .replace(/\/\/.*$/gm, '')
        .replace(/\s+/g, ' ');
      // Unit tests stand last in a file.
      const [code = ''] = text.split('#[cfg(test)]');
      const uses = [...code.matchAll(/\buse ((?:crate|super|self)::[^;]+);/g)].flatMap(([, tree = '']) => leaves(tree));
      const inline = [...code.matchAll(/\b(?:crate|super|self)(?:::\w+)+/g)].map(([found]) => found);
      const targets = [...uses, ...inline].map((found) => resolve(name, found));
      return [name, new Set(targets.filter((target) => target && target !== name))];
    }),
  );
}
