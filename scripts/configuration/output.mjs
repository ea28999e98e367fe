// The files below the output folder, each with what to do with it. All of them are for their owner's eyes only.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { encodeAnswers } from './answer.mjs';
import { comment, envLines, tomlLines } from './format.mjs';
import { EDGE_KEYS, EDGE_SECRETS } from './key.mjs';
import { kubernetesFiles } from './kubernetes.mjs';
import { limiterLines } from './limiter.mjs';
import { manifestCommand, nextSteps } from './next-step.mjs';
import { Refusal } from './refusal.mjs';
import { registrationFiles } from './register.mjs';
import { bridgeSettings, edgeSettings, isSpin, originOf, redisUser } from './setting.mjs';

/** @typedef {import('./answer.mjs').Answers} Answers */
/** @typedef {import('./secret.mjs').Secrets} Secrets */

/** Spin reads variables of these names. */
const SPIN_PREFIX = 'SPIN_VARIABLE_';

/** Every file that a run may write. Those of the run before that this one does not need are removed. */
const FILES = [
  'answers.json',
  'secrets.json',
  'vars.toml',
  'spin.env',
  'redis.acl',
  'spin.docker.env',
  'spin-hosted.sh',
  'spinapp.yaml',
  'edge-secret.yaml',
  'bridge.env',
  'bridge.docker.env',
  'bridge-values.yaml',
  'bridge-secret.yaml',
  'register.md',
  'entra-app.json',
  'register-entra.sh',
  'github-app-manifest.json',
  'github-app.html',
  'github-app-key.pem',
  'NEXT-STEPS.md',
  '.gitignore',
];

/** @param {string} out @param {string} name */
export const readOutput = (out, name) =>
  existsSync(join(out, name)) ? readFileSync(join(out, name), 'utf8') : undefined;

/** A folder with other things in it is somebody else's. @param {string} out */
export function rejectForeign(out) {
  if (!existsSync(out)) return;
  let names;
  try {
    names = readdirSync(out);
  } catch (error) {
    throw new Refusal(`--out: ${out} cannot be read (${/** @type {NodeJS.ErrnoException} */ (error).code})`);
  }
  if (names.length && !names.includes('answers.json'))
    throw new Refusal(`--out: ${out} has files but no answers.json of this command; name an empty or a new folder`);
}

/**
 * What a Worker of an earlier run has and this one does not. A deployment keeps it, so each must be ended by its name.
 * @param {Answers} answers @param {Secrets} all @param {Answers} before @param {string} out
 * @returns {import('./answer.mjs').Dropped}
 */
export function droppedOf(answers, all, before, out) {
  if (isSpin(answers)) return before.dropped;
  const { variables, secrets } = edgeSettings(answers, all);
  const found = (/** @type {string} */ file, /** @type {RegExp} */ form) =>
    isSpin(before) ? [] : [...(readOutput(out, file) ?? '').matchAll(form)].map(([, name = '']) => name);
  const gone = (/** @type {string[]} */ names, /** @type {readonly string[]} */ known, /** @type {object} */ now) =>
    [...new Set(names)].filter((name) => known.includes(name) && !(name in now)).sort();
  return {
    variables: gone([...before.dropped.variables, ...found('vars.toml', /^(\w+) = /gm)], EDGE_KEYS, variables),
    secrets: gone([...before.dropped.secrets, ...found('secrets.json', /^ {2}"(\w+)":/gm)], EDGE_SECRETS, secrets),
  };
}

/**
 * @typedef {object} Run
 * @property {string} out
 * @property {boolean} force
 * @property {string[]} unset
 * @property {Record<string, string>} bridge its environment of the run before
 */

/**
 * @param {Answers} answers @param {Secrets} all @param {Run} run
 * @returns {Record<string, string>} texts by file name
 */
export function outputFiles(answers, all, { out, force, unset, bridge }) {
  const { variables, secrets } = edgeSettings(answers, all);
  const spin = isSpin(answers);
  const settings = bridgeSettings(answers, all, bridge, unset);
  return {
    'answers.json': encodeAnswers(answers),
    'secrets.json': `${JSON.stringify(secrets, undefined, 2)}\n`,
    ...(spin
      ? {
          'spin.env': spinEnv(variables, secrets, out),
          'spin.docker.env': dockerEnv('Variables of the edge', { ...variables, ...secrets }, SPIN_PREFIX),
          'spin-hosted.sh': hostedScript({ ...variables, ...secrets }, out),
          'redis.acl': redisAcl(answers, all, force),
        }
      : { 'vars.toml': varsToml(answers, variables, out) }),
    'bridge.env': bridgeEnv(settings),
    'bridge.docker.env': dockerEnv("The kafka-bridge's environment", settings),
    ...kubernetesFiles(answers, { variables, secrets, settings }, out),
    ...registrationFiles(answers, out),
    ...githubKey(answers, out),
    'NEXT-STEPS.md': nextSteps(answers, out),
    '.gitignore': '*\n',
  };
}

