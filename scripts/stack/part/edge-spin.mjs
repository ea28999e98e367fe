// The edge on Spin: `spin up` where the Spin CLI is installed, otherwise its stand-in, tests/spin-host.
//
// It serves a copy of the built component, so that a new build does not change a running test.

import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

import { CACHE, ROOT, cargoProgram } from '../path.mjs';
import { Part, PartError } from '../process.mjs';
import { settings } from './edge-settings.mjs';
import { redisUrl } from './redis.mjs';

const COMPONENT = join(ROOT, 'target/spin/causeway.wasm');
/** The same with the names of its functions. */
const NAMED_COMPONENT = join(ROOT, 'target/spin/causeway.named.wasm');

/** @param {import('./edge-settings.mjs').EdgeOptions} options */
export function spinEdgePart({
  state,
  ports,
  secrets,
  variables = {},
  name = 'edge',
  manifest = (text) => text,
  variableStore,
  profiled = false,
  unready = false,
}) {
  const home = join(state, name);
  /** @type {Record<string, string | undefined>} */
  const values = {
    ...settings({ ports, secrets }),
    REDIS_URL: redisUrl(ports.redis, secrets),
    REDIS_ADDRESS: `redis://127.0.0.1:${ports.redis}`,
    ...variables,
  };
  // As an operator would: origins of services and providers that are in no variable of their own.
  originsOf(values).forEach((origin, n) => (values[`OUTBOUND_HOST_${n + 1}`] ??= origin));
  const where = [
    '-f',
    join(home, 'spin.toml'),
    '--listen',
    `127.0.0.1:${ports.edge}`,
    '--state-dir',
    join(home, 'storage'),
  ];
  return new Part({
    name,
    state,
    cwd: state,
    command: spinIsInstalled()
      ? ['spin', 'up', ...where]
      : [
          cargoProgram('causeway-spin-host'),
          ...where,
          ...['--cache-dir', join(CACHE, 'spin-host')],
          ...(variableStore ? ['--variable-store', variableStore] : []),
          ...(profiled ? ['--perf-map'] : []),
        ],
    env: {
      NO_COLOR: '1',
      DO_NOT_TRACK: '1',
      ...Object.fromEntries(Object.entries(values).map(([key, value]) => [`SPIN_VARIABLE_${key}`, value])),
    },
    ports: [ports.edge],
    prepare: () => prepare(home, manifest, profiled ? NAMED_COMPONENT : COMPONENT),
    ready: async () => {
      const answer = await fetch(`http://127.0.0.1:${ports.edge}/healthz`, { signal: AbortSignal.timeout(2_000) });
      await answer.body?.cancel();
      return unready || answer.ok;
    },
    hint: 'if the log names a variable, correct it; if the component cannot be run, run scripts/build-spin.',
  });
}

/** As scripts/env decides for builds. */
export function spinIsInstalled() {
  const answer = execFileSync('bash', ['-c', '. scripts/env && { spin_is_installed && echo yes || echo no; }'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return answer.trim() === 'yes';
}

/** The origins of services and providers. @param {Record<string, string | undefined>} values */
function originsOf({ SERVICES, OIDC_PROVIDERS }) {
  try {
    const services = /** @type {{ url: string }[]} */ (JSON.parse(SERVICES ?? '[]')).map(({ url }) => url);
    const issuers = /** @type {{ issuer: string }[]} */ (JSON.parse(OIDC_PROVIDERS ?? '[]')).map(
      ({ issuer }) => issuer,
    );
    return [...new Set([...services, ...issuers].map((url) => new URL(url).origin))];
  } catch {
    return [];
  }
}

/**
 * @param {string} home
 * @param {(text: string) => string} manifest changes the deployed one
 * @param {string} component
 */
function prepare(home, manifest, component) {
  if (!existsSync(component))
    throw new PartError('edge: the component is not built. What to do: run scripts/build-spin');
  mkdirSync(join(home, 'storage'), { recursive: true });
  copyFileSync(component, join(home, 'causeway.wasm'));
  const deployed = readFileSync(join(ROOT, 'spin.toml'), 'utf8');
  const local = deployed
    .replace(/^source = .*$/m, 'source = "causeway.wasm"')
    .replace(/^\[component\.causeway\.build\]\n(?:[^[\n].*\n)*/m, '');
  writeFileSync(join(home, 'spin.toml'), manifest(local));
}
