// `scripts/configure --check`: whether edge and bridge would take these settings, and fit together. Their own code
// decides: causeway-check has the edge's, and the bridge checks its environment itself.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseEnv } from 'node:util';

import { text } from './answer.mjs';
import { Refusal } from './refusal.mjs';

/** @typedef {'workers' | 'spin'} Runtime */
/**
 * @typedef {{ file: string, manifest?: string, values: Record<string, string>, isBridge: boolean, isSpin: boolean }}
 * Source
 * @typedef {{ serves: boolean, lines: string[], mismatches: string[][] }} Findings what causeway-check prints
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
  const found = edge.length ? findings(edge, bridge, runtime) : undefined;
  let isRight = !found || tell(`the edge on ${runtime === 'spin' ? 'Spin' : 'Workers'}`, found.serves, found.lines);
  for (const source of bridge) isRight = checkBridge(source) && isRight;
  for (const [i, source] of bridge.entries()) isRight = tellMismatches(source, found?.mismatches[i]) && isRight;
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

/** @param {Source[]} edge @param {Source[]} bridge @param {Runtime} runtime @returns {Findings} */
function findings(edge, bridge, runtime) {
  /** @type {Record<string, string>} */
  const values = Object.assign({}, ...edge.map((source) => source.values));
  if (runtime === 'spin') {
    const entries = Object.entries(values).filter(([name]) => FREE_ENTRY.test(name));
    for (const [name] of entries) delete values[name];
    if (entries.length) values.OUTBOUND_HOSTS = entries.map(([, host]) => host).join(' ');
  }
  // The limiters of the default rates are in the manifest that everybody deploys.
  const deployed = { file: 'wrangler.toml', text: readFileSync(join(ROOT, 'wrangler.toml'), 'utf8') };
  const others = edge.flatMap(({ file, manifest }) =>
    manifest === undefined || resolve(file) === join(ROOT, 'wrangler.toml') ? [] : [{ file, text: manifest }],
  );
  const manifests = runtime === 'workers' ? [deployed, ...others] : [];
  const input = JSON.stringify({ runtime, manifests, values, bridges: bridge.map((source) => source.values) });
  const { status, stdout, stderr } = cargo(['-p', 'causeway-check'], { input });
  return status === 0 ? JSON.parse(stdout) : { serves: false, lines: linesOf(stderr), mismatches: [] };
}

/** @param {Source} source */
function checkBridge({ values, file }) {
  const own = Object.entries(process.env).filter(([name]) => !/^(BRIDGE|KAFKA)_/.test(name));
  const { status, stderr } = cargo(['-p', 'kafka-bridge', '--', '--check'], {
    env: { ...Object.fromEntries(own), ...values },
  });
  return tell(`the bridge (${file})`, status === 0, linesOf(stderr));
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

/** @param {string} text */
const linesOf = (text) => text.trim().split('\n').filter(Boolean);

/** @param {string} what @param {boolean} isRight @param {string[]} lines */
function tell(what, isRight, lines) {
  say(`${what} ${isRight ? 'would start' : 'would not start'}`, lines);
  return isRight;
}

/** @param {Source} bridge @param {string[]} [problems] */
function tellMismatches({ file }, problems = []) {
  if (problems.length) say(`edge and bridge (${file}) do not fit together`, problems);
  return !problems.length;
}

/** @param {string} heading @param {string[]} lines */
function say(heading, lines) {
  process.stdout.write([heading, ...lines.map((line) => `  ${line}`), ''].join('\n'));
}
