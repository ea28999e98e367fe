// Records in Kafka, by a program that is no bottleneck: at a steady rate, with the time of its writing in each.

import { nanoseconds } from './clock.mjs';
import { startKafkaClient } from './kafka-client.mjs';

/** Records of chats are about as long. */
const PADDING = 'x'.repeat(150);

/** What a peer needs around the data of a record. @typedef {(key: string, data: object) => object} Wrap */

/**
 * Writes records at a steady rate, to the keys in turn.
 * @param {import('./kafka-client.mjs').Where & { keys: readonly string[], run: string, perSecond: number,
 * seconds: number, wrap?: Wrap }} options `run` is in each record, so that those of another run can be told apart
 * @returns {Promise<number>} how many
 */
export async function produce({ keys, run, perSecond, seconds, wrap = (_, data) => data, ...where }) {
  // The program replaces what stands between the @.
  const value = JSON.stringify(wrap('@key@', { text: PADDING, run, at: '@at@' }));
  const rate = ['--per-second', String(perSecond), '--seconds', String(seconds)];
  let written = Number.NaN;
  const writer = await startKafkaClient(where, ['write', ...rate, '--value', value], {
    input: keys.join('\n'),
    onLine: (line) => (written = Number(line)),
  });
  await writer.ended;
  return written;
}

/** The age of a record in milliseconds, if it is of this run. @param {string} text @param {string} run */
export function age(text, run) {
  if (!text.includes(`"run":"${run}"`)) return undefined;
  const at = /"at":(\d+)/.exec(text)?.[1];
  return at === undefined ? undefined : (nanoseconds() - Number(at)) / 1e6;
}

/**
 * The age of each record of a run at a plain consumer of the topic.
 * @param {import('./kafka-client.mjs').Where & { run: string, onAge: (ms: number) => void }} options
 * @returns {Promise<() => void>} what stops it
 */
export async function consume({ run, onAge, ...where }) {
  const { stop } = await startKafkaClient(where, ['read', '--run', run], { onLine: (line) => onAge(Number(line)) });
  return stop;
}