/** The private key that GitHub shows only once. @param {Answers} answers @param {string} out */
function githubKey({ providers }, out) {
  const github = providers.find(({ id }) => id === 'github');
  const pem = github?.secrets['github-pem'] ?? (github && readOutput(out, 'github-app-key.pem'));
  return pem === undefined ? undefined : { 'github-app-key.pem': `${pem.trim()}\n` };
}

/** @param {Record<string, string>} files @param {string} out */
export function write(files, out) {
  mkdirSync(out, { recursive: true, mode: 0o700 });
  chmodSync(out, 0o700);
  for (const [name, text] of Object.entries(files)) {
    const next = join(out, `.${name}.next`);
    // A mode counts for new files only.
    rmSync(next, { force: true });
    writeFileSync(next, text, { mode: 0o600 });
    renameSync(next, join(out, name));
  }
  for (const name of FILES) if (!(name in files)) rmSync(join(out, name), { force: true });
}

/** @param {Answers} answers @param {Record<string, string>} variables @param {string} out */
function varsToml(answers, variables, out) {
  return lines(
    comment(
      'Variables of the Worker, and its domain, for a copy of wrangler.toml that Git ignores:',
      '',
      `  ${manifestCommand(out)}`,
      '  npx wrangler deploy --config wrangler.deploy.toml',
      '',
      'Nothing here is secret.',
    ),
    ['', '[[routes]]', ...tomlLines({ pattern: originOf(answers).slice('https://'.length) }), 'custom_domain = true'],
    ['', '[vars]', ...tomlLines(variables)],
    // A deployment keeps variables that are not named. An empty one is not set.
    tomlLines(Object.fromEntries(answers.dropped.variables.map((name) => [name, '']))),
    limiterLines(variables),
  );
}

/** @param {Record<string, string>} variables @param {Record<string, string>} secrets @param {string} out */
function spinEnv(variables, secrets, out) {
  return lines(
    comment(
      'Variables of the Spin component. SECRET: it holds keys.',
      '',
      `  set -a; . ${out}/spin.env; set +a; spin up --listen 0.0.0.0:3000`,
      '',
      `A hosted Spin takes them at the deployment: sh ${out}/spin-hosted.sh aka`,
    ),
    ['', ...envLines(variables, SPIN_PREFIX)],
    ['', ...envLines(secrets, SPIN_PREFIX)],
  );
}

/** @param {Answers} answers @param {Secrets} all @param {boolean} force ends what was valid before */
function redisAcl(answers, all, force) {
  // No comment: redis-cli reads it as it is.
  return lines([
    `ACL SETUSER ${redisUser(answers)} on ${force ? 'resetpass ' : ''}>${all.REDIS_PASSWORD} ~causeway:* &causeway:* +@read +@write +@pubsub +@scripting +@connection +time -@dangerous`,
    // A user that is not saved is gone after a restart.
    'ACL SAVE',
  ]);
}

/** @param {Record<string, string>} settings */
function bridgeEnv(settings) {
  return lines(
    comment(
      "The kafka-bridge's environment. SECRET: it holds keys. For a systemd unit (EnvironmentFile), compose (env_file)",
      "or a shell. Docker's --env-file takes quotes as parts of values: bridge.docker.env has none.",
    ),
    ['', ...envLines(settings)],
  );
}

/**
 * Lines without quotes, with nothing to expand.
 * @param {string} what @param {Record<string, string>} settings @param {string} [prefix] of the names
 */
function dockerEnv(what, settings, prefix = '') {
  return lines(
    comment(`${what} for docker run --env-file. SECRET: it holds keys.`),
    Object.entries(settings).map(([name, value]) => `${prefix}${name}=${value}`),
  );
}

/**
 * Deploys with all variables. The plugins take them by flags alone (docs/platforms.md).
 * @param {Record<string, string>} values @param {string} out
 */
function hostedScript(values, out) {
  const flags = Object.keys(values).map((name) => `--variable "${name.toLowerCase()}=$SPIN_VARIABLE_${name}"`);
  return lines(
    ['#!/bin/sh'],
    comment(
      'Deploys the edge to a hosted Spin, with the variables of spin.env. Run it beside spin.toml, after `spin build`:',
      '',
      `  sh ${out}/spin-hosted.sh aka [FLAG]...     Akamai Functions`,
      `  sh ${out}/spin-hosted.sh cloud [FLAG]...   Fermyon Cloud`,
      '',
      'FLAGs are further ones of `spin aka deploy` or `spin cloud deploy`. Both take variables by flags alone. So',
      'while it runs, other users of this machine can read the secrets in the list of processes: run it where there',
      'are none.',
      'A host keeps variables of earlier deployments that are not named here.',
    ),
    ['set -eu', 'case ${1:-} in aka | cloud) ;; *) echo "usage: $0 aka|cloud [FLAG]..." >&2; exit 2 ;; esac'],
    ['plugin=$1', 'shift', '. "$(dirname "$0")/spin.env"'],
    [`exec spin "$plugin" deploy ${flags.join(' \\\n  ')} "$@"`],
  );
}

/** @param {string[][]} parts */
const lines = (...parts) => `${parts.flat().join('\n')}\n`;
