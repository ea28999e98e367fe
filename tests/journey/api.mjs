// An API behind the edge that does what its caller asks of it: takes bodies, says strange things, falls silent.

import { createServer } from 'node:http';
import { EventEmitter, once } from 'node:events';

/**
 * @typedef {object} Call
 * @property {string} method
 * @property {string} path
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string[]} rawHeaders
 * @property {number} length bytes of the body that have arrived
 * @property {boolean} whole whether that was all
 * @property {boolean} broken whether the caller broke off, be it its body or the answer's
 * @property {NodeJS.Dict<string>} trailers
 * @property {number} sent bytes of the answer's body that are on their way
 */

/** What no upstream may tell a browser about the edge's origin. */
export const HOSTILE = {
  'Set-Cookie': ['__Host-Http-session=evil; Path=/; Secure; HttpOnly', 'a=b'],
  'WWW-Authenticate': 'Basic realm="x"',
  'Clear-Site-Data': '"*"',
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Allow-Credentials': 'false',
  'Strict-Transport-Security': 'max-age=0',
  'Content-Security-Policy': "default-src *; script-src * 'unsafe-inline'",
  'Cache-Control': 'public, max-age=3600',
  'CDN-Cache-Control': 'max-age=3600',
  Location: 'https://evil.example/',
  Refresh: '0;url=https://evil.example/',
  'X-Hostile': '1',
};

export class Api extends EventEmitter {
  /** @type {Call[]} */
  calls = [];
  origin = '';

  static async start() {
    const api = new Api();
    api.server.listen(0, '127.0.0.1');
    await once(api.server, 'listening');
    const { port } = /** @type {import('node:net').AddressInfo} */ (api.server.address());
    api.origin = `http://localhost:${port}`;
    return api;
  }

  constructor() {
    super();
    this.server = createServer((incoming, outgoing) => {
      const { method = '', url = '', headers, rawHeaders } = incoming;
      /** @type {Call} */
      const call = {
        method,
        path: url,
        headers,
        rawHeaders,
        length: 0,
        whole: false,
        broken: false,
        trailers: {},
        sent: 0,
      };
      this.calls.push(call);
      this.emit('news');
      incoming.on('error', () => {});
      incoming.on('data', (chunk) => {
        call.length += chunk.length;
        this.emit('news');
      });
      incoming.on('end', () => {
        call.whole = true;
        call.trailers = incoming.trailers;
        this.emit('news');
        answer(call, outgoing);
      });
      outgoing.on('close', () => {
        call.broken = !incoming.complete || !outgoing.writableFinished;
        this.emit('news');
      });
      begin(call, incoming, outgoing);
    });
    // Requests that are meant to be cut off.
    this.server.on('clientError', (_, socket) => socket.destroy());
  }

  /** Waits until a call has come this far. @param {(call: Call) => boolean} isFar */
  async until(isFar) {
    for (;;) {
      const call = this.calls.find(isFar);
      if (call) return call;
      await once(this, 'news');
    }
  }

  /** The calls whose path ends like this. @param {string} end */
  to(end) {
    return this.calls.filter(({ path }) => path.endsWith(end));
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** What it does before it has heard all. @param {Call} call @param {import('node:http').IncomingMessage} incoming @param {import('node:http').ServerResponse} outgoing */
function begin(call, incoming, outgoing) {
  switch (kind(call)) {
    case 'early':
      outgoing.writeHead(200, { 'Content-Type': 'text/plain' });
      outgoing.write('first');
      return;
    case 'reluctant':
      incoming.on('data', (chunk) => {
        // Every quarter of a mebibyte.
        if ((call.length - chunk.length) >> 18 === call.length >> 18) return;
        incoming.pause();
        setTimeout(() => incoming.resume(), 5);
      });
      return;
  }
}

/** @param {Call} call */
const kind = ({ path }) => new URL(path, 'http://api').pathname.split('/').at(2);

/** Writes no faster than it is read. @param {Call} call @param {import('node:http').ServerResponse} outgoing @param {number} length */
async function pour(call, outgoing, length) {
  const chunk = Buffer.alloc(64 * 1024);
  const closed = once(outgoing, 'close');
  for (; call.sent < length && !outgoing.destroyed; call.sent += chunk.length) {
    if (!outgoing.write(chunk)) await Promise.race([once(outgoing, 'drain'), closed]);
  }
  outgoing.end();
}

/** @param {Call} call @param {import('node:http').ServerResponse} outgoing */
function answer(call, outgoing) {
  const url = new URL(call.path, 'http://api');
  const status = Number(url.searchParams.get('status') ?? 200);
  switch (kind(call)) {
    case 'early':
      outgoing.end('last');
      return;
    case 'pour':
      outgoing.writeHead(200, { 'Content-Type': 'application/octet-stream' });
      void pour(call, outgoing, Number(url.searchParams.get('bytes')));
      return;
    case 'never':
      return;
    case 'ticks': {
      outgoing.writeHead(200, { 'Content-Type': 'text/plain' });
      const ticking = setInterval(() => outgoing.write('tick'), 100);
      outgoing.on('close', () => clearInterval(ticking));
      return;
    }
    case 'silent':
      outgoing.writeHead(200, { 'Content-Type': 'text/plain' });
      outgoing.write('first');
      return;
    case 'silent-sized':
      outgoing.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': '100' });
      outgoing.write('first');
      return;
    case 'hostile':
      outgoing.writeHead(status, HOSTILE);
      outgoing.end(status === 304 ? undefined : 'hostile');
      return;
    case 'packed':
      outgoing.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Type': 'text/plain' });
      outgoing.end(Buffer.from('H4sIAAAAAAAAA0tMTAQA8oWqPwMAAAA=', 'base64'));
      return;
    default:
      outgoing.writeHead(status, { 'Content-Type': 'application/json', ETag: '"1"' });
      // Not its headers: the token in them is no business of the page's (S103).
      outgoing.end(JSON.stringify({ path: call.path, length: call.length }));
  }
}
