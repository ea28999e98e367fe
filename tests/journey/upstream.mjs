// Stands between two parts, passes everything on, remembers what was asked, and on demand loses answers.

import { createServer, request } from 'node:http';
import { once } from 'node:events';

/** @typedef {{ method: string, path: string, headers: import('node:http').IncomingHttpHeaders }} Seen */

export class Upstream {
  /** @type {Seen[]} */
  seen = [];
  /** How many of the next answers do not arrive, though what was asked for is done. */
  toLose = 0;
  lost = 0;

  /** @param {string} target origin of the part behind */
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
      const passed = request(
        new URL(incoming.url ?? '/', target),
        { method: incoming.method, headers: incoming.headers },
        (answer) => {
          if (this.toLose > 0) {
            this.toLose--;
            this.lost++;
            // It has been read to its end before the connection breaks: whoever answered knows of nothing.
            answer.resume().once('end', () => incoming.socket.destroy());
            return;
          }
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(outgoing);
        },
      );
      // As if nobody was between: a refused connection is a broken one.
      passed.on('error', () => incoming.socket.destroy());
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
