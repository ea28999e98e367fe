// The whole product on one machine, or any subset of its parts: started in the order they need each other, watched,
// and stopped together.
//
// - port: default and free ports          - process: one part, its log, readiness and end
// - secret: made once per state directory - place: where programs are
// - part/*: one file a part

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { assistantPart } from './part/assistant.mjs';
import { bridgePart } from './part/bridge.mjs';
import { edgePart } from './part/edge.mjs';
import { emulatorsPart } from './part/emulators.mjs';
import { hostPart } from './part/host.mjs';
import { embeddedKafkaPart, kafkaIsInstalled, kafkaPart } from './part/kafka.mjs';
import { PartError } from './process.mjs';
import { secrets } from './secret.mjs';

/** @typedef {'kafka' | 'emulators' | 'edge' | 'bridge' | 'assistant' | 'host'} PartName */

/** @type {readonly PartName[]} */
export const PARTS = Object.freeze(['kafka', 'emulators', 'edge', 'bridge', 'assistant', 'host']);

/** Parts that cannot get ready before another is. @type {Partial<Record<PartName, PartName[]>>} */
const AFTER = { bridge: ['kafka', 'edge'], assistant: ['kafka'] };

export class Stack {
  #stopped = false;
  #locked = false;

  /**
   * @param {object} options
   * @param {string} options.state directory of everything the stack keeps
   * @param {import('./port.mjs').Ports} options.ports
   * @param {readonly PartName[]} [options.only] the parts to start
   * @param {string | undefined} [options.brokers] of a Kafka that runs already
   * @param {Record<string, string | undefined>} [options.edgeVariables] on top of the stack's own; undefined removes
   * @param {Record<string, string>} [options.bridgeVariables] on top of the stack's own
   */
  constructor({ state, ports, only = PARTS, brokers = process.env.KAFKA_BROKERS, edgeVariables = {}, bridgeVariables = {} }) {
    mkdirSync(state, { recursive: true, mode: 0o700 });
    this.state = state;
    this.ports = ports;
    this.secrets = secrets(state);
    this.edgeOrigin = `http://localhost:${ports.edge}`;
    this.hostOrigin = `http://localhost:${ports.host}`;
    this.brokers = brokers || `127.0.0.1:${ports.kafka}`;
    const kafka = (kafkaIsInstalled() ? kafkaPart : embeddedKafkaPart)({ state, port: ports.kafka });
    const common = { state, ports, secrets: this.secrets, edgeOrigin: this.edgeOrigin, brokers: this.brokers };
    /** @type {Record<PartName, import('./process.mjs').Part>} */
    this.parts = {
      kafka,
      emulators: emulatorsPart(common),
      edge: edgePart({ ...common, variables: edgeVariables }),
      bridge: bridgePart({ ...common, variables: bridgeVariables }),
      assistant: assistantPart(common),
      host: hostPart(common),
    };
    this.only = only.filter((name) => !(name === 'kafka' && brokers));
  }

  /**
   * Starts what was asked for; side by side where nothing forbids it. If one fails, all stop.
   * @param {(name: PartName, milliseconds: number) => void} [onReady]
   */
  async start(onReady = () => {}) {
    const begun = Date.now();
    this.#stopped = false;
    this.#lock();
    /** @type {Map<PartName, Promise<void>>} */
    const started = new Map();
    const start = (/** @type {PartName} */ name) => {
      const before = (AFTER[name] ?? []).filter((other) => this.only.includes(other));
      const promise = Promise.all(before.map((other) => started.get(other)))
        .then(() => (this.#stopped ? Promise.reject(new Error('stopped')) : this.parts[name].start()))
        .then(() => onReady(name, Date.now() - begun));
      started.set(name, promise);
    };
    // PARTS is in an order in which each comes after those it needs.
    for (const name of PARTS) if (this.only.includes(name)) start(name);
    try {
      await Promise.all(started.values());
    } catch (error) {
      await this.stop();
      // One that was waiting for another may have begun just then.
      await Promise.allSettled(started.values());
      throw error;
    }
  }

  /** Stops everything, consumers before what they consume. */
  async stop() {
    this.#stopped = true;
    const { kafka, ...others } = this.parts;
    await Promise.all(Object.values(others).map((part) => part.stop()));
    await kafka.stop();
    if (this.#locked) rmSync(this.#lockFile, { force: true });
    this.#locked = false;
  }

  get #lockFile() {
    return join(this.state, 'owner.pid');
  }

  /** Two stacks on one state directory would write into each other's databases. */
  #lock() {
    const owner = existsSync(this.#lockFile) ? readFileSync(this.#lockFile, 'utf8') : '';
    if (owner && existsSync(`/proc/${owner}`) && owner !== String(process.pid)) {
      throw new PartError(`The state directory ${this.state} is in use by process ${owner}. Stop that, or choose another directory.`);
    }
    writeFileSync(this.#lockFile, String(process.pid));
    this.#locked = true;
  }
}
