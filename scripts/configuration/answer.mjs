// What the user has decided: from flags, else from the run before. Secrets are apart from it, so that they are in no
// file that is meant to be read.

import { readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { FLAGS, PROVIDER_FLAGS } from './flag.mjs';
import { latest, nameIn } from './key.mjs';
import { PRESETS, presetOf } from './preset.mjs';
import { Refusal } from './refusal.mjs';

/** @typedef {Record<string, string | string[] | boolean>} Values */
/**
 * @typedef {object} Provider
 * @property {string} preset
 * @property {string} id
 * @property {Values} values
 * @property {Record<string, string>} secrets
 * @property {string[]} [unset] flags of it whose answers this run takes back
 */
/**
 * Names that a Worker may still have from an earlier deployment, and no longer should.
 * @typedef {{ variables: string[], secrets: string[] }} Dropped
 */
/** @typedef {{ values: Values, providers: Provider[], secrets: Record<string, string>, dropped: Dropped }} Answers */
/**
 * @typedef {object} Command
 * @property {Answers} answers of the flags alone
 * @property {string} out
 * @property {boolean} yes asks nothing
 * @property {boolean} isBare whether no flag but --out is given
 * @property {boolean} force makes new keys
 * @property {string | undefined} without id of a provider that is left out from now on
 * @property {string[]} unset flags, and keys of --set and --set-bridge, whose answers this run takes back
 * @property {string | undefined} rotate the key ring that takes its next step
 * @property {boolean} check
 * @property {string[]} files to check
 */

/** The folder for what a run writes, as seen from where the user is. */
export const DEFAULT_OUT =
  relative(process.cwd(), join(resolve(import.meta.dirname, '../..'), 'causeway-config')) || '.';

const MODES = {
  'without-provider': 'string',
  yes: 'boolean',
  force: 'boolean',
  check: 'boolean',
  rotate: 'string',
  unset: 'string',
  out: 'string',
};
/** Longest secret that a file may hold. A private key in PEM has less. */
const MAX_SECRET_BYTES = 16 << 10;

/** @param {string[]} args @returns {Command} */
export function readCommand(args) {
  const { tokens, positionals } = parsed(args);
  /** @type {Answers} */
  const answers = none();
  /** @type {string[]} */
  const unset = [];
  /** @type {Record<string, string | true>} */
  const modes = {};
  /** @type {Provider | undefined} */
  let provider;
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const { name, value = '' } = token;
    if (name === 'unset') takeBack(value, unset, provider);
    else if (name in MODES) modes[name] = MODES[/** @type {keyof typeof MODES} */ (name)] === 'boolean' ? true : value;
    else if (name === 'provider') answers.providers.push((provider = begin(value)));
    else if (name in FLAGS) take(answers, FLAGS[name], name, value);
    else if (!provider) throw new Refusal(`--${name} must come after the --provider that it is for`);
    else if (!PROVIDER_FLAGS[name]?.of(provider.preset)) throw new Refusal(`--${name} is not for ${provider.preset}`);
    else take(provider, PROVIDER_FLAGS[name], name, value);
  }
  for (const it of answers.providers) {
    if (typeof it.values.id === 'string') it.id = it.values.id;
    delete it.values.id;
    const twice = answers.providers.some((other) => other !== it && other.id === it.id);
    if (twice) throw new Refusal(`--provider ${it.preset}: --id must differ from the other provider's, ${it.id}`);
    checkIssuer(it);
  }
  const rotate = modes.rotate;
  if (rotate !== undefined && rotate !== 'session' && rotate !== 'bridge')
    throw new Refusal('--rotate must be session or bridge');
  // It is a part of commands that the files tell users to run.
  if (typeof modes.out === 'string' && !/^[\w./+@%-]+$/.test(modes.out))
    throw new Refusal('--out must be a path of letters, digits and `._/+@%-`');
  if (positionals.length && !modes.check) throw new Refusal(`'${positionals[0]}' is no flag, see --help`);
  return {
    answers,
    out: typeof modes.out === 'string' ? modes.out : DEFAULT_OUT,
    yes: modes.yes === true,
    isBare: tokens.every((token) => token.kind === 'option' && token.name === 'out'),
    force: modes.force === true,
    check: modes.check === true,
    rotate,
    unset,
    without: typeof modes['without-provider'] === 'string' ? modes['without-provider'] : undefined,
    files: positionals,
  };
}

