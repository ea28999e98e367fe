// Reads which modules of a crate import which, from the tokens of its files. A path counts wherever it stands: in a
// `use`, an expression, a type, an attribute's string. What cannot be read with certainty is reported as a fault: names
// of the crate's root (`use crate::Edge`, `use crate as me`), globs of own modules, inline modules, the crate by its
// own name, `extern crate`, `#[path]`, and `include!` of anything but the build's output.
//
// Two kinds of path are not imports, by intent: a path with a macro's variable (`crate::$a`), which is known only where
// the macro is used, and a path in a comment, links of the documentation included.

import { paths, tokens } from './rust-path.mjs';

const CFG_TEST = '# [ cfg ( test ) ] mod'.split(' ');
/** Each is matched with tokens that are separated by spaces. @type {[RegExp, string][]} */
const FORBIDDEN = [
  [/\bmod \w+ \{/, 'an inline module'],
  [/\bextern crate\b/, '`extern crate`'],
  [/\bcauseway_core\b/, "the crate's own name"],
  [/# (?:! )?\[ (?:cfg_attr [^\]]*)?\bpath = /, '`#[path]`'],
  [/\binclude ! (?!\( concat ! \( env ! \( "OUT_DIR" \) , )/, '`include!`'],
];

/** Splits off the modules under `#[cfg(test)]`, which may import what they test with. @param {string[]} all */
function withoutTests(all) {
  const [product, tests] = [/** @type {string[]} */ ([]), /** @type {string[]} */ ([])];
  for (let at = 0; at < all.length; at++) {
    if (!CFG_TEST.every((word, index) => all[at + index] === word)) {
      product.push(all[at] ?? '');
      continue;
    }
    at += CFG_TEST.length;
    tests.push(all[at++] ?? '');
    for (let depth = 0; at < all.length; at++) {
      depth += all[at] === '{' ? 1 : all[at] === '}' ? -1 : 0;
      if (depth === 0) break;
    }
  }
  return { product, tests };
}

/**
 * What the product code of each module imports. `oauth/cache.rs` is `oauth::cache`, and `oauth/mod.rs` is `oauth`.
 * @param {Map<string, string>} sources the text of each file of the crate's `src`
 * @returns {{ imports: Map<string, Set<string>>, faults: string[] }}
 */
export function readImports(sources) {
  const modules = new Map(
    [...sources].map(([file, text]) => [
      file.replace(/(\/mod)?\.rs$/, '').replaceAll('/', '::'),
      withoutTests(tokens(text)),
    ]),
  );
  const inside = (/** @type {string} */ name) => (name === 'lib' ? [] : name.split('::'));
  for (const [name, { product, tests }] of [...modules])
    for (const test of tests.filter((test) => !product.join(' ').includes(`mod ${test} ;`))) {
      const whole = [...inside(name), test].join('::');
      for (const other of modules.keys()) if (`${other}::`.startsWith(`${whole}::`)) modules.delete(other);
    }
  /** @type {Map<string, Set<string>>} */ const imports = new Map();
  /** @type {string[]} */ const faults = [];
  for (const [from, { product }] of modules) {
    const code = product.join(' ');
    faults.push(...FORBIDDEN.filter(([form]) => form.test(code)).map(([, what]) => `${from}: ${what}`));
    /** @type {Map<string, string[]>} */ const aliases = new Map();
    /** @type {Set<string>} */ const targets = new Set();
    imports.set(from, targets);
    for (const { path, name } of paths(product)) {
      const [first = ''] = path;
      let at = aliases.get(first) ?? (first === 'crate' ? [] : inside(from));
      if (!/^(crate|self|super)$/.test(first) && !aliases.has(first)) {
        if (!modules.has([...at, first].join('::'))) continue; // another crate, or a type
        at = [...at, first];
      }
      for (const [index, part] of path.entries()) {
        if (part === 'super') at = at.slice(0, -1);
        else if (index > 0 && part !== 'self') at = [...at, part];
      }
      if (at.includes('$')) continue;
      let module = at;
      while (module.length && !modules.has(module.join('::'))) module = module.slice(0, -1);
      const target = module.join('::');
      if (!module.length || at.at(-1) === '*') faults.push(`${from}: ${path.join('::')} names no module`);
      else if (target !== from) targets.add(target);
      if (name && module === at) aliases.set(name, at);
    }
  }
  return { imports, faults };
}
