// Cases that cannot be reproduced from outside: unit and simulation tests that carry the case's number in their name,
// `s66_…` in Rust and `S141: …` in the widget's tests. They are run, and counted like all others.

import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/stack/place.mjs';

/** @typedef {import('./case.mjs').Result} Result */

const PACKAGES = ['causeway-core', 'causeway-protocol', 'kafka-bridge', 'causeway-spin-host'];
/** `module::tests::s60_a_twin_is_not_believed`; one test may stand for several cases: `s108_s109_…`. */
const NUMBERS = /(?:^|::)((?:s\d+_)+)/;

/** @returns {Result[]} */
export function nativeResults() {
  return [...PACKAGES.flatMap(rust), ...widget()];
}

/** @param {string} packageName @returns {Result[]} */
function rust(packageName) {
  const cargo = (/** @type {string[]} */ ...args) => spawnSync('cargo', ['test', '--quiet', '--locked', '-p', packageName, '--', ...args], { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  const listed = cargo('--list');
  const names = listed.stdout.split('\n').flatMap((line) => line.match(/^(\S+): test$/)?.[1] ?? []).filter((name) => NUMBERS.test(name));
  if (listed.status !== 0) throw new Error(`cargo test -p ${packageName} -- --list ended with ${listed.status}:\n${listed.stderr}`);
  if (!names.length) return [];
  // `--format=pretty` undoes what --quiet says to the tests.
  const ran = cargo('--exact', '--format=pretty', ...names);
  return names.flatMap((name) => {
    const passed = ran.stdout.includes(`test ${name} ... ok`);
    const numbers = name.match(NUMBERS)?.[1]?.match(/\d+/g) ?? [];
    const detail = passed ? {} : { detail: `${name} in ${packageName}\n${ran.stdout.slice(-4_000)}${ran.stderr.slice(-2_000)}` };
    return numbers.map((number) => /** @type {Result} */ ({ id: `S${number}`, title: name, where: `Rust, ${packageName}`, outcome: passed ? 'passed' : 'failed', ...detail }));
  });
}

/** @returns {Result[]} */
function widget() {
  const folder = join(ROOT, 'widget/test');
  const files = readdirSync(folder).filter((name) => name.endsWith('.test.mjs')).map((name) => join(folder, name));
  let output;
  try {
    output = execFileSync('node', ['--test', '--test-reporter=tap', String.raw`--test-name-pattern=/^S\d+/`, ...files], { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    output = /** @type {{ stdout: string }} */ (error).stdout;
  }
  return output.split('\n').flatMap((line) => {
    const [, not, name = ''] = line.match(/^\s*(not )?ok \d+ - (S\d+.*)$/) ?? [];
    const numbers = name.match(/^(?:S\d+[,: ]+)+/)?.[0].match(/\d+/g) ?? [];
    return numbers.map((number) => /** @type {Result} */ ({ id: `S${number}`, title: name, where: 'widget', outcome: not ? 'failed' : 'passed', ...(not && { detail: output.slice(-4_000) }) }));
  });
}
