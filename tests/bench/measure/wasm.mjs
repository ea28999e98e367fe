// Which crates a Wasm module consists of: the bytes of its functions, by the names that the linker wrote into it.

import { CORE_MODULE, CUSTOM, Reader, isComponent, sections } from '../../../scripts/stack/wasm.mjs';

const IMPORTS = 2;
const CODE = 10;
const DATA = 11;
const FUNCTION_NAMES = 1;

/**
 * The largest module of a component; a module is its own. @param {Buffer} bytes @returns {Buffer}
 */
export function mainModule(bytes) {
  if (!isComponent(bytes)) return bytes;
  const modules = [...sections(bytes)].filter(({ id }) => id === CORE_MODULE).map((section) => section.bytes);
  const largest = modules.toSorted((a, b) => b.length - a.length)[0];
  if (!largest) throw new Error('the component has no module');
  return largest;
}

/**
 * Bytes by crate, the largest first, and those of data (constants, tables) beside them.
 * @param {Buffer} bytes of a module with function names @returns {[string, number][]}
 */
export function bytesByCrate(bytes) {
  let imported = 0;
  /** @type {number[]} */
  let sizes = [];
  /** @type {Map<number, string>} */
  let names = new Map();
  /** @type {Map<string, number>} */
  const crates = new Map();
  for (const { id, bytes: section } of sections(bytes)) {
    const reader = new Reader(section);
    if (id === IMPORTS) imported = importedFunctions(reader);
    if (id === CODE) sizes = functionSizes(reader);
    if (id === DATA) crates.set('data', section.length);
    if (id === CUSTOM && reader.text() === 'name') names = functionNames(reader);
  }
  if (!names.size) throw new Error('the module has no function names');
  sizes.forEach((size, index) => {
    const crate = crateOf(names.get(imported + index) ?? '');
    crates.set(crate, (crates.get(crate) ?? 0) + size);
  });
  return [...crates].toSorted(([, a], [, b]) => b - a);
}

/** @param {Reader} reader */
function importedFunctions(reader) {
  let functions = 0;
  for (let left = reader.number(); left > 0; left--) {
    reader.text();
    reader.text();
    const kind = reader.byte();
    if (kind === 0) {
      functions++;
      reader.number();
    } else if (kind === 3) {
      // A global: its type and whether it is mutable.
      reader.take(2);
    } else {
      // A table has an element type first; both have limits, with a maximum if the flag says so.
      if (kind === 1) reader.byte();
      const flags = reader.number();
      reader.number();
      if (flags & 1) reader.number();
    }
  }
  return functions;
}

/** @param {Reader} reader @returns {number[]} */
function functionSizes(reader) {
  return Array.from({ length: reader.number() }, () => {
    const size = reader.number();
    reader.take(size);
    return size;
  });
}

/** @param {Reader} reader behind the section's name @returns {Map<number, string>} */
function functionNames(reader) {
  while (!reader.isAtEnd) {
    const id = reader.byte();
    const part = new Reader(reader.take(reader.number()));
    if (id !== FUNCTION_NAMES) continue;
    return new Map(Array.from({ length: part.number() }, () => [part.number(), part.text()]));
  }
  return new Map();
}

/** What Rust's older mangling writes for characters that a symbol cannot have. */
const ESCAPES = Object.freeze({
  $LT$: '<',
  $GT$: '>',
  $RF$: '&',
  $BP$: '*',
  $LP$: '(',
  $RP$: ')',
  $u20$: ' ',
  '..': '::',
});

/**
 * The crate of a function: that of the type whose method it is, or else the first of its path. A generic function
 * counts to the crate that defines it.
 * @param {string} name demangled, or in either mangling of Rust
 */
export function crateOf(name) {
  if (name.startsWith('_R')) {
    // The first crate: `Cs`, a disambiguator, and the name after its length.
    const [, length = '', rest = ''] = /Cs[0-9A-Za-z]*_(\d+)(\w+)/.exec(name) ?? [];
    return rest.slice(0, Number(length)) || 'other';
  }
  const [, length = '', rest = ''] = /^_ZN(\d+)(.*)/.exec(name) ?? [];
  const segment = rest
    .slice(0, Number(length))
    .replace(/^_(?=\$)/, '')
    .replace(/\$\w+?\$|\.\./g, (escape) => ESCAPES[/** @type {keyof typeof ESCAPES} */ (escape)] ?? ' ');
  const path = length ? segment : name;
  // `<&mut alloc::vec::Vec<T> as core::fmt::Debug>::fmt`, `core::ptr::drop_in_place<T>`, `core[hash]::str::from_utf8`
  const crate = /^[<&*( ]*(?:(?:mut|dyn|const|impl) )*([a-z_][a-z0-9_]*)(?:\[[0-9a-f]+\])?(?=::|$)/.exec(path)?.[1];
  // A method of a primitive or of any type is named by its trait: `<f64 as core::fmt::Display>::fmt`.
  return crate ?? / as ([a-z_][a-z0-9_]*)(?:\[[0-9a-f]+\])?::/.exec(path)?.[1] ?? 'other';
}
