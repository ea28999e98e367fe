// The edge on bare workerd, without wrangler: the same Worker and settings, but neither of the two proxies that
// `wrangler dev` puts before it. For benchmarks.
//
// The key-value store is a map in memory, behind workerd's own protocol for KV. There are no rate limiters, so no rate
// is limited. Durable Objects keep their SQLite databases on disk.

import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../path.mjs';
import { Part, PartError } from '../process.mjs';
import { settings } from './edge-settings.mjs';
import { capnp, workerdCommand } from './workerd.mjs';

const BUILD = join(ROOT, 'edge/workers/build');
const WASM = 'index_bg.wasm';

/** What workerd asks of a KV namespace: GET, PUT and DELETE of keys. A PUT is answered only after its body was read. */
const KEY_VALUE = `
const values = new Map();
export default {
  async fetch(request) {
    const key = new URL(request.url).pathname;
    if (request.method === 'PUT') {
      values.set(key, await request.arrayBuffer());
      return new Response();
    }
    if (request.method === 'DELETE') {
      values.delete(key);
      return new Response();
    }
    return values.has(key) ? new Response(values.get(key)) : new Response(null, { status: 404 });
  },
};
`;

/**
 * With a port for the inspector, the edge's functions have their names there.
 * @param {import('./edge-settings.mjs').EdgeOptions} options
 */
export function workerdEdgePart({
  state,
  ports,
  secrets,
  variables = {},
  name = 'edge',
  unready = false,
  inspectorPort,
}) {
  const home = join(state, name);
  const config = join(home, 'config.capnp');
  return new Part({
    name,
    state,
    cwd: home,
    command: workerdCommand(config, inspectorPort),
    ports: [ports.edge],
    prepare: () => {
      prepare(home, config, ports.edge, { ...settings({ ports, secrets }), ...variables });
      if (inspectorPort !== undefined) copyFileSync(join(BUILD, 'named', WASM), join(home, 'worker', WASM));
    },
    ready: async () => {
      const answer = await fetch(`http://127.0.0.1:${ports.edge}/healthz`, { signal: AbortSignal.timeout(2_000) });
      await answer.body?.cancel();
      return unready || answer.ok;
    },
    hint: 'if the log names a variable, correct it; if it names a module, run scripts/build-workers.',
  });
}

/**
 * @param {string} home @param {string} config @param {number} port
 * @param {Record<string, string | undefined>} variables
 */
function prepare(home, config, port, variables) {
  if (!existsSync(join(BUILD, 'index.js'))) {
    throw new PartError('edge: the Worker is not built. What to do: run scripts/build-workers');
  }
  mkdirSync(join(home, 'storage'), { recursive: true });
  rmSync(join(home, 'worker'), { recursive: true, force: true });
  cpSync(BUILD, join(home, 'worker'), { recursive: true });
  writeFileSync(join(home, 'key-value.js'), KEY_VALUE);
  writeFileSync(config, configuration(home, port, variables), { mode: 0o600 });
}

/** @param {string} home @param {number} port @param {Record<string, string | undefined>} variables */
function configuration(home, port, variables) {
  const { date, flags, keyValue, objects, classes } = deployed();
  const text = capnp.text;
  const bindings = [
    ...Object.entries(variables).flatMap(([key, value]) =>
      value === undefined ? [] : [`(name = ${text(key)}, text = ${text(value)})`],
    ),
    `(name = ${text(keyValue)}, kvNamespace = "key-value")`,
    ...objects.map(([key, name]) => `(name = ${text(key)}, durableObjectNamespace = ${text(name)})`),
  ];
  const namespaces = classes.map(
    (name) => `(className = ${text(name)}, uniqueKey = ${text(`causeway-${name}`)}, enableSql = true)`,
  );
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "edge", worker = .edge),
    (name = "key-value", worker = .keyValue),
    (name = "storage", disk = (path = ${text(join(home, 'storage'))}, writable = true)),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "edge")],
);
const edge :Workerd.Worker = (
  modules = [
    (name = "index.js", esModule = embed "worker/index.js"),
    (name = "index_bg.wasm", wasm = embed "worker/index_bg.wasm"),
  ],
  compatibilityDate = ${text(date)},
  compatibilityFlags = ${capnp.list(flags.map(text))},
  bindings = ${capnp.list(bindings)},
  durableObjectNamespaces = ${capnp.list(namespaces)},
  durableObjectStorage = (localDisk = "storage"),
);
const keyValue :Workerd.Worker = (
  modules = [(name = "key-value.js", esModule = embed "key-value.js")],
  compatibilityDate = ${text(date)},
);
`;
}

/** What wrangler.toml says, which is what is deployed. */
function deployed() {
  const toml = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8');
  const all = (/** @type {RegExp} */ pattern) => [...toml.matchAll(pattern)].map(([, ...groups]) => groups);
  const names = (/** @type {string} */ list) => [...list.matchAll(/"([^"]+)"/g)].map(([, name = '']) => name);
  const one = (/** @type {RegExp} */ pattern) => {
    const value = pattern.exec(toml)?.[1];
    if (value === undefined) throw new PartError(`edge: wrangler.toml has nothing like ${pattern}`);
    return value;
  };
  return {
    date: one(/^compatibility_date = "(.*)"$/m),
    flags: names(one(/^compatibility_flags = \[(.*)\]$/m)),
    keyValue: one(/^\[\[kv_namespaces\]\]\nbinding = "(.*)"$/m),
    objects: all(/^\[\[durable_objects\.bindings\]\]\nname = "(.*)"\nclass_name = "(.*)"$/gm),
    classes: names(one(/^new_sqlite_classes = \[(.*)\]$/m)),
  };
}
