// Builds what rows measure, and installs their peers below the cache. What is there already is left alone.

import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { ROOT } from '../../scripts/stack/path.mjs';
import { WORKER_BUILD } from './contestant/floor.mjs';
import {
  CENTRIFUGO_PROGRAM,
  CENTRIFUGO_VERSION,
  EXPRESS_HOME,
  EXPRESS_SOURCE,
  OAUTH2_PROXY_PROGRAM,
  OAUTH2_PROXY_VERSION,
} from './contestant/peer.mjs';
import { KAFKA_CLIENT } from './measure/kafka-client.mjs';

/** Of native programs. */
const PROFILE = ['--profile', process.env.CAUSEWAY_PROFILE || 'dev'];

/** @param {ReadonlySet<import('./row.mjs').Need>} needs @param {(text: string) => void} log */
export function install(needs, log) {
  if (needs.has('edge')) run('scripts/build-stack', ['workers', 'spin']);
  if (needs.has('floor')) buildFloors();
  if (needs.has('kafka-client')) run('cargo', ['build', '--quiet', '--locked', ...PROFILE, '-p', KAFKA_CLIENT]);
  if (needs.has('express')) installExpress(log);
  if (needs.has('oauth2-proxy'))
    installGo('github.com/oauth2-proxy/oauth2-proxy/v7', OAUTH2_PROXY_VERSION, OAUTH2_PROXY_PROGRAM, log);
  if (needs.has('centrifugo'))
    installGo('github.com/centrifugal/centrifugo/v6', CENTRIFUGO_VERSION, CENTRIFUGO_PROGRAM, log);
}

/** As scripts/build-workers and scripts/build-spin build the edge. */
function buildFloors() {
  run('bash', ['-c', '. scripts/env && cd tests/bench/floor/worker && exec "$WORKER_BUILD_BIN" --profile wasm']);
  rmSync(WORKER_BUILD, { recursive: true, force: true });
  mkdirSync(dirname(WORKER_BUILD), { recursive: true });
  renameSync(join(ROOT, 'tests/bench/floor/worker/build'), WORKER_BUILD);
  const target = ['--profile', 'wasm', '--target', 'wasm32-wasip2'];
  run('cargo', ['build', '--quiet', '--locked', ...target, '-p', 'causeway-floor-spin']);
}

/** @param {(text: string) => void} log */
function installExpress(log) {
  const lock = join(EXPRESS_SOURCE, 'package-lock.json');
  const stamp = join(EXPRESS_HOME, 'node_modules/.causeway-package-lock.json');
  mkdirSync(EXPRESS_HOME, { recursive: true });
  for (const name of ['package.json', 'package-lock.json', 'server.mjs'])
    copyFileSync(join(EXPRESS_SOURCE, name), join(EXPRESS_HOME, name));
  if (existsSync(stamp) && readFileSync(stamp).equals(readFileSync(lock))) return;
  log('installing the Express BFF');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel', 'error'], EXPRESS_HOME);
  copyFileSync(lock, stamp);
}

/**
 * @param {string} module @param {string} version @param {string} program @param {(text: string) => void} log
 */
function installGo(module, version, program, log) {
  if (existsSync(program)) return;
  log(`building ${module} ${version} (about 2 minutes, once)`);
  try {
    run('go', ['install', `${module}@${version}`], ROOT, { GOBIN: dirname(program) });
  } catch (error) {
    throw new Error(`${module} could not be built. What to do: install Go 1.26 or newer (go.dev)`, { cause: error });
  }
}

/** @param {string} program @param {string[]} args @param {string} [cwd] @param {Record<string, string>} [env] */
function run(program, args, cwd = ROOT, env = {}) {
  execFileSync(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 2, 2] });
}
