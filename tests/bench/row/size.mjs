// Sizes: what is deployed, raw and gzipped, and the crates that it consists of.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import { ROOT } from '../../../scripts/stack/path.mjs';
import { SPIN, WORKERS } from '../contestant/edge.mjs';
import { COMPONENT, RUST_COMPONENT, RUST_WORKER, WORKER_BUILD } from '../contestant/floor.mjs';
import { bytesByCrate, mainModule } from '../measure/wasm.mjs';

const MODULE = 'index_bg.wasm';
/** Crates with less are counted together. */
const LEAST_BYTES = 10_000;

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Size',
  about:
    'What is deployed, and the bytes of code by crate, by the names in the Wasm. A generic function counts to the ' +
    'crate that defines it, and what the compiler put into its caller counts to the caller. `data` are constants and ' +
    'tables. Worker and component are deployed without the ' +
    'names. The widget is one file.',
  needs: ['edge', 'floor'],
  figures: [
    { key: 'rawKb', label: 'raw', unit: 'kB', digits: 1 },
    { key: 'gzipKb', label: 'gzip -9', unit: 'kB', digits: 1 },
  ],
  rounds: 1,
  warmUpSeconds: 0,
  async prepare() {
    const worker = readFileSync(join(ROOT, 'edge/workers/build', MODULE));
    const namedWorker = readFileSync(join(ROOT, 'edge/workers/build/named', MODULE));
    const component = readFileSync(join(ROOT, 'target/spin/causeway.wasm'));
    const namedComponent = readFileSync(join(ROOT, 'target/spin/causeway.named.wasm'));
    const widget = readFileSync(join(ROOT, 'widget/dist/chat-widget.js'));
    return [
      {
        name: 'deployed',
        contestants: [
          file(WORKERS, 'ours', worker, RUST_WORKER),
          file(SPIN, 'ours', component, RUST_COMPONENT),
          file('widget', 'ours', widget),
          ...floor(RUST_WORKER, join(WORKER_BUILD, MODULE)),
          ...floor(RUST_COMPONENT, COMPONENT),
        ],
      },
      { name: 'Worker by crate', contestants: crates(namedWorker) },
      { name: 'component by crate', contestants: crates(namedComponent) },
    ];
  },
};

/** @param {string} name @param {string} path */
const floor = (name, path) => (existsSync(path) ? [file(name, 'floor', readFileSync(path))] : []);

/**
 * @param {string} name @param {'ours' | 'floor'} role @param {Buffer} bytes @param {string} [floor]
 * @returns {import('../measure/round.mjs').Contestant}
 */
function file(name, role, bytes, floor) {
  const figures = { rawKb: bytes.length / 1000, gzipKb: gzipSync(bytes, { level: 9 }).length / 1000 };
  return contestant(name, role, figures, floor);
}

/** @param {Buffer} bytes */
function crates(bytes) {
  const all = bytesByCrate(mainModule(bytes));
  const [large, small] = [true, false].map((isLarge) => all.filter(([, size]) => size >= LEAST_BYTES === isLarge));
  const rest = (small ?? []).reduce((sum, [, size]) => sum + size, 0);
  return [...(large ?? []), /** @type {const} */ ([`${small?.length} smaller`, rest])].map(([name, size]) =>
    contestant(name, 'ours', { rawKb: size / 1000 }),
  );
}

/**
 * @param {string} name @param {'ours' | 'floor'} role @param {Record<string, number>} figures @param {string} [floor]
 * @returns {import('../measure/round.mjs').Contestant}
 */
function contestant(name, role, figures, floor) {
  return {
    name,
    role,
    ...(floor && { floor }),
    command: 'tests/bench/row/size.mjs',
    run: () => Promise.resolve({ figures, raw: `${JSON.stringify(figures)}\n` }),
  };
}
