// The whole product on one machine, or any subset of its parts: started in the order they need each other, watched,
// and stopped together.
//
// - target: what a stack of each runtime has - port: free ports, and who holds a taken one
// - secret: made once per state directory    - place: where programs are
// - part/*: one file a part                  - process: one part, its log, readiness and end

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { assistantPart } from './part/assistant.mjs';
import { bridgePart } from './part/bridge.mjs';
import { edgePart } from './part/edge.mjs';
import { emulatorsPart } from './part/emulators.mjs';
import { hostPart } from './part/host.mjs';
import { embeddedKafkaPart, kafkaIsInstalled, kafkaPart } from './part/kafka.mjs';
import { redisPart } from './part/redis.mjs';
import { PartError } from './process.mjs';
import { secrets } from './secret.mjs';
import { TARGETS } from './target.mjs';

/** @typedef {import('./target.mjs').PartName} PartName */

export class Stack {
  #stopped = false;
  #locked = false;

  /**
   * @param {object} options
   * @param {import('./target.mjs').Target} options.target
   * @param {string} options.state directory of everything the stack keeps
   * @param {import('./target.mjs').Ports} options.ports
   * @param {readonly PartName[]} [options.only] the parts to start
   * @param {string | undefined} [options.brokers] of a Kafka that runs already
   * @param {Record<string, string | undefined>} [options.edgeVariables] on top of the stack's own; undefined removes
   * @param {boolean} [options.quietEdge] it does not log each request
   * @param {readonly import('./part/emulators.mjs').User[]} [options.users] who can sign in
   * @param {Record<string, string>} [options.bridgeVariables] on top of the stack's own
   */
  constructor({
    target,
    state,
    ports,
    only = TARGETS[target].parts,
    brokers = process.env.KAFKA_BROKERS,
    edgeVariables = {},
    bridgeVariables = {},
    quietEdge = false,
    users,
  }) {
    mkdirSync(state, { recursive: true, mode: 0o700 });
    if (ports.entra !== ports.github + 1)
      throw new PartError(
        `The emulators take adjacent ports: Entra's must be ${ports.github + 1}, the one after GitHub's, not ${ports.entra}.`,
      );
    this.target = target;
    this.state = state;
    this.ports = ports;
    this.secrets = secrets(state);
    this.edgeOrigin = `http://localhost:${ports.edge}`;
    this.hostOrigin = `http://localhost:${ports.host}`;
    this.brokers = brokers || `127.0.0.1:${ports.kafka}`;
    const kafka = (kafkaIsInstalled() ? kafkaPart : embeddedKafkaPart)({ state, port: ports.kafka });
    const common = { target, state, ports, secrets: this.secrets, edgeOrigin: this.edgeOrigin, brokers: this.brokers };
    /** @type {Record<PartName, import('./process.mjs').Part>} */
    this.parts = {
      kafka,
      redis: redisPart({ state, port: ports.redis, secrets: this.secrets }),
      emulators: emulatorsPart({ ...common, ...(users && { users }) }),
      edge: edgePart({ ...common, variables: edgeVariables, quiet: quietEdge }),
      bridge: bridgePart({ ...common, variables: bridgeVariables }),
      assistant: assistantPart(common),
      host: hostPart(common),
    };
    this.only = TARGETS[target].parts.filter((name) => only.includes(name) && !(name === 'kafka' && brokers));
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
      const before = (TARGETS[this.target].after[name] ?? []).filter((other) => this.only.includes(other));
      const promise = Promise.all(before.map((other) => started.get(other)))
        .then(() => (this.#stopped ? Promise.reject(new Error('stopped')) : this.parts[name].start()))
        .then(() => onReady(name, Date.now() - begun));
      started.set(name, promise);
    };
    for (const name of this.only) start(name);
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
    const { kafka, redis, ...others } = this.parts;
    await Promise.all(Object.values(others).map((part) => part.stop()));
    await Promise.all([kafka.stop(), redis.stop()]);
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
      throw new PartError(
        `The state directory ${this.state} is in use by process ${owner}. Stop that, or choose another directory.`,
      );
    }
    writeFileSync(this.#lockFile, String(process.pid));
    this.#locked = true;
  }
}
