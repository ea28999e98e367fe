// Keys and secrets: made here, given by flags, or kept from the run before.

import { randomBytes } from 'node:crypto';
import { parseEnv } from 'node:util';

import { EDGE_SECRETS } from './key.mjs';
import { Refusal } from './refusal.mjs';

/** @typedef {Record<string, string>} Secrets */
/** @typedef {{ without?: string | undefined, unset?: string[] }} Removal id of a provider, and names of variables */

const KEY_BYTES = 32;

/** A secret of 256 bits, in characters that every format and URL takes as they are. */
const random = () => randomBytes(KEY_BYTES).toString('base64url');

/** @param {string} id */
export const newKey = (id) => `${id}:${random()}`;

/**
 * All secrets by the name of their setting; those of the bridge alone, too. What is only a part of a setting has
 * a name of its own: REDIS_PASSWORD, and the parts of OIDC_CLIENT_SECRETS as `oidc:{id}`, or `oidc-key:{id}` for a JWK.
 * @param {import('./answer.mjs').Answers} answers @param {Secrets} before
 * @param {{ force: boolean, rotate?: string | undefined } & Removal} how
 */
export function secretsOf(answers, before, { force, rotate, without, unset = [] }) {
  /** @type {Secrets} */
  const all = { ...before };
  for (const ring of ['SESSION_KEYS', 'BRIDGE_KEYS']) {
    if (force || !all[ring]) all[ring] = newKey('k1');
    else if (rotate && ring === `${rotate.toUpperCase()}_KEYS`) all[ring] = nextStep(all[ring]).ring;
  }
  if (answers.values.runtime === 'spin') {
    if (answers.secrets['redis-password']) all.REDIS_PASSWORD = answers.secrets['redis-password'];
    else if (force || !all.REDIS_PASSWORD) all.REDIS_PASSWORD = random();
    // It is a word of a Redis command, and a part of a URL.
    if (!/^[A-Za-z0-9_-]+$/.test(all.REDIS_PASSWORD ?? ''))
      throw new Refusal("--redis-password-file: Redis's password may have letters, digits, `_` and `-` only");
  }
  if (answers.secrets['kafka-password']) all.KAFKA_SASL_PASSWORD = answers.secrets['kafka-password'];
  if (answers.secrets['kafka-client-secret']) all.KAFKA_SASL_CLIENT_SECRET = answers.secrets['kafka-client-secret'];
  if (answers.secrets['github-app-key']) all.GITHUB_APP_KEY = oneLine(answers.secrets['github-app-key']);
  // The edge refuses the one without the other.
  if (unset.includes('GITHUB_APP_ID')) delete all.GITHUB_APP_KEY;
  if (without !== undefined) for (const name of namesOf(without)) delete all[name];
  for (const { preset, id, secrets } of answers.providers) {
    const { 'client-secret': secret, 'github-app': app, 'entra-client-key': key } = secrets;
    if (app) Object.assign(all, githubSecrets(app));
    // Each takes the place of the other: the edge refuses both.
    if (secret) replace(all, secretName(preset, id), preset === 'entra' ? 'ENTRA_CLIENT_KEY' : keyName(id), secret);
    if (key) replace(all, 'ENTRA_CLIENT_KEY', 'ENTRA_CLIENT_SECRET', oneLine(key));
  }
  return all;
}

/** @param {Secrets} all @param {string} name @param {string} other @param {string} value */
function replace(all, name, other, value) {
  delete all[other];
  all[name] = value;
}

/** A private key in one line. In PEM the edge reads `\n` as a line break, and JSON needs none. @param {string} key */
const oneLine = (key) => key.replaceAll(/\r?\n/g, key.startsWith('{') ? ' ' : '\\n');

/** What belongs to a provider. The key of a GitHub App is that of services. @param {string} id */
function namesOf(id) {
  if (id === 'entra') return ['ENTRA_CLIENT_SECRET', 'ENTRA_CLIENT_KEY'];
  if (id === 'github') return ['GITHUB_CLIENT_SECRET', 'GITHUB_WEBHOOK_SECRET'];
  return [`oidc:${id}`, keyName(id)];
}

/** @param {string} id */
export const keyName = (id) => `oidc-key:${id}`;

/** Whether the provider can prove who the edge is. @param {Secrets} all @param {string} preset @param {string} id */
export const hasCredential = (all, preset, id) =>
  [secretName(preset, id), ...(preset === 'github' ? [] : namesOf(id))].some((name) => all[name]);

