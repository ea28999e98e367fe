// The machine and the versions of what is measured on it.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';

import { ROOT, npmProgram } from '../../scripts/stack/path.mjs';
import { spinIsInstalled } from '../../scripts/stack/part/edge-spin.mjs';
import { CENTRIFUGO_VERSION, EXPRESS_MANIFEST, OAUTH2_PROXY_VERSION } from './contestant/peer.mjs';

/** A line for the page. */
export function machine() {
  const [first] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} cores (${first?.model.trim() ?? 'unknown'}), ${memory} GiB, Linux ${release()}`;
}

/** @param {readonly import('./row.mjs').Need[]} needs @returns {string[]} */
export function versions(needs) {
  const { dependencies } = JSON.parse(readFileSync(EXPRESS_MANIFEST, 'utf8'));
  const lock = readFileSync(join(ROOT, 'Cargo.lock'), 'utf8');
  const locked = (/** @type {string} */ name) => new RegExp(`name = "${name}"\\nversion = "(.*)"`).exec(lock)?.[1];
  return [
    // A tree with changes of its own is told.
    `Causeway ${output('git', ['describe', '--always', '--exclude', '*', '--dirty=, changed'])}`,
    output(npmProgram('workerd'), ['--version']),
    spinIsInstalled() ? output('spin', ['--version']) : `tests/spin-host on wasmtime ${locked('wasmtime')}`,
    output('rustc', ['--version']).split(' (')[0] ?? '',
    `Node ${process.versions.node}`,
    output('redis-server', ['--version']).replace(/^Redis server v=(\S+).*/, 'Redis $1'),
    output('wrk', ['-v']).split(' [')[0] ?? '',
    ...(needs.includes('express')
      ? Object.entries(dependencies).map(([name, version]) => `${name} ${String(version)}`)
      : []),
    // The number of rdkafka-sys ends with that of librdkafka.
    ...(needs.includes('kafka-client')
      ? [`rskafka ${locked('rskafka')}`, `librdkafka ${locked('rdkafka-sys')?.split('+')[1]}`]
      : []),
    ...(needs.includes('oauth2-proxy') ? [`oauth2-proxy ${OAUTH2_PROXY_VERSION}`] : []),
    ...(needs.includes('centrifugo') ? [`Centrifugo ${CENTRIFUGO_VERSION}`] : []),
    ...(needs.includes('nginx') ? [output('nginx', ['-v']).replace('nginx version: ', '')] : []),
  ].filter(Boolean);
}

/**
 * The first line that a program prints, on either output and whatever its exit code.
 * @param {string} program @param {string[]} args
 */
function output(program, args) {
  try {
    return firstLine(execFileSync('sh', ['-c', '"$0" "$@" 2>&1', program, ...args], { cwd: ROOT, encoding: 'utf8' }));
  } catch (error) {
    return firstLine(String(/** @type {{ stdout?: unknown }} */ (error).stdout ?? ''));
  }
}

/** @param {string} text */
const firstLine = (text) => text.split('\n')[0]?.trim() ?? '';
