// A listener of Kafka with TLS and passwords, as a cluster has one for clients from elsewhere.

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const USER = 'backend';
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/**
 * @param {{ state: string, plain: number, secure: number, controller: number }} options ports, and where files are kept
 * @returns {{ kafkaArguments: string[], variables: Record<string, string> }} for scripts/kafka, and for an example
 */
export function secureListener({ state, plain, secure, controller }) {
  const folder = join(state, 'tls');
  mkdirSync(folder, { recursive: true });
  certificates(folder);
  const password = randomBytes(12).toString('base64url');
  const properties = join(folder, 'kafka.properties');
  const local = `127.0.0.1:${controller}`;
  writeFileSync(
    properties,
    `listeners=PLAINTEXT://127.0.0.1:${plain},SASL_SSL://127.0.0.1:${secure},CONTROLLER://${local}
advertised.listeners=PLAINTEXT://127.0.0.1:${plain},SASL_SSL://localhost:${secure}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
controller.quorum.voters=1@${local}
ssl.keystore.type=PEM
ssl.keystore.location=${join(folder, 'broker.store')}
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
  org.apache.kafka.common.security.scram.ScramLoginModule required;
`,
  );
  return {
    kafkaArguments: ['--properties', properties, '--user', `${USER}:${password}`],
    variables: {
      KAFKA_BROKERS: `localhost:${secure}`,
      KAFKA_SASL_USERNAME: USER,
      KAFKA_SASL_PASSWORD: password,
      KAFKA_SSL_CA: join(folder, 'ca.pem'),
    },
  };
}

/** An authority, and a broker's certificate that it has signed. @param {string} cwd */
function certificates(cwd) {
  const openssl = (/** @type {string[]} */ ...words) => execFileSync('openssl', words, { cwd, stdio: 'pipe' });
  openssl('req', ...NEW_KEY, '-x509', '-days', '2', '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=authority');
  openssl('req', ...NEW_KEY, '-keyout', 'broker.key', '-out', 'broker.csr', '-subj', '/CN=broker');
  writeFileSync(join(cwd, 'names'), 'subjectAltName=DNS:localhost\n');
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'names', '-out', 'broker.pem'];
  openssl('x509', '-req', '-days', '2', '-in', 'broker.csr', ...signed);
  const [key, certificate] = ['broker.key', 'broker.pem'].map((name) => readFileSync(join(cwd, name), 'utf8'));
  writeFileSync(join(cwd, 'broker.store'), `${key}${certificate}`);
}