/** The parts of OIDC_CLIENT_SECRETS by provider. @param {Secrets} all @returns {Map<string, unknown>} */
export function clientSecrets(all) {
  const parts = Object.entries(all).map(([name, value]) => {
    const [, kind, id = ''] = /^(oidc|oidc-key):(.*)$/.exec(name) ?? [];
    return /** @type {const} */ ([id, kind === 'oidc-key' ? JSON.parse(value) : value]);
  });
  return new Map(parts.filter(([id]) => id));
}

/** @param {string} preset @param {string} id */
export const secretName = (preset, id) =>
  preset === 'entra' ? 'ENTRA_CLIENT_SECRET' : preset === 'github' ? 'GITHUB_CLIENT_SECRET' : `oidc:${id}`;

/**
 * The next of the three steps in which a key replaces another: known, used, alone. See docs/configuration.md.
 * @param {string} ring
 */
export function nextStep(ring) {
  const keys = ring.split(',');
  const number = (/** @type {string} */ key) => Number(/^k(\d+):/.exec(key)?.[1] ?? 0);
  const [first = '', ...others] = keys;
  const newest = keys.reduce((one, other) => (number(other) > number(one) ? other : one));
  if (!others.length) return { step: 1, ring: `${first},${newKey(`k${number(first) + 1}`)}` };
  if (newest !== first) return { step: 2, ring: [newest, ...keys.filter((key) => key !== newest)].join(',') };
  return { step: 3, ring: first };
}

/** What GitHub answers when it has made an app from a manifest. @param {string} json */
function appOf(json) {
  /** @type {Record<string, unknown>} */
  let app;
  try {
    app = JSON.parse(json);
  } catch {
    // The error's own message repeats a part of the text.
    throw new Refusal("--github-app-file: the file is not JSON; it must be GitHub's answer as it is");
  }
  const { client_id: id, client_secret: secret, webhook_secret: webhook, id: number, pem } = app;
  if (typeof id !== 'string' || typeof secret !== 'string' || !id || !secret)
    throw new Refusal('--github-app-file: the file has no client_id and client_secret; the code may have expired');
  return {
    id,
    secret,
    webhook: typeof webhook === 'string' ? webhook : undefined,
    number: Number.isSafeInteger(number) ? String(number) : undefined,
    pem: typeof pem === 'string' ? pem : undefined,
  };
}

/** @param {string} json */
function githubSecrets(json) {
  const { secret, webhook } = appOf(json);
  return { GITHUB_CLIENT_SECRET: secret, ...(webhook && { GITHUB_WEBHOOK_SECRET: webhook }) };
}

/** The app's client id, its number, and its private key in PEM. @param {string} json */
export function githubApp(json) {
  const { id, number, pem } = appOf(json);
  return { id, number, pem };
}

/**
 * The secrets in the files of the run before.
 * @param {string | undefined} edge secrets.json @param {string | undefined} bridge bridge.env @param {string} folder
 * @returns {Secrets}
 */
export function readSecrets(edge, bridge, folder) {
  /** @type {Secrets} */
  const all = {};
  if (edge !== undefined) {
    try {
      for (const [name, value] of Object.entries(JSON.parse(edge)))
        if (typeof value === 'string' && EDGE_SECRETS.includes(name)) all[name] = value;
      const clients = JSON.parse(all.OIDC_CLIENT_SECRETS ?? '{}');
      for (const [id, value] of Object.entries(clients))
        if (typeof value === 'string') all[`oidc:${id}`] = value;
        else all[keyName(id)] = JSON.stringify(value);
      if (all.REDIS_URL) all.REDIS_PASSWORD = decodeURIComponent(new URL(all.REDIS_URL).password);
    } catch {
      throw new Refusal(
        `${folder}/secrets.json is not what this command wrote. It may hold the only copy of your keys: correct it, ` +
          'or move it away',
      );
    }
    delete all.OIDC_CLIENT_SECRETS;
    delete all.REDIS_URL;
  }
  const kept = bridgeLines(bridge);
  for (const name of ['KAFKA_SASL_PASSWORD', 'KAFKA_SASL_CLIENT_SECRET']) {
    const value = kept[name];
    if (value) all[name] = value;
  }
  return all;
}

/** The bridge's environment of the run before. @param {string | undefined} bridge bridge.env @returns {Secrets} */
export const bridgeLines = (bridge) => (bridge === undefined ? {} : { .../** @type {Secrets} */ (parseEnv(bridge)) });
