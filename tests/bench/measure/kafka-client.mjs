// The program that writes to Kafka and reads from it: tests/bench/producer.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { cargoProgram } from '../../../scripts/stack/path.mjs';
import { nanoseconds } from './clock.mjs';

export const KAFKA_CLIENT = 'causeway-bench-producer';

/** @typedef {{ brokers: string, topic: string }} Where */

/**
 * Starts it, and returns once it is connected.
 * @param {Where} where @param {readonly string[]} command
 * @param {{ input?: string, onLine: (line: string) => void }} options `input` is all of its standard input; without it
 * that stays open
 * @returns {Promise<{ stop: () => void, ended: Promise<void> }>} `stop` ends its standard input
 */
export async function startKafkaClient({ brokers, topic }, command, { input, onLine }) {
  const before = nanoseconds();
  const child = spawn(cargoProgram(KAFKA_CLIENT), ['--broker', brokers, '--topic', topic, ...command], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close').then(([code]) => {
    if (code !== 0) throw new Error(`${KAFKA_CLIENT} ${command[0]} ended with ${code}`);
  });
  // The caller that awaits it gets the error.
  ended.catch(() => {});
  if (input !== undefined) child.stdin.end(input);
  /** @type {string} */
  const first = await new Promise((resolve, reject) => {
    ended.then(() => resolve(''), reject);
    let isFirst = true;
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (isFirst) resolve(line);
      else onLine(line);
      isFirst = false;
    });
  });
  const at = Number(/^ready (\d+)$/.exec(first)?.[1]);
  if (!(before <= at && at <= nanoseconds()))
    throw new Error(`${KAFKA_CLIENT} says '${first}': it reads another clock than this process`);
  return { stop: () => void child.stdin.end(), ended };
}
