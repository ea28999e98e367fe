// The flags of scripts/configure: which there are, what a value must look like, and what is asked for those not given.
// scripts/configure explains them to users.

import { bridgeProblem, edgeProblem } from './key.mjs';
import { PRESETS, presetOf } from './preset.mjs';

/** @typedef {'workers' | 'spin'} Runtime */
/**
 * @typedef {object} Flag
 * @property {'text' | 'list' | 'switch' | 'secret'} kind a secret's value is the path of a file with it
 * @property {(text: string) => string | undefined} [problem] with a value: "must be …"
 * @property {string} [ask] the question
 * @property {string} [initial]
 * @property {Runtime} [only]
 */

const must = (/** @type {(text: string) => boolean} */ holds, /** @type {string} */ form) => {
  return (/** @type {string} */ text) => (holds(text) ? undefined : `must be ${form}`);
};
const matches = (/** @type {RegExp} */ form) => (/** @type {string} */ text) => form.test(text);
const oneOf = (/** @type {string[]} */ ...words) => must((text) => words.includes(text), `one of ${words.join(', ')}`);
/** Whether a text is an origin of these schemes as browsers write it. @param {string[]} schemes */
const isOrigin =
  (...schemes) =>
  (/** @type {string} */ text) => {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    return url !== undefined && schemes.includes(url.protocol) && `${url.protocol}//${url.host}` === text;
  };
const isHttps = (/** @type {string} */ text) => {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  return url?.protocol === 'https:' && !url.username && !url.password && !url.search && !url.hash;
};
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const NAME = /^[A-Za-z0-9._-]{1,64}$/;
// One line without quotes: such a value means the same in TOML, in a shell, in systemd and in a container's file.
const isPlain = matches(/^[\x21-\x7e]+( [\x21-\x7e]+)*$/);
const guid = must(matches(GUID), 'a GUID in lower case');
const httpsOrigin = must(isOrigin('https:'), 'an origin such as https://www.example.com, without a path');
const plain = must(isPlain, 'a text of printable ASCII characters');

/** Flags for the whole deployment. @type {Readonly<Record<string, Flag>>} */
export const FLAGS = Object.freeze({
  runtime: {
    kind: 'text',
    problem: oneOf('workers', 'spin'),
    ask: 'Runtime of the edge, workers or spin',
    initial: 'workers',
  },
  domain: {
    kind: 'text',
    problem: must(
      (text) => /^[a-z0-9.-]+(:\d+)?$/.test(text) && text.includes('.') && isOrigin('https:')(`https://${text}`),
      'a host name in lower case such as chat.example.com',
    ),
    ask: 'Domain of the edge, such as chat.example.com',
  },
  'host-page': {
    kind: 'list',
    problem: httpsOrigin,
    ask: 'Origins of pages that embed the widget, such as https://www.example.com (separated by spaces)',
    initial: '',
  },
  'cross-site': { kind: 'switch' },
  'bridge-url': {
    kind: 'text',
    problem: must((text) => isHttps(text) && isOrigin('https:')(text), 'an origin such as https://bridge.example.com'),
    ask: "The kafka-bridge's address, such as https://bridge.example.com",
  },
  channel: { kind: 'list', problem: must(matches(NAME), 'a name of letters, digits, `.`, `_` and `-`') },
  jurisdiction: { kind: 'text', problem: oneOf('eu', 'fedramp', 'us'), only: 'workers' },
  'redis-address': {
    kind: 'text',
    problem: must(
      (text) => /:\d+$/.test(text) && isOrigin('redis:', 'rediss:')(text),
      'such as rediss://redis.example.com:6380',
    ),
    ask: "Redis's address without credentials, such as rediss://redis.example.com:6380",
    only: 'spin',
  },
  'redis-user': { kind: 'text', problem: must(matches(NAME), 'the name of a user'), only: 'spin' },
  'redis-password-file': { kind: 'secret', only: 'spin' },
  'outbound-host': {
    kind: 'list',
    problem: must(isOrigin('https:', 'http:'), 'such as https://api.example.com'),
    only: 'spin',
  },
  'kafka-brokers': {
    kind: 'text',
    problem: must(matches(/^[\w.-]+:\d+(,[\w.-]+:\d+)*$/), 'host:port, several separated by commas'),
    ask: "Kafka's brokers, host:port, several separated by commas",
  },
  'kafka-security': {
    kind: 'text',
    problem: oneOf('PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'),
    ask: 'Security protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL',
    initial: 'SASL_SSL',
  },
  'kafka-mechanism': {
    kind: 'text',
    problem: oneOf('PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'),
    ask: 'SASL mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER',
    initial: 'SCRAM-SHA-512',
  },
  'kafka-user': { kind: 'text', problem: plain, ask: "Kafka's user" },
  'kafka-password-file': { kind: 'secret', ask: "The user's password" },
  'kafka-token-url': { kind: 'text', problem: must(isHttps, 'an https:// URL'), ask: 'Token endpoint' },
  'kafka-client-id': { kind: 'text', problem: plain, ask: 'Client id at the token endpoint' },
  'kafka-client-secret-file': { kind: 'secret', ask: "The client's secret" },
  'kafka-scope': { kind: 'text', problem: plain },
  'kafka-ca': { kind: 'text', problem: plain },
  'github-app-key-file': { kind: 'secret' },
  set: { kind: 'list', problem: edgeProblem },
  'set-bridge': { kind: 'list', problem: bridgeProblem },
});

/** Flags for the provider before them. @type {Readonly<Record<string, Flag & { of: (name: string) => boolean }>>} */
export const PROVIDER_FLAGS = Object.freeze({
  id: {
    kind: 'text',
    of: isOpenId,
    problem: must(
      (text) => /^[a-z0-9-]{1,32}$/.test(text) && text !== 'entra' && text !== 'github',
      '1 to 32 of a-z, 0-9 and `-`, and not entra or github',
    ),
  },
  name: { kind: 'text', of: isOpenId, problem: must((text) => /^[^\p{C}']{1,60}$/u.test(text), 'a short text') },
  'client-id': { kind: 'text', of: () => true, problem: plain },
  'client-secret-file': { kind: 'secret', of: () => true },
  issuer: {
    kind: 'text',
    of: (name) => isOpenId(name) && !PRESETS[name]?.issuer,
    problem: must(isHttps, 'an https:// URL'),
  },
  endpoint: {
    kind: 'list',
    of: isOpenId,
    problem: must(isOrigin('https:'), 'an origin such as https://login.example.com'),
  },
  scope: { kind: 'list', of: isOpenId, problem: must(matches(/^[\x21\x23-\x5b\x5d-\x7e]+$/), 'a scope') },
  audience: { kind: 'text', of: isOpenId, problem: plain },
  'no-refresh-retry': { kind: 'switch', of: isOpenId },
  tenant: {
    kind: 'text',
    of: (name) => name === 'entra',
    problem: must(
      (text) => GUID.test(text) || text === 'organizations' || text === 'common',
      'a GUID in lower case, or organizations or common with --allowed-tenant',
    ),
  },
  'allowed-tenant': { kind: 'list', of: (name) => name === 'entra', problem: guid },
  group: { kind: 'list', of: (name) => name === 'entra', problem: guid },
  'entra-client-key-file': { kind: 'secret', of: (name) => name === 'entra' },
  'github-app-file': { kind: 'secret', of: (name) => name === 'github' },
  organization: {
    kind: 'text',
    of: (name) => name === 'github',
    problem: must(matches(NAME), 'the name of an organization'),
  },
});

/** @param {string} name */
function isOpenId(name) {
  return presetOf(name)?.kind === 'openid';
}
