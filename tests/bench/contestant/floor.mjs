// Floors: programs that do nothing, on the runtimes that the edge runs on.

import { copyFileSync, cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { CACHE, ROOT, cargoProgram } from '../../../scripts/stack/path.mjs';
import { spinIsInstalled } from '../../../scripts/stack/part/edge-spin.mjs';
import { workerdCommand } from '../../../scripts/stack/part/workerd.mjs';

/** @typedef {import('../scope.mjs').Scope} Scope */

export const RUST_WORKER = 'empty Rust Worker';
export const JAVASCRIPT_WORKER = 'empty JavaScript Worker';
export const RUST_COMPONENT = 'empty Rust component';

const FLOOR = join(ROOT, 'tests/bench/floor');
/** Outside the sources, which are linted. */
export const WORKER_BUILD = join(ROOT, 'target/floor/worker');
export const COMPONENT = join(
  process.env.CARGO_TARGET_DIR ?? join(CACHE, 'target'),
  'wasm32-wasip2/wasm/causeway_floor_spin.wasm',
);

/** @param {number} port */
const answers = (port) => async () => (await fetch(`http://127.0.0.1:${port}/`)).ok;

/** How a floor is started. @typedef {Parameters<Scope['start']>[0]} Start */

/** @type {Readonly<Record<string, (state: string, port: number) => Start>>} */
export const FLOORS = Object.freeze({
  [RUST_WORKER]: rustWorker,
  [JAVASCRIPT_WORKER]: javascriptWorker,
  [RUST_COMPONENT]: rustComponent,
});

/** The floor of each runtime. */
export const FLOOR_OF = Object.freeze({ workers: RUST_WORKER, spin: RUST_COMPONENT });

/** Starts floors. @param {Scope} scope @param {readonly string[]} names @returns {Promise<Map<string, string>>} URLs */
export async function startFloors(scope, names) {
  const urls = new Map();
  for (const name of names) {
    const port = await scope.port();
    const start = FLOORS[name];
    if (!start) throw new Error(`${name} is no floor`);
    await scope.start(start(scope.state, port));
    urls.set(name, `http://127.0.0.1:${port}/`);
  }
  return urls;
}

/** @param {string} state @param {number} port @returns {Start} */
function rustWorker(state, port) {
  const home = join(state, 'floor-worker');
  const modules = `(name = "index.js", esModule = embed "worker/index.js"),
    (name = "index_bg.wasm", wasm = embed "worker/index_bg.wasm"),`;
  return worker('floor-worker', home, port, modules, () =>
    cpSync(WORKER_BUILD, join(home, 'worker'), { recursive: true }),
  );
}

/** @param {string} state @param {number} port @returns {Start} */
function javascriptWorker(state, port) {
  const home = join(state, 'floor-javascript');
  return worker('floor-javascript', home, port, '(name = "index.js", esModule = embed "index.js"),', () =>
    copyFileSync(join(FLOOR, 'javascript/index.js'), join(home, 'index.js')),
  );
}

/** @param {string} name @param {string} home @param {number} port @param {string} modules @param {() => void} copy */
function worker(name, home, port, modules, copy) {
  const config = join(home, 'config.capnp');
  return {
    name,
    command: workerdCommand(config),
    ports: [port],
    prepare: () => {
      mkdirSync(home, { recursive: true });
      copy();
      writeFileSync(
        config,
        `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "floor", worker = .floor)],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "floor")],
);
const floor :Workerd.Worker = (
  modules = [
    ${modules}
  ],
  compatibilityDate = "2026-10-01",
);
`,
      );
    },
    ready: answers(port),
    hint: 'run scripts/bench, which builds it.',
  };
}

/** @param {string} state @param {number} port @returns {Start} */
function rustComponent(state, port) {
  const host = spinHost();
  const home = join(state, 'floor-spin');
  return {
    name: 'floor-spin',
    command: [
      ...host,
      ...['-f', join(home, 'spin.toml'), '--listen', `127.0.0.1:${port}`, '--state-dir', join(home, 'storage')],
      ...(host[0] === 'spin' ? [] : ['--cache-dir', join(CACHE, 'spin-host')]),
    ],
    ports: [port],
    prepare: () => {
      mkdirSync(join(home, 'storage'), { recursive: true });
      copyFileSync(COMPONENT, join(home, 'floor.wasm'));
      writeFileSync(
        join(home, 'spin.toml'),
        `spin_manifest_version = 2

[application]
name = "floor"
version = "0.1.0"

[[trigger.http]]
route = "/..."
component = "floor"

[component.floor]
source = "floor.wasm"
`,
      );
    },
    ready: answers(port),
    hint: 'run scripts/bench, which builds it.',
  };
}

/** What runs components: the Spin CLI if it is installed, as for the edge. */
function spinHost() {
  return spinIsInstalled() ? ['spin', 'up'] : [cargoProgram('causeway-spin-host')];
}
