// Cases that other tests stand for, each with the case's number in its name: what cannot be reproduced from outside, by
// unit and simulation tests, `s66_…` in Rust and `S141: …` in the widget's tests; and what needs the whole stack, by the
// HTTP journeys, `S130: …`. They are run, and counted like all others.
//
// A test counts as passed only if its runner says so by its name: one that is ignored, skipped, lost with a crash or never
// heard of is a failure.

import { spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/stack/place.mjs';

/** @typedef {import('./case.mjs').Result} Result */

const PACKAGES = ['causeway-core', 'causeway-protocol', 'kafka-bridge', 'causeway-spin-host'];
/** `module::tests::s60_a_twin_is_not_believed`; one test may stand for several cases: `s108_s109_…`. */
const RUST_NUMBERS = /(?:^|::)((?:s\d+_)+)/;
const WIDGET_NUMBERS = /^(?:S\d+[,: ]+)+/;
/** `scripts/test unit` lives through ten thousand. */
const SEEDS = '200';
const LIMIT_MS = 15 * 60_000;

/** @returns {Result[]} */
export function nativeResults() {
  return [...PACKAGES.flatMap(rust), ...javaScript('widget/test', 'widget')];
}

/** On the real stacks of the runtime that `CAUSEWAY_TARGET` names. @returns {Result[]} */
export function journeyResults() {
  const runtime = process.env.CAUSEWAY_TARGET || 'workers';
  // One process, one stack, as scripts/test runs them.
  const options = ['--test-force-exit', '--test-isolation=none', '--test-concurrency=1', '--test-timeout=120000'];
  return [
    javaScript('tests/http', 'HTTP journey', { options, runtime, isScanned: true }),
    javaScript('tests/conformance', 'conformance', { options, runtime, isScanned: true }),
  ].flat();
}

/** @param {string} program @param {string[]} args */
function ended(program, args) {
  // What is missing here is no excuse: a test that did without it would count as passed.
  const env = {
    CAUSEWAY_SEEDS: SEEDS,
    ...process.env,
    CAUSEWAY_TEST_WITHOUT_REDIS: undefined,
    CARGO_TERM_COLOR: 'never',
    NO_COLOR: '1',
    FORCE_COLOR: undefined,
  };
  const { status, signal, stdout, stderr, error } = spawnSync(program, args, {
    cwd: ROOT,
    env,
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    timeout: LIMIT_MS,
  });
  if (error) throw error;
  return { status: status ?? signal, stdout, stderr };
}

/** @param {string} packageName @returns {Result[]} */
function rust(packageName) {
  // More than one thread, or a test's own output stands between its name and what became of it.
  const cargo = (/** @type {string[]} */ ...args) =>
    ended('cargo', ['test', '--quiet', '--locked', '--no-fail-fast', '-p', packageName, '--tests', '--', ...args]);
  const listed = cargo('--list');
  if (listed.status !== 0)
    throw new Error(`cargo test -p ${packageName} -- --list ended with ${listed.status}:\n${listed.stderr}`);
  const names = [...new Set(rustTests(listed.stdout))];
  if (!names.length) return [];
  // `--format=pretty` undoes what --quiet says to the tests.
  const ran = cargo('--exact', '--format=pretty', '--test-threads=4', ...names);
  const passed = passedInRust(ran.stdout);
  const where = `Rust, ${packageName}`;
  return names
    .flatMap((name) => {
      const detail = passed.has(name)
        ? {}
        : {
            detail: `${name} in ${packageName} did not pass; cargo ended with ${ran.status}\n${ran.stdout.slice(-4_000)}${ran.stderr.slice(-2_000)}`,
          };
      const numbers = name.match(RUST_NUMBERS)?.[1]?.match(/\d+/g) ?? [];
      return numbers.map(
        (number) =>
          /** @type {Result} */ ({
            id: `S${number}`,
            title: name,
            kind: 'native',
            where,
            outcome: passed.has(name) ? 'passed' : 'failed',
            ...detail,
          }),
      );
    })
    .concat(
      afterLast(
        ran,
        where,
        'native',
        names.every((name) => passed.has(name)),
      ),
    );
}

/** The numbered ones of `cargo test -- --list`. @param {string} listed */
export function rustTests(listed) {
  return [...listed.matchAll(/^(\S+): test$/gm)].flatMap(([, name = '']) => (RUST_NUMBERS.test(name) ? name : []));
}

/** Those that passed in every program that has one of the name. @param {string} said */
export function passedInRust(said) {
  const outcomes = [...said.matchAll(/^test (\S+)(?: - should panic)? \.\.\. (.*)$/gm)].map(
    ([, name = '', outcome = '']) => ({ name, outcome: outcome.trim() }),
  );
  return new Set(
    outcomes
      .map(({ name }) => name)
      .filter((name) => outcomes.every((other) => other.name !== name || other.outcome === 'ok')),
  );
}

/**
 * @param {string} folder @param {string} where
 * @param {{ options?: string[], runtime?: string, isScanned?: boolean }} [how] `runtime`: what the tests run on, if there are several; `isScanned`: a leak scan comes after the last of them
 * @returns {Result[]}
 */
function javaScript(folder, where, { options = [], runtime = '', isScanned = false } = {}) {
  const kind = runtime ? 'journey' : 'native';
  const files = readdirSync(join(ROOT, folder))
    .filter((name) => name.endsWith('.test.mjs'))
    .map((name) => join(ROOT, folder, name));
  const numbered = files
    .map((file) => ({ file, names: widgetTests(readFileSync(file, 'utf8')).filter((name) => isThere(name, runtime)) }))
    .filter(({ names }) => names.length);
  const names = numbered.flatMap(({ names }) => names);
  const ran = ended(process.execPath, [
    '--test',
    ...options,
    '--test-reporter=tap',
    String.raw`--test-name-pattern=/^S\d+/`,
    ...numbered.map(({ file }) => file),
  ]);
  const { status, stdout, stderr } = ran;
  const passed = passedInTap(stdout, names);
  return names
    .flatMap((name) => {
      const detail = passed.has(name)
        ? {}
        : {
            detail: `${name} did not pass; the tests ended with ${status}\n${stdout.slice(-4_000)}${stderr.slice(-2_000)}`,
          };
      const numbers = name.match(WIDGET_NUMBERS)?.[0].match(/\d+/g) ?? [];
      return numbers.map(
        (number) =>
          /** @type {Result} */ ({
            id: `S${number}`,
            title: name,
            kind,
            where,
            outcome: passed.has(name) ? 'passed' : 'failed',
            ...detail,
          }),
      );
    })
    .concat(
      afterLast(
        ran,
        where,
        kind,
        names.every((name) => passed.has(name)),
        isScanned,
      ),
    );
}

/** Whether a test is there on a runtime: some say that they are on one alone. @param {string} name @param {string} runtime */
export function isThere(name, runtime) {
  const [, only] = /^(?:S\d+[,: ]+)+on (Workers|Spin), /.exec(name) ?? [];
  return only === undefined || only.toLowerCase() === runtime;
}

/**
 * What came after the last test, which no name tells: the leak scan, which fails a run whose every test has passed, or a crash.
 * @param {{ status: number | string | null, stdout: string, stderr: string }} ran @param {string} where @param {Result['kind']} kind
 * @param {boolean} areAllPassed whether every test that is counted passed @param {boolean} [isScanned] whether there must have been a scan
 * @returns {Result[]}
 */
export function afterLast({ status, stdout, stderr }, where, kind, areAllPassed, isScanned = false) {
  const result = {
    id: 'S133',
    title: isScanned ? 'the leak scan after the last test' : 'the end of the run',
    kind,
    where,
  };
  if (isScanned ? !/^# no leak of /m.test(stdout) || (areAllPassed && status !== 0) : areAllPassed && status !== 0) {
    return [
      {
        ...result,
        outcome: 'failed',
        detail: `the tests ended with ${status}\n${stdout.slice(-2_000)}${stderr.slice(-4_000)}`,
      },
    ];
  }
  return isScanned ? [{ ...result, outcome: 'passed' }] : [];
}

/** The numbered ones of a test file. @param {string} source */
export function widgetTests(source) {
  return [...source.matchAll(/\b(?:test|it)(?:\.\w+)?\(\s*(['"`])(S\d+.*?)\1/g)].map(([, , name = '']) => name);
}

/**
 * Those that passed, and were not skipped; of one whose name says that there are several, all.
 * @param {string} said in the Test Anything Protocol @param {readonly string[]} names as their source has them
 */
export function passedInTap(said, names) {
  const outcomes = [...said.matchAll(/^\s*(not )?ok \d+ - (.*)$/gm)].map(([, not, line = '']) => ({
    isGood: !not && !/ # (?:SKIP|TODO)\b/i.test(line),
    name: line.replace(/ # .*$/, ''),
  }));
  return new Set(
    names.filter((name) => {
      const pattern = new RegExp(
        `^${name
          .split(/\$\{[^}]*\}/)
          .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
          .join('.+')}$`,
      );
      const own = outcomes.filter((outcome) => pattern.test(outcome.name));
      return own.length > 0 && own.every(({ isGood }) => isGood);
    }),
  );
}
