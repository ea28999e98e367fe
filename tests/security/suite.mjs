// Results of the other suites: tests that are named after the case they claim.
//
// - Rust and widget tests, `s66_…` and `S142: …`: what no request can bring about.
// - HTTP and conformance journeys, `S130: …`: what needs the whole stack.
//
// scripts/test runs those suites and records in a folder what their runners said: `<suite>.out` is what they printed,
// `<suite>.status` how they ended, `<suite>.outcomes` what reporter.mjs wrote, `<suite>.list` what Rust tests there
// are. A test counts as passed only if its runner says so by its name: one that was ignored, skipped, lost in a crash
// or never run counts as failed.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/stack/path.mjs';

/** @typedef {import('./case.mjs').Result} Result */
/** @typedef {import('./reporter.mjs').TestOutcome} TestOutcome */
/** @typedef {{ status: string, stdout: string }} Ended `status` as the shell has it; empty if the suite was not run */

/**
 * @typedef {object} Suite
 * @property {string} name of its files
 * @property {string} where as the table has it
 * @property {Result['kind']} kind
 * @property {readonly string[]} expected names of its numbered tests, one name as often as there are tests of that name
 * @property {ReadonlySet<string>} passed
 * @property {Ended} ended
 * @property {boolean} [isScanned] a leak scan comes after its last test
 */

/** `module::tests::s60_second_cookie_is_refused`; one test may claim several cases: `s108_s109_…`. */
const RUST_NUMBERS = /(?:^|::)((?:s\d+_)+)/;
const JAVASCRIPT_NUMBERS = /^(?:S\d+[,: ]+)+/;
/** As scripts/test groups the packages. */
const RUST_GROUPS = ['core', 'bridge', 'spin-host'];

/**
 * @param {string} folder of the records @param {string} runtime
 * @param {readonly string[]} [chosen] cases; all without it @returns {Result[]}
 */
export function suiteResults(folder, runtime, chosen) {
  const isChosen = (/** @type {string} */ name) => !chosen || idsOf(name).some((id) => chosen.includes(id));
  const suites = [
    ...RUST_GROUPS.map((group) => rustSuite(folder, group)),
    javaScriptSuite(folder, 'widget', 'widget/test', { where: 'widget', kind: 'native' }),
    ...[
      { name: 'http', where: 'HTTP journey' },
      { name: 'conformance', where: 'conformance' },
    ].map(({ name, where }) =>
      javaScriptSuite(folder, `${name}-${runtime}`, `tests/${name}`, { where, kind: 'journey', runtime }),
    ),
  ];
  return (
    suites
      .map((suite) => ({ ...suite, expected: suite.expected.filter(isChosen) }))
      // Of a choice, suites that have no part in it need not have been run.
      .filter(({ expected }) => !chosen || expected.length)
      .flatMap(resultsOf)
  );
}

/** @param {Suite} suite @returns {Result[]} */
export function resultsOf({ name: suite, where, kind, expected, passed, ended, isScanned = false }) {
  const names = [...new Set(expected)];
  const said = ended.status ? `the tests ended with ${ended.status}\n${ended.stdout.slice(-4_000)}` : 'it was not run';
  const results = names.flatMap((name) =>
    idsOf(name).map((id) => ({
      id,
      title: name,
      kind,
      where,
      ...(passed.has(name)
        ? { outcome: /** @type {const} */ ('passed') }
        : { outcome: /** @type {const} */ ('failed'), detail: `${name} of ${suite} did not pass; ${said}` }),
    })),
  );
  const areAllPassed = names.every((name) => passed.has(name));
  return [...results, ...afterLast(ended, where, kind, areAllPassed, isScanned)];
}

/** Cases that a test claims. @param {string} name @returns {string[]} */
function idsOf(name) {
  const numbers = RUST_NUMBERS.exec(name)?.[1] ?? JAVASCRIPT_NUMBERS.exec(name)?.[0] ?? '';
  return [...numbers.matchAll(/\d+/g)].map(([number]) => `S${number}`);
}

