// Runs rows of the benchmark: scripts/bench [row]... [--only NAME] [--case TEXT] [--rounds N] [--seconds N]
// [--no-build].

import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';

import { ROOT } from '../../scripts/stack/path.mjs';
import { install } from './install.mjs';
import { machine, versions } from './machine.mjs';
import { measure } from './measure/round.mjs';
import { section, write } from './report/page.mjs';
import { ROWS } from './row.mjs';
import { Scope } from './scope.mjs';

const ROUNDS = 3;
const SECONDS = 10;
const WARM_UP_SECONDS = 5;

const PAGE = join(ROOT, 'docs/benchmarks.md');
const CHARTS = join(ROOT, 'docs/benchmarks');

/** @param {string} text */
const log = (text) => void process.stderr.write(`bench: ${text}\n`);

const { names, rounds, seconds, build, filter } = options();
const needs = new Set(names.flatMap((name) => ROWS[name]?.needs ?? []));
if (build) install(needs, log);

const began = new Date();
const folder = join(ROOT, 'target/bench', began.toISOString().replace(/[:.]/g, '-').slice(0, 19));
mkdirSync(folder, { recursive: true });
/** A short run is a check, and no measurement to publish. */
const isWhole = rounds >= ROUNDS && seconds >= SECONDS && !filter.contestants.length && !filter.cases.length;
const conditions = [`Machine: ${machine()}.`, `Versions: ${versions([...needs]).join('; ')}.`].join('\n');
writeFileSync(join(folder, 'machine.txt'), `${began.toISOString()}\n${conditions}\n`);

for (const name of names)
  await runRow(name).catch((error) => {
    // The other rows take long enough to be worth having.
    log(`${name} FAILED: ${error.stack ?? error}`);
    process.exitCode = 1;
  });
log(`raw output is below ${relative(ROOT, folder)}`);
if (!isWhole) log(`docs/benchmarks.md is unchanged: that takes ${ROUNDS} rounds of ${SECONDS} s of everything`);

/** @param {string} name */
async function runRow(name) {
  const row = /** @type {import('./row.mjs').Row} */ (ROWS[name]);
  const [rowRounds, rowSeconds] = [Math.min(rounds, row.rounds ?? rounds), Math.min(seconds, row.seconds ?? seconds)];
  const started = performance.now();
  log(`${name}: starting`);
  const scope = new Scope(join(folder, name), (text) => log(`${name}: ${text}`), filter);
  try {
    const cases = wanted(await row.prepare(scope), scope);
    const results = await measure(cases, {
      rounds: rowRounds,
      seconds: rowSeconds,
      warmUpSeconds: Math.min(row.warmUpSeconds ?? WARM_UP_SECONDS, rowSeconds),
      byContestant: row.byContestant ?? false,
      keep: (file, text) => scope.keep(file, text),
      log: scope.log,
    });
    const times = rowRounds === 1 ? 'once' : `in ${rowRounds} rounds`;
    const duration = row.warmUpSeconds === 0 ? '' : ` of ${rowSeconds} s`;
    const own = `${began.toISOString().slice(0, 10)}, ${times}${duration}, on ${machine()}; ${versions(row.needs).join('; ')}.`;
    const report = { name, row, results, conditions: own };
    scope.keep('results.json', JSON.stringify(results.map(plain), undefined, 2));
    scope.keep('report.md', section(report));
    process.stdout.write(`${section(report)}\n\n`);
    const copy = join(folder, name, 'page.md');
    writeFileSync(copy, `<!-- bench:${name} -->\n<!-- /bench:${name} -->\n`);
    write(report, copy, join(folder, 'benchmarks'));
    if (isWhole) write(report, PAGE, CHARTS);
  } finally {
    await scope.end();
    log(`${name}: took ${((performance.now() - started) / 60_000).toFixed(1)} min`);
  }
}

/** What of a row's cases is asked for. @param {import('./measure/round.mjs').Case[]} cases @param {Scope} scope */
function wanted(cases, scope) {
  const found = cases
    .filter((one) => scope.wantsCase(one.name))
    .map((one) => ({ ...one, contestants: one.contestants.filter((who) => scope.wants(who.name)) }))
    .filter(({ contestants }) => contestants.length);
  if (!found.length) throw new Error('no case or no contestant has such a name');
  // Perhaps the one that would have warmed the others up is not among them.
  return found.some(({ isCold }) => !isCold) ? found : found.map((one) => ({ ...one, isCold: false }));
}

/** @param {import('./measure/round.mjs').Result} result */
function plain({ case: name, contestant, samples }) {
  return {
    case: name,
    contestant: contestant.name,
    role: contestant.role,
    command: contestant.command,
    rounds: samples.map(({ figures }) => figures),
  };
}

function options() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      'no-build': { type: 'boolean' },
      only: { type: 'string', multiple: true, default: [] },
      case: { type: 'string', multiple: true, default: [] },
    },
  });
  const known = Object.keys(ROWS);
  const names = positionals.length ? known.filter((name) => positionals.includes(name)) : known;
  for (const name of positionals)
    if (!known.includes(name)) fail(`unknown row '${name}'; the rows are ${known.join(', ')}`);
  const linuxOnly = names.filter((name) => ROWS[name]?.linuxOnly);
  if (process.platform !== 'linux' && linuxOnly.length) fail(`${linuxOnly.join(', ')}: reads /proc, so Linux only`);
  return {
    names,
    rounds: count(values.rounds, ROUNDS),
    seconds: count(values.seconds, SECONDS),
    build: !values['no-build'],
    filter: { contestants: values.only, cases: values.case },
  };
}

/** @param {string | undefined} text @param {number} otherwise */
function count(text, otherwise) {
  if (text === undefined) return otherwise;
  if (!/^[1-9]\d{0,3}$/.test(text)) fail(`'${text}' is not a number of rounds or seconds`);
  return Number(text);
}

/** @param {string} text */
function fail(text) {
  log(text);
  process.exit(2);
}
