// An upstream API that records its requests and answers as a case tells it to.

import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

import { listen } from '../support/listen.mjs';
import { json, read } from './provider/recorded.mjs';

/** @typedef {import('./provider/recorded.mjs').Recorded} Recorded */
/** @typedef {import('./provider/recorded.mjs').Reply} Reply */

export class UpstreamStub {
  /** @type {Recorded[]} */
  seen = [];
  /**
   * @type {((request: Recorded, outgoing: import('node:http').ServerResponse) => Reply | undefined | Promise<Reply |
   * undefined>) | undefined} a case's own answer; without a reply, it writes to `outgoing` itself
   */
  answer = undefined;
  /** @type {((request: Recorded) => Reply | undefined) | undefined} the answer if no case sets its own */
  defaultHandler = undefined;
  origin = '';

  /** @param {number} [port] */
  static async start(port = 0) {
    const stub = new UpstreamStub();
    stub.origin = `http://localhost:${await listen(stub.server, port)}`;
    return stub;
  }

  server = createServer(async (incoming, outgoing) => {
    try {
      const request = await read(incoming);
      this.seen.push(request);
      const reply = this.answer
        ? await this.answer(request, outgoing)
        : (this.defaultHandler?.(request) ?? json({ path: request.path, method: request.method }));
      if (!reply) return;
      if (reply.afterMs) await delay(reply.afterMs);
      if (reply.lost) return void incoming.socket.destroy();
      outgoing.writeHead(reply.status ?? 200, reply.headers).end(reply.body);
    } catch {
      incoming.socket.destroy();
    }
  });

  /** The bearer token of each request so far. */
  tokens() {
    return this.seen.map(({ headers }) => headers.authorization?.match(/^(?:Bearer|token|DPoP) (.+)$/i)?.[1] ?? '');
  }

  reset() {
    this.answer = undefined;
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