/** @param {string[]} args */
function parsed(args) {
  /** @type {Record<string, { type: 'string' | 'boolean', multiple?: boolean }>} */
  const options = { provider: { type: 'string', multiple: true } };
  for (const [name, type] of Object.entries(MODES)) options[name] = { type: /** @type {'string'} */ (type) };
  for (const [name, { kind }] of Object.entries({ ...FLAGS, ...PROVIDER_FLAGS }))
    options[name] = { type: kind === 'switch' ? 'boolean' : 'string', multiple: true };
  try {
    return parseArgs({ args, options, allowPositionals: true, tokens: true });
  } catch (error) {
    throw new Refusal(`${/** @type {Error} */ (error).message.split(/[\n.]/)[0] ?? ''}, see --help`);
  }
}

/** @returns {Answers} */
const none = () => ({ values: {}, providers: [], secrets: {}, dropped: { variables: [], secrets: [] } });

/** @param {string} name @returns {Provider} */
function begin(name) {
  if (!presetOf(name)) throw new Refusal(`--provider must be one of ${Object.keys(PRESETS).join(', ')}`);
  return { preset: name, id: name, values: {}, secrets: {} };
}

/**
 * Flags are in lower case, keys of --set and --set-bridge in upper case.
 * @param {string} name @param {string[]} unset @param {Provider | undefined} provider the one before it
 */
function takeBack(name, unset, provider) {
  const isOfProvider = Object.hasOwn(PROVIDER_FLAGS, name);
  const flag = isOfProvider ? PROVIDER_FLAGS[name] : Object.hasOwn(FLAGS, name) ? FLAGS[name] : undefined;
  if (flag?.kind === 'secret') throw new Refusal(`--unset ${name}: a secret is only replaced, by --${name}`);
  if (PAIRS.includes(name)) throw new Refusal(`--unset ${name}: name the KEY that it has set`);
  if (name === 'id' || name === 'provider') throw new Refusal(`--unset ${name}: --without-provider forgets a provider`);
  if (!isOfProvider) unset.push(name);
  else if (!provider) throw new Refusal(`--unset ${name} must come after the --provider that it is for`);
  else provider.unset = [...(provider.unset ?? []), name];
}

/**
 * Takes a value after it was checked.
 * @param {{ values: Values, secrets: Record<string, string> }} to @param {import('./flag.mjs').Flag | undefined} flag
 * @param {string} name @param {string} value @param {string} [where] for messages
 */
export function take(to, flag, name, value, where = `--${name}`) {
  if (!flag) return;
  const problem = flag.kind === 'secret' || flag.kind === 'switch' ? undefined : flag.problem?.(value);
  if (problem) throw new Refusal(`${where} ${problem}`);
  if (flag.kind === 'secret') to.secrets[name.replace(/-file$/, '')] = secretIn(value, where);
  else if (flag.kind === 'switch') to.values[name] = true;
  else if (flag.kind === 'list') to.values[name] = [...new Set([...list(to.values, name), value])];
  else to.values[name] = value;
}

/** @param {string} file @param {string} where */
function secretIn(file, where) {
  let text;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8').trim();
  } catch (error) {
    throw new Refusal(`${where}: the file cannot be read (${/** @type {NodeJS.ErrnoException} */ (error).code})`);
  }
  if (!text) throw new Refusal(`${where}: the file is empty`);
  if (text.length > MAX_SECRET_BYTES) throw new Refusal(`${where}: the file is too large for a secret`);
  return text;
}

