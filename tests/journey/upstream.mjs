// Stands between the edge and a provider's API, passes everything on, and remembers what the edge sent.

import { createServer, request } from 'node:http';
import { once } from 'node:events';

/** @typedef {{ method: string, path: string, headers: import('node:http').IncomingHttpHeaders }} Seen */

export class Upstream {
  /** @type {Seen[]} */
  seen = [];

  /** @param {string} target */
  static async start(target) {
    const upstream = new Upstream(target);
    upstream.server.listen(0, '127.0.0.1');
    await once(upstream.server, 'listening');
    const { port } = /** @type {import('node:net').AddressInfo} */ (upstream.server.address());
    upstream.origin = `http://localhost:${port}`;
    return upstream;
  }

  /** @param {string} target */
  constructor(target) {
    this.origin = '';
    this.server = createServer((incoming, outgoing) => {
      this.seen.push({ method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers });
      const passed = request(new URL(incoming.url ?? '/', target), { method: incoming.method, headers: incoming.headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      passed.on('error', () => outgoing.writeHead(502).end());
      incoming.pipe(passed);
    });
  }

  /** Every bearer token the edge has attached so far. */
  tokens() {
    return this.seen.flatMap(({ headers }) => headers.authorization?.match(/^(?:Bearer|token) (.+)$/i)?.[1] ?? []);
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
