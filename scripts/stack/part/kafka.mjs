// Kafka: the broker that scripts/kafka runs, or the embedded broker on a machine without Java.

import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { CACHE, ROOT, cargoProgram } from '../path.mjs';
import { Part } from '../process.mjs';

const run = promisify(execFile);

/** A value from scripts/env. @param {string} name @returns {string} */
function pinned(name) {
  const line = readFileSync(join(ROOT, 'scripts/env'), 'utf8').match(new RegExp(`^${name}=(?:'([^']*)'|(\\S+))`, 'm'));
  if (!line) throw new Error(`scripts/env does not set ${name}`);
  return line[1] ?? line[2] ?? '';
}

/** Whether scripts/setup has fetched Kafka's jars. */
export function kafkaIsInstalled() {
  return existsSync(join(CACHE, `kafka-${pinned('kafka_version')}`, 'libs/.complete'));
}

/** @param {{ state: string, port: number, more?: readonly string[] }} options more: arguments for scripts/kafka */
export function kafkaPart({ state, port, more = [] }) {
  const script = join(ROOT, 'scripts/kafka');
  const where = ['--port', String(port), '--data', join(state, 'kafka')];
  return new Part({
    name: 'kafka',
    state,
    command: [script, 'run', ...where, ...more],
    ports: [port],
    ready: async () => (await run('kcat', ['-b', `127.0.0.1:${port}`, '-L', '-m', '1'])).stdout.includes('1 brokers'),
    afterReady: async () => void (await run(script, ['topics', ...where])),
    hint: 'remove the state directory if it is from another version; give KAFKA_BROKERS to use a cluster of your own.',
  });
}

/** @param {{ state: string, port: number }} options It keeps records in memory only. */
export function embeddedKafkaPart({ state, port }) {
  const part = new Part({
    name: 'kafka',
    state,
    command: [cargoProgram('causeway-embedded-broker'), '--port', String(port), ...pinned('kafka_topics').split(' ')],
    ports: [port],
    ready: async () => /^bootstrap /m.test(part.output()),
    hint: 'build it with: cargo build -p causeway-embedded-broker',
  });
  return part;
}
