// Files for Kubernetes: the edge on Spin as a SpinApp, values for the bridge's Helm chart, and a Secret for each.

import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { text } from './answer.mjs';
import { comment } from './format.mjs';
import { BRIDGE_KEYS } from './key.mjs';
import { isSpin } from './setting.mjs';

/** @typedef {import('./answer.mjs').Answers} Answers */
/** @typedef {Record<string, string>} Texts */

const ROOT = resolve(import.meta.dirname, '../..');
/** The Secrets' names: as the chart's values and the SpinApp have them. */
const BRIDGE = 'kafka-bridge';
const EDGE = 'causeway';

/** What the chart sets by itself, from the number of instances and its ports. */
const OF_CHART = Object.freeze(['BRIDGE_LISTEN', 'BRIDGE_ADMIN_LISTEN', 'BRIDGE_REPLICA', 'BRIDGE_REPLICAS']);
/** The chart's values by setting: path and kind. */
const VALUES = Object.freeze({
  BRIDGE_EDGE_URL: ['edgeUrl'],
  BRIDGE_TOPIC_PARTITIONS: ['topicPartitions', 'number'],
  BRIDGE_MAX_STREAMS: ['maxStreams', 'number'],
  RUST_LOG: ['logLevel'],
  KAFKA_BROKERS: ['kafka.brokers'],
  KAFKA_SECURITY_PROTOCOL: ['kafka.securityProtocol'],
  KAFKA_SASL_MECHANISM: ['kafka.saslMechanism'],
  KAFKA_SASL_USERNAME: ['kafka.saslUsername'],
  KAFKA_SASL_TOKEN_URL: ['kafka.saslTokenUrl'],
  KAFKA_SASL_CLIENT_ID: ['kafka.saslClientId'],
  KAFKA_SASL_SCOPE: ['kafka.saslScope'],
});
/** Settings that name a file on a machine. */
const FILE = /^KAFKA_SSL_|^SSL_CERT_FILE$/;
/** What an operator has added may be a secret, and channels may have keys of signatures. @param {string} name */
const isSecret = (name) => !(name in VALUES) && !BRIDGE_KEYS.includes(name) && !FILE.test(name);

/**
 * @typedef {object} Settings
 * @property {Texts} variables of the edge
 * @property {Texts} secrets of the edge
 * @property {Texts} settings of the bridge
 */

/** @param {Answers} answers @param {Settings} of @param {string} out @returns {Texts} texts by file name */
export function kubernetesFiles(answers, { variables, secrets, settings }, out) {
  const ofBridge = Object.entries(settings).filter(([name]) => isSecret(name));
  return {
    'bridge-values.yaml': bridgeValues(answers, settings, out),
    'bridge-secret.yaml': secretOf(BRIDGE, Object.fromEntries(ofBridge), out, 'bridge-secret.yaml'),
    ...(isSpin(answers) && {
      'spinapp.yaml': spinApp(variables, secrets, out),
      'edge-secret.yaml': secretOf(EDGE, lowerCase(secrets), out, 'edge-secret.yaml'),
    }),
  };
}

/**
 * Strings of JSON are strings of YAML.
 * @param {string} name @param {Texts} values @param {string} out @param {string} file
 */
function secretOf(name, values, out, file) {
  return lines(
    comment('SECRET: it holds keys. It takes effect when the pods restart.', '', `  kubectl apply -f ${out}/${file}`),
    ['apiVersion: v1', 'kind: Secret', 'metadata:', `  name: ${name}`, 'type: Opaque', 'stringData:'],
    Object.entries(values).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`),
  );
}

/** @param {Answers} answers @param {Texts} settings @param {string} out */
function bridgeValues(answers, settings, out) {
  /** @type {Record<string, string[]>} */
  const nested = {};
  const top = [`existingSecret: ${BRIDGE}`];
  const extra = [];
  const files = [];
  for (const [name, value] of Object.entries(settings)) {
    if (isSecret(name) || OF_CHART.includes(name)) continue;
    const [path, kind] = VALUES[/** @type {keyof typeof VALUES} */ (name)] ?? [];
    const [first = '', second] = path?.split('.') ?? [];
    const line = `${second ?? first}: ${kind === 'number' && /^\d+$/.test(value) ? value : JSON.stringify(value)}`;
    if (FILE.test(name)) files.push(name);
    else if (!path) extra.push(`  ${name}: ${JSON.stringify(value)}`);
    else if (second) (nested[first] ??= []).push(`  ${line}`);
    else top.push(line);
  }
  const host = new URL(text(answers.values, 'bridge-url') ?? 'https://bridge.invalid').hostname;
  return lines(
    comment(
      "Values for the bridge's chart. Nothing here is secret. Your registry is not in it:",
      '',
      `  kubectl apply -f ${out}/bridge-secret.yaml`,
      `  helm upgrade --install bridge examples/deploy/helm/kafka-bridge -f ${out}/bridge-values.yaml \\`,
      '    --set image.repository=registry.example.com/kafka-bridge',
      ...(files.length
        ? [
            '',
            `Left out, because pods do not have these files: ${files.join(', ')}.`,
            "The chart mounts an authority's certificate by caSecret. The bridge's own certificate and key can be in",
            'its Secret, as PEM.',
          ]
        : []),
    ),
    top,
    Object.entries(nested).flatMap(([name, values]) => [`${name}:`, ...values]),
    extra.length ? ['extraEnv:', ...extra] : [],
    comment('Your TLS certificate must be in the Secret bridge-tls.'),
    ['ingress:', '  enabled: true', `  host: ${JSON.stringify(host)}`],
  );
}

/**
 * The example with these variables in place of its own.
 * @param {Texts} variables @param {Texts} secrets @param {string} out
 */
function spinApp(variables, secrets, out) {
  const example = readFileSync(join(ROOT, 'examples/deploy/spinkube/spinapp.yaml'), 'utf8');
  const [, head = ''] = /^(apiVersion: [^]*?\n {2}variables:\n)/m.exec(example) ?? [];
  return lines(
    comment(
      "The edge on SpinKube. Its node's shim must have Spin 4.1 or newer (docs/platforms.md). Nothing here is secret.",
      'Put your registry into `image`. Behind an ingress set its header by --set CLIENT_ADDRESS_HEADER=X-Real-IP.',
      '',
      '  spin build && spin registry push ghcr.io/your-organisation/causeway:0.1.0',
      `  kubectl apply -f ${out}/edge-secret.yaml -f ${out}/spinapp.yaml`,
    ),
    [head.trimEnd()],
    Object.entries(lowerCase(variables)).flatMap(([name, value]) => [
      `    - name: ${name}`,
      `      value: ${JSON.stringify(value)}`,
    ]),
    Object.keys(lowerCase(secrets)).flatMap((name) => [
      `    - name: ${name}`,
      `      valueFrom: { secretKeyRef: { name: ${EDGE}, key: ${name} } }`,
    ]),
  );
}

/** Spin's names. @param {Texts} values @returns {Texts} */
const lowerCase = (values) =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [name.toLowerCase(), value]));

/** @param {string[][]} parts */
const lines = (...parts) => `${parts.flat().join('\n')}\n`;
