// The whole product on one machine, or a subset of its parts. Starts them in the order of their dependencies, watches
// them and stops them together.
//
// - target: the parts of a stack of each runtime - port: free ports, and who holds a taken one
// - secret: created once per state directory    - path: of programs
// - part/*: one file a part                  - process: one part, its log, readiness and end

import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { assistantPart } from './part/assistant.mjs';
import { bridgePart } from './part/bridge.mjs';
import { edgePart } from './part/edge.mjs';
import { emulatorsPart } from './part/emulators.mjs';
import { hostPart } from './part/host.mjs';
import { httpsPart } from './part/https.mjs';
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
   * @param {string} options.state directory of all the stack's files
   * @param {import('./target.mjs').Ports} options.ports
   * @param {readonly PartName[]} [options.only] the parts to start
   * @param {string | undefined} [options.brokers] of a Kafka that is already running
   * @param {readonly string[]} [options.kafkaArguments] further arguments for scripts/kafka
   * @param {Record<string, string | undefined>} [options.edgeVariables] added to the stack's own; undefined removes one
   * @param {boolean} [options.https] browsers reach the edge and the host page by HTTPS
   * @param {boolean} [options.quietEdge] the edge does not log each request
   * @param {boolean} [options.bareEdge] on Workers, the edge runs on workerd without wrangler
   * @param {number} [options.inspectorPort] where a profiler of the bare edge connects
   * @param {boolean} [options.profiledEdge] a profiler finds the names of the edge's functions, on Spin
   * @param {readonly string[]} [options.otherClients] redirect URIs of other programs that users sign in to
   * @param {readonly import('./part/emulators.mjs').User[]} [options.users] who can sign in
   * @param {Record<string, string>} [options.bridgeVariables] added to the stack's own
   */
  constructor({
    target,
    state,
    ports,
    only = TARGETS[target].parts,
    brokers = process.env.KAFKA_BROKERS,
    kafkaArguments = [],
    edgeVariables = {},
    bridgeVariables = {},
    https = false,
    quietEdge = false,
    bareEdge = false,
    inspectorPort,
    profiledEdge = false,
    otherClients = [],
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
    this.edgeOrigin = https ? `https://localhost:${ports.https}` : `http://localhost:${ports.edge}`;
    this.hostOrigin = https ? `https://localhost:${ports['https-host']}` : `http://localhost:${ports.host}`;
    const origins = https ? { PUBLIC_ORIGIN: this.edgeOrigin, HOST_ORIGINS: this.hostOrigin } : {};
    this.brokers = brokers || `127.0.0.1:${ports.kafka}`;
    const kafka = kafkaIsInstalled()
      ? kafkaPart({ state, port: ports.kafka, more: kafkaArguments })
      : embeddedKafkaPart({ state, port: ports.kafka });
    const common = { target, state, ports, secrets: this.secrets, edgeOrigin: this.edgeOrigin, brokers: this.brokers };
    /** @type {Record<PartName, import('./process.mjs').Part>} */
    this.parts = {
      kafka,
      redis: redisPart({ state, port: ports.redis, secrets: this.secrets }),
      emulators: emulatorsPart({ ...common, otherClients, ...(users && { users }) }),
      edge: edgePart({
        ...common,
        variables: { ...origins, ...edgeVariables },
        quiet: quietEdge,
        bare: bareEdge,
        inspectorPort,
        profiled: profiledEdge,
      }),
      bridge: bridgePart({ ...common, variables: bridgeVariables }),
      assistant: assistantPart(common),
      host: hostPart(common),
      https: httpsPart({ state, ports }),
    };
    this.only = TARGETS[target].parts.filter(
      (name) => only.includes(name) && !(name === 'kafka' && brokers) && !(name === 'https' && !https),
    );
  }

  /**
   * Starts the parts, in parallel where their dependencies allow it. If one fails, all stop.
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
      // A part that waited for another may just have started.
      await Promise.allSettled(started.values());
      throw error;
    }
  }

  /** Stops all parts; Kafka and Redis last, as the others use them. */
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

  /** Claims the state directory: two stacks on one would write into each other's databases. */
  #lock() {
    const owner = existsSync(this.#lockFile) ? readFileSync(this.#lockFile, 'utf8') : '';
    if (owner && owner !== String(process.pid) && isRunning(Number(owner))) {
      throw new PartError(
        `The state directory ${this.state} is in use by process ${owner}. Stop that, or choose another directory.`,
      );
    }
    writeFileSync(this.#lockFile, String(process.pid));
    this.#locked = true;
  }
}

/** @param {number} pid */
function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // A process of another user exists as well.
    return /** @type {NodeJS.ErrnoException} */ (error).code === 'EPERM';
  }
}
