// Usage: node scripts/optimise-wasm.mjs BUILT NAMED DEPLOYED
//
// Optimises BUILT, a module or a component. NAMED has its functions' names, which are an eighth to a fifth of it when
// compressed. DEPLOYED has none, and the same functions under the same numbers, so that NAMED explains the backtraces
// of its traps.
//
// wasm-opt writes numbers in fewer bytes and keeps one of several equal functions. Its other passes are left out: they
// make the module smaller, but not when it is compressed, and the runtime's compiler optimises it anyway.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { CORE_MODULE, CUSTOM, PREAMBLE_BYTES, isComponent, sections } from './stack/wasm.mjs';

/** Rust's, which are those of WebAssembly 2.0. Given more, wasm-opt writes what the runtime does not read. */
const FEATURES = [
  '--enable-bulk-memory',
  '--enable-bulk-memory-opt',
  '--enable-call-indirect-overlong',
  '--enable-multivalue',
  '--enable-mutable-globals',
  '--enable-nontrapping-float-to-int',
  '--enable-reference-types',
  '--enable-sign-ext',
];
/** What wasm-bindgen adds to a module that JavaScript calls. */
const CATCHING = ['--enable-exception-handling'];
const PASSES = ['--duplicate-function-elimination', '--remove-unused-module-elements', '--merge-similar-functions'];

const [built, named, deployed] = process.argv.slice(2);
if (!built || !named || !deployed) throw new Error('three files are needed: see the head of this script');

const binary = readFileSync(built);
const optimised = isComponent(binary)
  ? withModules(binary, (module) => optimise(module, []))
  : optimise(binary, CATCHING);
writeFileSync(named, optimised);
const unnamed = withoutCustom(optimised);
writeFileSync(deployed, isComponent(binary) ? withModules(unnamed, withoutCustom) : unnamed);

/** A component with other modules. @param {Buffer} component @param {(module: Buffer) => Buffer} change */
function withModules(component, change) {
  return withSections(component, ({ id, bytes }) => (id === CORE_MODULE ? change(bytes) : bytes));
}

/** A module or component without its custom sections: names, and what wrote it. @param {Buffer} binary */
function withoutCustom(binary) {
  return withSections(binary, ({ id, bytes }) => (id === CUSTOM ? undefined : bytes));
}

/**
 * @param {Buffer} binary module or component
 * @param {(section: { id: number, bytes: Buffer }) => Buffer | undefined} change undefined leaves the section out
 */
function withSections(binary, change) {
  const parts = [binary.subarray(0, PREAMBLE_BYTES)];
  for (const { id, bytes } of sections(binary)) {
    const changed = change({ id, bytes });
    if (changed) parts.push(Buffer.from([id, ...leb128(changed.length)]), changed);
  }
  return Buffer.concat(parts);
}

/** @param {Buffer} module @param {readonly string[]} features besides Rust's @returns {Buffer} */
function optimise(module, features) {
  const folder = mkdtempSync(join(tmpdir(), 'component-'));
  try {
    const read = join(folder, 'read.wasm');
    const written = join(folder, 'written.wasm');
    writeFileSync(read, module);
    const wasmOpt = process.env.WASM_OPT_BIN ?? join(import.meta.dirname, '../node_modules/.bin/wasm-opt');
    execFileSync(wasmOpt, ['--debuginfo', ...FEATURES, ...features, ...PASSES, read, '-o', written]);
    return readFileSync(written);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A number in LEB128. @param {number} value @returns {number[]} */
function leb128(value) {
  return value < 128 ? [value] : [(value % 128) | 128, ...leb128(Math.floor(value / 128))];
}
