// The names of all settings: which --set and --set-bridge take, and which hold a secret.

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');
// spin.toml declares every key of the edge, and a test compares it with the edge's own list.
const DECLARED = [
  ...readFileSync(join(ROOT, 'spin.toml'), 'utf8').matchAll(/^(\w+) = \{ default = "[^"]*"(, secret = true)? \}$/gm),
].map(([, name = '', secret]) => ({ name: name.toUpperCase(), isSecret: secret !== undefined }));

/** --outbound-host fills them, and only Spin has them. */
const FREE_ENTRY = /^OUTBOUND_HOST_\d+$/;
/** Keys of the edge that may be in a file for others' eyes. */
export const EDGE_KEYS = Object.freeze(
  DECLARED.filter(({ name, isSecret }) => !isSecret && !FREE_ENTRY.test(name)).map(({ name }) => name),
);
/** Keys of the edge that hold a secret. No flag takes their values. */
export const EDGE_SECRETS = Object.freeze(DECLARED.filter(({ isSecret }) => isSecret).map(({ name }) => name));

/** What this command writes into the bridge's environment by itself. */
export const BRIDGE_WRITTEN = Object.freeze([
  'BRIDGE_KEYS',
  'BRIDGE_EDGE_URL',
  'BRIDGE_REDIS_URL',
  'BRIDGE_CHANNELS',
  'KAFKA_BROKERS',
  'KAFKA_SECURITY_PROTOCOL',
  'KAFKA_SSL_CA',
  'KAFKA_SASL_MECHANISM',
  'KAFKA_SASL_USERNAME',
  'KAFKA_SASL_PASSWORD',
  'KAFKA_SASL_TOKEN_URL',
  'KAFKA_SASL_CLIENT_ID',
  'KAFKA_SASL_CLIENT_SECRET',
  'KAFKA_SASL_SCOPE',
]);
/** The bridge's other settings: those that --set-bridge takes. Of a private key it takes the path only. */
export const BRIDGE_KEYS = Object.freeze([
  'BRIDGE_LISTEN',
  'BRIDGE_ADMIN_LISTEN',
  'BRIDGE_MAX_STREAMS',
  'BRIDGE_REPLICA',
  'BRIDGE_REPLICAS',
  'BRIDGE_TOPIC_PARTITIONS',
  'KAFKA_CLIENT',
  'KAFKA_GROUP_ID',
  'KAFKA_SSL_CERTIFICATE',
  'KAFKA_SSL_KEY',
  'SSL_CERT_FILE',
  'OTEL_EXPORTER_OTLP_ENDPOINT',
  'RUST_LOG',
]);

/** @param {string} pair `KEY=VALUE` */
export const nameIn = (pair) => pair.slice(0, pair.indexOf('='));
/** @param {string} pair */
export const valueIn = (pair) => pair.slice(pair.indexOf('=') + 1);

const PAIR = /^[A-Z][A-Z0-9_]*=[^\p{C}]+$/u;
const EMPTY = /^[A-Z][A-Z0-9_]*=$/;
const PATH = /^(\/[\w.@+-]+)+$/;

/** What is wrong with the pair of --set. The value is never a part of it. @param {string} pair */
export const edgeProblem = (pair) => problemOf(pair, EDGE_KEYS, 'edge', '--set-bridge');
/** What is wrong with the pair of --set-bridge. @param {string} pair */
export const bridgeProblem = (pair) => problemOf(pair, BRIDGE_KEYS, 'bridge', '--set');

/** @param {string} pair @param {readonly string[]} keys @param {string} side @param {string} other */
function problemOf(pair, keys, side, other) {
  if (EMPTY.test(pair)) return `${nameIn(pair)} has no value; --unset ${nameIn(pair)} takes back one of an earlier run`;
  if (!PAIR.test(pair)) return 'must be KEY=VALUE in one line, with a key of docs/configuration.md';
  const name = nameIn(pair);
  // The other names of files may be PEM, too, which is public.
  if (side === 'bridge' && name === 'KAFKA_SSL_KEY' && !PATH.test(valueIn(pair)))
    return `${name}: here it must be the path of a file on the bridge's machine, from / on; the key itself is a secret`;
  if (keys.includes(name)) return undefined;
  if (EDGE_SECRETS.includes(name) || /_(PASSWORD|SECRETS?|KEYS?)$|^BRIDGE_REDIS_URL$/.test(name))
    return `${name}: that is a secret, and flags can be seen by others`;
  if (BRIDGE_WRITTEN.includes(name) || FREE_ENTRY.test(name)) return `${name}: it has a flag of its own, see --help`;
  const isOther = (side === 'edge' ? BRIDGE_KEYS : EDGE_KEYS).includes(name);
  return `${name}: that is no key of the ${side}${isOther ? `, use ${other}` : ''}`;
}

/** Pairs without those of earlier values of the same key. @param {string[]} pairs */
export const latest = (pairs) => [...new Map(pairs.map((pair) => [nameIn(pair), pair])).values()];
