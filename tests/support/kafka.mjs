// Kafka through kcat, a client that shares no code with the product. Records that are read are compared with
// docs/asyncapi.yaml.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

import { assertRecord } from './asyncapi.mjs';
import { externalBrokers } from './stack.mjs';

const run = promisify(execFile);

// The partitioner of Java's client, which the product promises to match.
const PRODUCER = ['-X', 'partitioner=murmur2_random', '-X', 'acks=all', '-X', 'linger.ms=0'];

/** @typedef {Record<string, string | string[]>} Headers */
/**
 * @typedef {{ key: string, headers: Record<string, string>, value: string, partition: number, offset: number }}
 * KafkaRecord
 */

export class Kafka {
  /** @param {string} brokers */
  constructor(brokers) {
    this.brokers = brokers;
  }

  /**
   * Writes one record. A header with several values is written several times.
   * @param {{ topic?: string, key: string, value: unknown, headers?: Headers }} record
   */
  async write({ topic = 'chat.outbound', key, value, headers = {} }) {
    const writer = new Writer(this.brokers, topic, key, headers);
    writer.write(value);
    await writer.end();
  }

  /**
   * A producer that stays open and writes records of one key.
   * @param {{ topic?: string, key: string, headers?: Headers }} where
   */
  writer({ topic = 'chat.outbound', key, headers = {} }) {
    return new Writer(this.brokers, topic, key, headers);
  }

  /** Reads all records of a topic. @param {string} topic @returns {Promise<KafkaRecord[]>} */
  async read(topic) {
    const args = [
      '-C',
      '-b',
      this.brokers,
      '-t',
      topic,
      '-o',
      'beginning',
      '-e',
      '-q',
      '-J',
      '-X',
      'fetch.wait.max.ms=50',
    ];
    const { stdout } = await run('kcat', args, { maxBuffer: 256 * 1024 * 1024 });
    const records = stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => {
        const { key, headers = [], payload, partition, offset } = JSON.parse(line);
        return { key, headers: pairs(headers), value: payload, partition, offset };
      });
    // Others may write anything to theirs.
    if (!externalBrokers) for (const record of records) assertRecord(topic, record);
    return records;
  }
}

class Writer {
  /** @param {string} brokers @param {string} topic @param {string} key @param {Headers} headers */
  constructor(brokers, topic, key, headers) {
    const headerArgs = Object.entries(headers).flatMap(([name, values]) =>
      [values].flat().flatMap((value) => ['-H', `${name}=${value}`]),
    );
    this.child = spawn('kcat', ['-P', '-b', brokers, '-t', topic, '-k', key, ...PRODUCER, ...headerArgs], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    this.failure = '';
    this.child.stderr.setEncoding('utf8').on('data', (text) => (this.failure += text));
  }

  /** @param {unknown} value written as JSON */
  write(value) {
    this.child.stdin.write(`${JSON.stringify(value)}\n`);
  }

  kill() {
    this.child.kill('SIGKILL');
  }

  /** Returns once Kafka has acknowledged every record. */
  async end() {
    this.child.stdin.end();
    const [code] = await once(this.child, 'close');
    if (code !== 0) throw new Error(`kcat ended with ${code}: ${this.failure}`);
  }
}

/** kcat prints headers as a flat list: name, value, name, value. @param {string[]} flat */
function pairs(flat) {
  /** @type {Record<string, string>} */
  const headers = {};
  for (let index = 0; index < flat.length; index += 2) headers[flat[index] ?? ''] = flat[index + 1] ?? '';
  return headers;
}
