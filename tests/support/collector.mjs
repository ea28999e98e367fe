// An OpenTelemetry collector, as far as a test needs it: it keeps the requests as they come. Ids are raw bytes in
// protobuf, so that they are found without a decoder; kafka-bridge/tests/telemetry decodes.

import { EventEmitter, once } from 'node:events';
import { createServer } from 'node:http';

import { listen } from './listen.mjs';

const WAIT_MS = 20_000;

export class Collector {
  /** @type {Buffer[]} */
  bodies = [];
  origin = '';
  #changed = new EventEmitter();

  static async start() {
    const collector = new Collector();
    collector.origin = `http://127.0.0.1:${await listen(collector.server)}`;
    return collector;
  }

  constructor() {
    this.server = createServer(async (incoming, outgoing) => {
      const chunks = [];
      for await (const chunk of incoming) chunks.push(chunk);
      this.bodies.push(Buffer.concat(chunks));
      this.#changed.emit('change');
      outgoing.writeHead(incoming.url === '/v1/traces' ? 200 : 404).end();
    });
  }

  /** How often an id or a text is in what came so far. @param {string | Buffer} sought */
  count(sought) {
    const all = Buffer.concat(this.bodies);
    let count = 0;
    for (let at = all.indexOf(sought); at >= 0; at = all.indexOf(sought, at + 1)) count += 1;
    return count;
  }

  /** Waits until the predicate holds. @param {string} what @param {() => boolean} holds */
  async until(what, holds) {
    const signal = AbortSignal.timeout(WAIT_MS);
    while (!holds()) {
      await once(this.#changed, 'change', { signal }).catch(() => {
        throw new Error(`${what}: not within ${WAIT_MS / 1000} s; ${this.bodies.length} requests`);
      });
    }
  }

  close() {
    this.server.close();
    this.server.closeAllConnections();
  }
}
