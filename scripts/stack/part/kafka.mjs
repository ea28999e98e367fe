// Kafka: the broker that scripts/kafka runs or, on a machine without Java, the embedded stand-in.

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { CACHE, ROOT, cargoProgram } from '../place.mjs';
import { Part } from '../process.mjs';

const run = promisify(execFile);

/** Whether scripts/setup could fetch Kafka's jars. */
export function kafkaIsInstalled() {
  const version = readFileSync(join(ROOT, 'scripts/env'), 'utf8').match(/^kafka_version=(\S+)/m)?.[1];
  return existsSync(join(CACHE, `kafka-${version}`, 'libs/.complete'));
}

/** @param {{ state: string, port: number }} options */
export function kafkaPart({ state, port }) {
  const script = join(ROOT, 'scripts/kafka');
  const where = ['--port', String(port), '--data', join(state, 'kafka')];
  return new Part({
    name: 'kafka',
    state,
    command: [script, 'run', ...where],
    ports: [port],
    ready: async () => (await run('kcat', ['-b', `127.0.0.1:${port}`, '-L', '-m', '1'])).stdout.includes('1 brokers'),
    afterReady: async () => void (await run(script, ['topics', ...where])),
    hint: 'remove the state directory if it is from another version; give KAFKA_BROKERS to use a cluster of your own.',
  });
}

/** @param {{ state: string }} options The port is its own choice: ask {@link embeddedBootstrap}. */
export function embeddedKafkaPart({ state }) {
  const part = new Part({
    name: 'kafka',
    state,
    command: [cargoProgram('causeway-embedded-broker')],
    ready: async () => embeddedBootstrap(part) !== undefined,
    hint: 'build it with: cargo build -p causeway-embedded-broker',
  });
  return part;
}

/** Its address, once it printed it. @param {Part} part @returns {string | undefined} */
export function embeddedBootstrap(part) {
  return readFileSync(part.log, 'utf8').match(/^bootstrap (\S+)$/gm)?.pop()?.split(' ')[1];
}
