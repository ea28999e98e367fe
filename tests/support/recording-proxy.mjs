// An HTTP proxy between two parts of a stack. It records the requests and, on demand, drops answers. Whoever starts it
// may look at every answer.

import { createServer, request } from 'node:http';

import { listen } from './listen.mjs';

/** @typedef {{ method: string, path: string, headers: import('node:http').IncomingHttpHeaders }} RecordedRequest */
/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {(request: RecordedRequest, answer: IncomingMessage, text: string) => void} Look */

export class RecordingProxy {
  /** @type {RecordedRequest[]} */
  seen = [];
  /** How many of the next answers are dropped after the request was carried out. */
  answersToDrop = 0;
  droppedAnswers = 0;
  /**
   * What the proxy answers by itself, by method and path: the body of a 201.
   * @type {Map<string, () => unknown>}
   */
  ownAnswers = new Map();

  /** @param {string} target origin of the part behind @param {Look} [look] is called after each whole answer */
  static async start(target, look) {
    const proxy = new RecordingProxy(target, look);
    proxy.origin = `http://localhost:${await listen(proxy.server)}`;
    return proxy;
  }

  /** @param {string} target @param {Look} [look] */
  constructor(target, look) {
    this.origin = '';
    this.server = createServer((incoming, outgoing) => {
      const seen = { method: incoming.method ?? '', path: incoming.url ?? '', headers: incoming.headers };
      this.seen.push(seen);
      const own = this.ownAnswers.get(`${seen.method} ${seen.path}`);
      if (own) {
        incoming.resume();
        outgoing.writeHead(201, { 'Content-Type': 'application/json' }).end(JSON.stringify(own()));
        return;
      }
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
          if (look) {
            let text = '';
            answer.on('data', (chunk) => (text += chunk)).once('end', () => look(seen, answer, text));
          }
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
