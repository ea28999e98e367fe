// The edge on workerd, through wrangler in local mode.
//
// It serves a copy of the built Worker, so that a new build does not restart it during a test.

import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT, npmProgram } from '../path.mjs';
import { Part, PartError } from '../process.mjs';
import { settings } from './edge-settings.mjs';

const BUILD = join(ROOT, 'edge/workers/build');

/** @param {import('./edge-settings.mjs').EdgeOptions} options */
export function workersEdgePart({
  state,
  ports,
  secrets,
  variables = {},
  name = 'edge',
  quiet = false,
  manifest = (text) => text,
  entry,
  unready = false,
}) {
  const home = join(state, name);
  return new Part({
    name,
    state,
    cwd: home,
    command: [
      npmProgram('wrangler'),
      'dev',
      '--config',
      join(home, 'wrangler.toml'),
      '--env-file',
      join(home, 'variables.env'),
      '--local',
      '--ip',
      '127.0.0.1',
      '--port',
      String(ports.edge),
      '--inspector-port',
      '0',
      '--persist-to',
      join(home, 'storage'),
      '--show-interactive-dev-session=false',
      ...(quiet ? ['--log-level', 'warn'] : []),
    ],
    env: {
      CI: '1',
      NO_COLOR: '1',
      FORCE_COLOR: undefined,
      // Sends nothing elsewhere, and ignores the configuration of other checkouts and of the user.
      WRANGLER_SEND_METRICS: 'false',
      WRANGLER_SEND_ERROR_REPORTS: 'false',
      WRANGLER_HIDE_BANNER: 'true',
      WRANGLER_WRITE_LOGS: 'false',
      WRANGLER_REGISTRY_PATH: join(home, 'registry'),
      CLOUDFLARE_CF_FETCH_ENABLED: 'false',
      DO_NOT_TRACK: '1',
      X_LOCAL_EXPLORER: 'false',
      X_LOCAL_OBSERVABILITY: 'false',
      XDG_CONFIG_HOME: join(home, 'config'),
      // Files of a killed wrangler are removed with the state.
      TMPDIR: join(home, 'tmp'),
    },
    ports: [ports.edge],
    prepare: () => prepare(home, { ...settings({ ports, secrets }), ...variables }, manifest, entry),
    ready: async () => {
      const answer = await fetch(`http://127.0.0.1:${ports.edge}/healthz`, { signal: AbortSignal.timeout(2_000) });
      await answer.body?.cancel();
      return unready || answer.ok;
    },
    hint: 'if the log names a variable, correct it; if it names a build error, run scripts/build-workers.',
  });
}

/**
 * @param {string} home @param {Record<string, string | undefined>} variables
 * @param {(text: string) => string} manifest changes the deployed one @param {string | undefined} entry
 */
function prepare(home, variables, manifest, entry) {
  if (!existsSync(join(BUILD, 'index.js'))) {
    throw new PartError('edge: the Worker is not built. What to do: run scripts/build-workers');
  }
  mkdirSync(join(home, 'tmp'), { recursive: true });
  rmSync(join(home, 'worker'), { recursive: true, force: true });
  cpSync(BUILD, join(home, 'worker'), { recursive: true });
  const deployed = readFileSync(join(ROOT, 'wrangler.toml'), 'utf8');
  const local = deployed
    .replace(/^main = .*$/m, `main = "${entry === undefined ? 'worker/index.js' : 'entry.js'}"`)
    .replace(/^\[build\]\n(?:[^[\n].*\n)*/m, '');
  writeFileSync(join(home, 'wrangler.toml'), manifest(local));
  if (entry !== undefined) writeFileSync(join(home, 'entry.js'), entry);
  const lines = Object.entries(variables)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${quoted(value ?? '')}\n`);
  writeFileSync(join(home, 'variables.env'), lines.join(''), { mode: 0o600 });
}

/** JSON contains double quotes. No value contains single quotes. @param {string} value */
const quoted = (value) => (value.includes('"') ? `'${value}'` : `"${value}"`);
