// An HTTP proxy between two parts of a stack. It records the requests and, on demand, drops answers.

import { createServer, request } from 'node:http';

import { listen } from './listen.mjs';

/** @typedef {{ method: string, path: string, headers: import('node:http').IncomingHttpHeaders }} RecordedRequest */

export class RecordingProxy {
  /** @type {RecordedRequest[]} */
  seen = [];
  /** How many of the next answers are dropped after the request was carried out. */
  answersToDrop = 0;
  droppedAnswers = 0;

  /** @param {string} target origin of the part behind */
  static async start(target) {
    const proxy = new RecordingProxy(target);
    proxy.origin = `http://localhost:${await listen(proxy.server)}`;
    return proxy;
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
          if (this.answersToDrop > 0) {
            this.answersToDrop--;
            this.droppedAnswers++;
            // The answer is read to its end before the connection breaks, so that its sender notices nothing.
            answer.resume().once('end', () => incoming.socket.destroy());
            return;
          }
          outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
          answer.pipe(outgoing);
        },
      );
      // As without a proxy: a refused connection breaks the caller's.
      passed.on('error', () => incoming.socket.destroy());
      incoming.pipe(passed);
    });
  }

  /** Every bearer token that the edge has attached so far. */
  tokens() {
    return this.seen.flatMap(({ headers }) => headers.authorization?.match(/^(?:Bearer|token) (.+)$/i)?.[1] ?? []);
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