/** @param {Provider} provider @param {string} [where] for messages */
export function checkIssuer({ preset, values }, where = '--issuer') {
  const { issuerForm, issuerLike } = presetOf(preset) ?? {};
  if (typeof values.issuer === 'string' && issuerForm && !issuerForm.test(values.issuer))
    throw new Refusal(`${where} must be like ${issuerLike} for ${preset}`);
}

/** @param {Values} values @param {string} name */
export const text = (values, name) => (typeof values[name] === 'string' ? values[name] : undefined);
/** @param {Values} values @param {string} name @returns {string[]} */
export const list = (values, name) => (Array.isArray(values[name]) ? values[name] : []);
/** @param {Values} values @param {string} name */
export const isOn = (values, name) => values[name] === true;

/**
 * The answers of the run before, where the flags do not give others.
 * @param {Answers} now @param {Answers} before @param {string[]} [unset] @returns {Answers}
 */
export function merged(now, before, unset = []) {
  for (const { id, preset } of now.providers) {
    const other = before.providers.find((it) => it.id === id && it.preset !== preset);
    if (other)
      throw new Refusal(
        `--provider ${preset}: the id ${id} is that of ${other.preset}; give another --id, or end it first`,
      );
  }
  const isSet = (/** @type {string} */ name) =>
    Object.hasOwn(before.values, name) ||
    PAIRS.some((flag) => list(before.values, flag).some((pair) => nameIn(pair) === name));
  for (const name of unset) if (!isSet(name)) rejectUnset(name);
  const providers = before.providers.map((old) => {
    const changed = now.providers.find(({ id, preset }) => id === old.id && preset === old.preset);
    if (!changed) return old;
    const { unset: gone = [] } = changed;
    for (const name of gone) if (!Object.hasOwn(old.values, name)) rejectUnset(name);
    return { ...changed, values: { ...without(old.values, gone), ...changed.values } };
  });
  const isNew = (/** @type {Provider} */ it) =>
    !before.providers.some(({ id, preset }) => id === it.id && preset === it.preset);
  for (const { unset: [name] = [] } of now.providers.filter(isNew)) if (name) rejectUnset(name);
  return {
    values: { ...without(before.values, unset), ...now.values, ...pairs(now.values, before.values, unset) },
    dropped: before.dropped,
    providers: [...providers, ...now.providers.filter(isNew)],
    secrets: now.secrets,
  };
}

/** @param {string} name @returns {never} */
function rejectUnset(name) {
  throw new Refusal(
    `--unset ${name}: no earlier run has set it; it takes a KEY of --set, or a flag's name such as cross-site`,
  );
}

/** @param {Values} values @param {string[]} names */
const without = (values, names) => Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)));

/** The flags whose lists are merged by key. */
const PAIRS = Object.freeze(['set', 'set-bridge']);

/** @param {Values} now @param {Values} before @param {string[]} unset @returns {Values} */
function pairs(now, before, unset) {
  const merge = (/** @type {string} */ flag) =>
    latest([...list(before, flag).filter((pair) => !unset.includes(nameIn(pair))), ...list(now, flag)]);
  return Object.fromEntries(PAIRS.map((flag) => [flag, merge(flag)]));
}

/** Answers as JSON, and back. Secrets are in other files. @param {Answers} answers */
export function encodeAnswers({ values, providers, dropped }) {
  const own = providers.map(({ preset, id, values: of }) => ({ preset, id, values: of }));
  return `${JSON.stringify({ values, providers: own, dropped }, undefined, 2)}\n`;
}

/** @param {string | undefined} json @param {string} file @returns {Answers} */
export function decodeAnswers(json, file) {
  if (json === undefined) return none();
  try {
    const { values, providers, dropped } = JSON.parse(json);
    const own = providers.map((/** @type {Provider} */ it) => ({ ...it, secrets: {} }));
    return { ...none(), ...(dropped && { dropped }), values, providers: own };
  } catch {
    throw new Refusal(`${file} is not what this command wrote: correct it, or remove it and answer again`);
  }
}