/** @param {string} folder @param {string} file */
function read(folder, file) {
  const path = join(folder, file);
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

/** @param {string} folder @param {string} name @returns {Ended} */
function endedOf(folder, name) {
  return { status: read(folder, `${name}.status`).trim(), stdout: read(folder, `${name}.out`) };
}

/** @param {string} folder @param {string} group @returns {Suite} */
function rustSuite(folder, group) {
  const name = `rust-${group}`;
  const expected = rustTests(read(folder, `${name}.list`));
  const ended = endedOf(folder, name);
  return {
    name,
    where: `Rust, ${group}`,
    kind: 'native',
    expected,
    passed: passedInRust(ended.stdout, expected),
    ended,
  };
}

/**
 * @param {string} folder @param {string} name @param {string} source folder of its test files
 * @param {{ where: string, kind: Result['kind'], runtime?: string }} how `runtime`: what the tests run on, if there
 * are several
 * @returns {Suite}
 */
function javaScriptSuite(folder, name, source, { where, kind, runtime = '' }) {
  const expected = readdirSync(join(ROOT, source))
    .filter((file) => file.endsWith('.test.mjs'))
    .flatMap((file) => javaScriptTests(readFileSync(join(ROOT, source, file), 'utf8')))
    .filter((test) => isThere(test, runtime));
  /** @type {TestOutcome[]} */
  const outcomes = read(folder, `${name}.outcomes`)
    .split('\n')
    .flatMap((line) => (line ? JSON.parse(line) : []));
  const passed = passedInJavaScript(outcomes, expected);
  return { name, where, kind, expected, passed, ended: endedOf(folder, name), isScanned: kind === 'journey' };
}

/** The numbered ones of `cargo test -- --list`. @param {string} listed */
export function rustTests(listed) {
  return [...listed.matchAll(/^(\S+): test$/gm)].flatMap(([, name = '']) => (RUST_NUMBERS.test(name) ? name : []));
}

/**
 * Those that passed in every program that has one of the name.
 * @param {string} said @param {readonly string[]} listed names, one as often as programs have it
 */
export function passedInRust(said, listed) {
  const outcomes = [...said.matchAll(/^test (\S+)(?: - should panic)? \.\.\. (.*)$/gm)].map(
    ([, name = '', outcome = '']) => ({ name, outcome: outcome.trim() }),
  );
  return new Set(
    listed.filter((name) => {
      const own = outcomes.filter((outcome) => outcome.name === name);
      const count = listed.filter((other) => other === name).length;
      return own.length === count && own.every(({ outcome }) => outcome === 'ok');
    }),
  );
}

/**
 * Whether a test is there on a runtime: some say that they are on one alone.
 * @param {string} name @param {string} runtime
 */
export function isThere(name, runtime) {
  const [, only] = /^(?:S\d+[,: ]+)+on (Workers|Spin), /.exec(name) ?? [];
  return only === undefined || only.toLowerCase() === runtime;
}

/**
 * What happened after the last test, which has no name: the leak scan, which fails a run in which every test has
 * passed, or a crash.
 * @param {Ended} ended @param {string} where @param {Result['kind']} kind
 * @param {boolean} areAllPassed whether every test that is counted passed
 * @param {boolean} [isScanned] whether there must have been a scan
 * @returns {Result[]}
 */
export function afterLast({ status, stdout }, where, kind, areAllPassed, isScanned = false) {
  const result = {
    id: 'S133',
    title: isScanned ? 'the leak scan after the last test' : 'the end of the run',
    kind,
    where,
  };
  const isLacking = isScanned && !/^# no leak of /m.test(stdout);
  if (isLacking || (areAllPassed && status !== '0'))
    return [{ ...result, outcome: 'failed', detail: `the tests ended with ${status}\n${stdout.slice(-6_000)}` }];
  return isScanned ? [{ ...result, outcome: 'passed' }] : [];
}

/** The numbered ones of a test file. @param {string} source */
export function javaScriptTests(source) {
  return [...source.matchAll(/\b(?:test|it)(?:\.\w+)?\(\s*(['"`])(S\d+.*?)\1/g)].map(([, , name = '']) => name);
}

/**
 * Those that passed, and were not skipped. A name with a placeholder stands for several tests: all must have passed.
 * @param {readonly TestOutcome[]} outcomes @param {readonly string[]} names as their source has them
 */
export function passedInJavaScript(outcomes, names) {
  return new Set(
    names.filter((name) => {
      const pattern = new RegExp(
        `^${name
          .split(/\$\{[^}]*\}/)
          .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`))
          .join('.+')}$`,
      );
      const own = outcomes.filter((outcome) => pattern.test(outcome.name));
      return own.length > 0 && own.every(({ hasPassed }) => hasPassed);
    }),
  );
}
