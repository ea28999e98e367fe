// What a row has started, and where it keeps its files. Everything ends with the row.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { embeddedKafkaPart, kafkaIsInstalled, kafkaPart } from '../../scripts/stack/part/kafka.mjs';
import { Part } from '../../scripts/stack/process.mjs';
import { Stack } from '../../scripts/stack/stack.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';

/** @typedef {import('../../scripts/stack/target.mjs').Target} Target */
/** @typedef {import('../../scripts/stack/target.mjs').Ports} Ports */

export class Scope {
  /** @type {(() => unknown)[]} */
  #endings = [];
  #stacks = 0;
  /** @type {Map<string, Part>} */
  #parts = new Map();

  /**
   * @param {string} raw directory of the raw output @param {(text: string) => void} log
   * @param {{ contestants: readonly string[], cases: readonly string[] }} [filter] parts of the names of what is asked
   * for; all if there are none
   */
  constructor(raw, log, filter = { contestants: [], cases: [] }) {
    this.raw = raw;
    this.log = log;
    this.filter = filter;
    this.state = mkdtempSync(join(tmpdir(), 'causeway-bench-'));
    mkdirSync(raw, { recursive: true });
    process.once('exit', () => rmSync(this.state, { recursive: true, force: true }));
  }

  /** Whether a contestant is asked for. A row need not start others. @param {string} name */
  wants(name) {
    return isAskedFor(name, this.filter.contestants);
  }

  /** Whether a case is asked for. @param {string} name */
  wantsCase(name) {
    return isAskedFor(name, this.filter.cases);
  }

  /** Keeps raw output. @param {string} name @param {string} text */
  keep(name, text) {
    writeFileSync(join(this.raw, name), text);
  }

  /** @param {() => unknown} ending runs when the row ends */
  onEnd(ending) {
    this.#endings.push(ending);
  }

  /** A port that nothing else in this row gets. */
  async port() {
    return (await freePorts()).edge;
  }

  /**
   * Starts a program. @param {Omit<import('../../scripts/stack/process.mjs').PartOptions, 'state'>} options
   */
  async start(options) {
    const part = new Part({ state: this.state, ...options });
    this.onEnd(() => part.stop());
    this.#parts.set(options.name, part);
    await part.start();
    this.log(`${options.name} is ready`);
    return part;
  }

  /** A program that was started. @param {string} name */
  part(name) {
    const part = this.#parts.get(name);
    if (!part) throw new Error(`${name} was not started`);
    return part;
  }

  /** A Kafka of its own, with the product's topics. @returns {Promise<string>} its address */
  async kafka() {
    const port = await this.port();
    const part = (kafkaIsInstalled() ? kafkaPart : embeddedKafkaPart)({
      state: join(this.state, `kafka-${port}`),
      port,
    });
    this.onEnd(() => part.stop());
    await part.start();
    return `127.0.0.1:${port}`;
  }

  /**
   * Starts the product. On Workers, the edge runs without wrangler.
   * @param {Target} target
   * @param {Partial<ConstructorParameters<typeof Stack>[0]> & {
   * variables?: (ports: Ports) => Record<string, string> }} [options]
   */
  async stack(target, { variables, ...options } = {}) {
    const ports = await freePorts();
    const stack = new Stack({
      target,
      state: join(this.state, `${target}-${++this.#stacks}`),
      ports,
      only: ['redis', 'emulators', 'edge'],
      brokers: '',
      bareEdge: true,
      quietEdge: true,
      ...(variables && { edgeVariables: variables(ports) }),
      ...options,
    });
    this.onEnd(() => stack.stop());
    await stack.start((name) => this.log(`${target}: ${name} is ready`));
    return stack;
  }

  async end() {
    for (const ending of this.#endings.splice(0).reverse()) await ending();
    rmSync(this.state, { recursive: true, force: true });
  }
}

/** @param {string} name @param {readonly string[]} parts */
const isAskedFor = (name, parts) =>
  !parts.length || parts.some((part) => name.toLowerCase().includes(part.toLowerCase()));
