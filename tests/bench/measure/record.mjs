// Records in Kafka by kcat, which is librdkafka's own command: a producer and a consumer that are no bottleneck. Each
// record carries the time of its writing, by the clock of this process, which also reads it at the other end.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

const TICK_MS = 1;
/** Keys hold none, and neither do the records. */
const DELIMITER = '|';
/** Records of chats are about as long. */
const PADDING = 'x'.repeat(150);
// Kafka's Java client partitions so, and the bridge does.
const PRODUCER = ['-X', 'partitioner=murmur2_random', '-X', 'acks=all', '-X', 'linger.ms=0'];

/** What a peer needs around the data of a record. @typedef {(key: string, data: object) => object} Wrap */

/**
 * Writes records at a steady rate, to the keys in turn.
 * @param {{ brokers: string, topic: string, keys: readonly string[], run: string, perSecond: number,
 * seconds: number, wrap?: Wrap }} options `run` is in each record, so that those of another run can be told apart
 * @returns {Promise<number>} how many
 */
export async function produce({ brokers, topic, keys, run, perSecond, seconds, wrap = (_, data) => data }) {
  const kcat = spawn('kcat', ['-P', '-b', brokers, '-t', topic, '-K', DELIMITER, ...PRODUCER], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const closed = once(kcat, 'close');
  // It connects before the first record.
  await delay(500);
  const began = performance.now();
  let written = 0;
  while (performance.now() - began < seconds * 1000) {
    const due = Math.floor(((performance.now() - began) / 1000) * perSecond);
    for (; written < due; written++) {
      const key = keys[written % keys.length] ?? '';
      const value = JSON.stringify(wrap(key, { text: PADDING, run, at: performance.now() }));
      kcat.stdin.write(`${key}${DELIMITER}${value}\n`);
    }
    await delay(TICK_MS);
  }
  kcat.stdin.end();
  const [code] = await closed;
  if (code !== 0) throw new Error(`kcat ended with ${code}`);
  return written;
}

/** The age of a record in milliseconds, if it is of this run. @param {string} text @param {string} run */
export function age(text, run) {
  if (!text.includes(`"run":"${run}"`)) return undefined;
  const at = /"at":([\d.]+)/.exec(text)?.[1];
  return at === undefined ? undefined : performance.now() - Number(at);
}

/**
 * A consumer of a whole topic, from its end.
 * @param {{ brokers: string, topic: string, onRecord: (text: string) => void }} options
 */
export async function consume({ brokers, topic, onRecord }) {
  const wait = ['-X', 'fetch.wait.max.ms=100'];
  const kcat = spawn('kcat', ['-C', '-b', brokers, '-t', topic, '-o', 'end', '-q', '-u', ...wait], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  createInterface({ input: kcat.stdout }).on('line', onRecord);
  // It finds the ends of the partitions before records are written.
  await delay(1_500);
  return () => void kcat.kill();
}
