// Kafka, the bridge and its Redis, with two channels for each language: one that demands signatures, and one that does
// not. The channels' topics have a number of partitions by which partitioners differ. Kafka has a listener with TLS and
// passwords, too.

import { mkdtempSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { freePorts } from '../../scripts/stack/port.mjs';
import { Stack } from '../../scripts/stack/stack.mjs';
import { afterAll } from '../support/after-all.mjs';
import { Kafka } from '../support/kafka.mjs';
import { Edge } from './edge.mjs';
import { languages } from './language.mjs';
import { secureListener } from './secure-listener.mjs';

const secret = randomBytes(32).toString('base64url');
/** As the backends read it. */
export const signingKey = `k1:${secret}`;
export const state = process.env.CAUSEWAY_TEST_STATE || mkdtempSync(join(tmpdir(), 'causeway-test-'));

const ports = await freePorts();
// Of parts that are not started here.
const listener = secureListener({ state, plain: ports.kafka, secure: ports.host, controller: ports.edge });
const stack = new Stack({
  target: 'spin',
  state,
  ports,
  only: ['kafka', 'redis', 'bridge'],
  brokers: '',
  kafkaArguments: listener.kafkaArguments,
  bridgeVariables: { BRIDGE_CHANNELS: JSON.stringify(languages.flatMap(channels)), BRIDGE_TOPIC_PARTITIONS: '3' },
});
console.log(`# stack in ${state}`);
await stack.start((name, milliseconds) => console.log(`#   ${name} ready after ${milliseconds} ms`));
afterAll(() => stack.stop());
// Only at the exit is it known whether a test failed.
process.on('exit', (code) => {
  if (code === 0 && !process.env.CAUSEWAY_TEST_STATE) rmSync(state, { recursive: true, force: true });
});

export const { brokers } = stack;
/** How an example connects by TLS and a password. */
export const secure = listener.variables;
export const kafka = new Kafka(brokers);
export const edge = new Edge(`http://127.0.0.1:${ports.bridge}`, stack.secrets.bridgeKeys);

/** @param {string} language */
function channels(language) {
  const signature = { algorithm: 'hmac-sha256', keys: { k1: secret } };
  const topics = (/** @type {string} */ name) => ({ name, inbound: `${name}.inbound`, outbound: `${name}.outbound` });
  return [{ ...topics(language), signature }, topics(`${language}-open`)];
}
