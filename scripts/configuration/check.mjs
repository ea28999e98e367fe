// `scripts/configure --check`: whether edge and bridge would take these settings. Their own code decides:
// causeway-check has the edge's, and the bridge checks its environment itself.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseEnv } from 'node:util';

import { text } from './answer.mjs';
import { mismatches } from './mismatch.mjs';
import { Refusal } from './refusal.mjs';

/** @typedef {'workers' | 'spin'} Runtime */
/**
 * @typedef {{ file: string, manifest?: string, values: Record<string, string>, isBridge: boolean, isSpin: boolean }}
 * Source
 */

const ROOT = resolve(import.meta.dirname, '../..');
const SPIN_PREFIX = 'SPIN_VARIABLE_';
const OWN_FILES = ['vars.toml', 'secrets.json', 'spin.env', 'bridge.env'];
/** As spin.toml joins its free entries. */
const FREE_ENTRY = /^OUTBOUND_HOST_\d+$/;

/** @param {import('./answer.mjs').Command} command @returns {Promise<number>} exit code */
export async function check({ answers, out, files }) {
  const chosen = files.length ? files : OWN_FILES.map((name) => join(out, name)).filter((file) => existsSync(file));
  if (!chosen.length) throw new Refusal(`--check: ${out} has no settings; name the files`);
  const sources = chosen.map(read);
  const edge = sources.filter(({ isBridge }) => !isBridge);
  const bridge = sources.filter(({ isBridge }) => isBridge);
  const given = text(answers.values, 'runtime');
  const runtime = given === 'spin' || (given === undefined && edge.some(({ isSpin }) => isSpin)) ? 'spin' : 'workers';
  let isRight = true;
  if (edge.length) isRight = checkEdge(edge, runtime) && isRight;
  for (const source of bridge) isRight = checkBridge(source) && isRight;
  if (edge.length) for (const source of bridge) isRight = checkBoth(edge, source, runtime) && isRight;
  return isRight ? 0 : 1;
}

/** @param {string} file @returns {Source} */
function read(file) {
  let content;
  try {
    content = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Refusal(`--check: ${file} cannot be read (${/** @type {NodeJS.ErrnoException} */ (error).code})`);
  }
  if (file.endsWith('.toml')) return { file, manifest: content, values: {}, isBridge: false, isSpin: false };
  const pairs = Object.entries(file.endsWith('.json') ? fromJson(content, file) : parseEnv(content));
  const names = pairs.map(([name]) => name);
  const isSpin = names.some((name) => name.startsWith(SPIN_PREFIX) || name.toUpperCase() === 'REDIS_URL');
  const isBridge = !isSpin && names.some((name) => /^KAFKA_/.test(name));
  /** @type {[string, string][]} */
  const values = pairs.map(([name, value]) => [
    isBridge ? name : name.replace(new RegExp(`^${SPIN_PREFIX}`), '').toUpperCase(),
    String(value),
  ]);
  return { file, values: Object.fromEntries(values), isBridge, isSpin };
}

/** @param {string} content @param {string} file @returns {Record<string, string>} */
function fromJson(content, file) {
  try {
    const values = JSON.parse(content);
    if (values && typeof values === 'object' && Object.values(values).every((value) => typeof value === 'string'))
      return values;
  } catch {
    // The error's own message repeats a part of the text.
  }
  throw new Refusal(`--check: ${file} is not a JSON object of texts`);
}

/** @param {Source[]} sources @returns {Record<string, string>} */
const valuesOf = (sources) => Object.assign({}, ...sources.map(({ values }) => values));

/** @param {Source[]} sources @param {Runtime} runtime */
function checkEdge(sources, runtime) {
  const values = valuesOf(sources);
  if (runtime === 'spin') {
    const entries = Object.entries(values).filter(([name]) => FREE_ENTRY.test(name));
    for (const [name] of entries) delete values[name];
    if (entries.length) values.OUTBOUND_HOSTS = entries.map(([, host]) => host).join(' ');
  }
  // The limiters of the default rates are in the manifest that everybody deploys.
  const deployed = { file: 'wrangler.toml', text: readFileSync(join(ROOT, 'wrangler.toml'), 'utf8') };
  const others = sources.flatMap(({ file, manifest }) =>
    manifest === undefined || resolve(file) === join(ROOT, 'wrangler.toml') ? [] : [{ file, text: manifest }],
  );
  const manifests = runtime === 'workers' ? [deployed, ...others] : [];
  const input = JSON.stringify({ runtime, manifests, values });
  const { status, stdout, stderr } = cargo(['-p', 'causeway-check'], { input });
  return tell(`the edge on ${runtime === 'spin' ? 'Spin' : 'Workers'}`, status, stdout || stderr);
}

/** @param {Source} source */
function checkBridge({ values, file }) {
  const own = Object.entries(process.env).filter(([name]) => !/^(BRIDGE|KAFKA)_/.test(name));
  const { status, stderr } = cargo(['-p', 'kafka-bridge', '--', '--check'], {
    env: { ...Object.fromEntries(own), ...values },
  });
  return tell(`the bridge (${file})`, status, stderr);
}

/** What only a look at both shows. @param {Source[]} edge @param {Source} bridge @param {Runtime} runtime */
function checkBoth(edge, { file, values }, runtime) {
  const variables = edge.map(({ manifest }) => variablesIn(manifest ?? ''));
  const problems = mismatches({ ...Object.assign({}, ...variables), ...valuesOf(edge) }, values, runtime);
  if (!problems.length) return true;
  process.stdout.write(`edge and bridge (${file}) do not fit together\n`);
  for (const problem of problems) process.stdout.write(`  ${problem}\n`);
  return false;
}

/** The texts of `[vars]` that are in one line, which is how this command writes them. @param {string} manifest */
function variablesIn(manifest) {
  const [, table = ''] = /^\[vars\]\s*$([^]*?)(?=^\[|$(?![^]))/m.exec(manifest) ?? [];
  /** @type {Record<string, string>} */
  const values = {};
  for (const [, name = '', basic, literal] of table.matchAll(/^(\w+) *= *(?:("(?:[^"\\]|\\.)*")|'([^']*)')/gm))
    try {
      values[name] = literal ?? JSON.parse(basic ?? '""');
    } catch {
      // An escape that only TOML has. causeway-check reads it.
    }
  return values;
}

/**
 * Builds a program of this checkout if need be, and runs it.
 * @param {string[]} args @param {{ input?: string, env?: NodeJS.ProcessEnv }} options
 */
function cargo(args, options) {
  const { error, ...ended } = spawnSync('cargo', ['run', '--quiet', '--locked', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    ...options,
  });
  if (error)
    throw new Refusal(
      `--check needs Rust (https://rustup.rs), to build the code that reads settings: ${error.message}`,
    );
  return ended;
}

/** @param {string} what @param {number | null} status @param {string} lines */
function tell(what, status, lines) {
  const isRight = status === 0;
  process.stdout.write(`${what} ${isRight ? 'would start' : 'would not start'}\n`);
  for (const line of lines.trim().split('\n')) process.stdout.write(`  ${line}\n`);
  return isRight;
}
