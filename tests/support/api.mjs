// An API behind the edge. The path of a request says how the API behaves: it takes bodies, sends hostile
// headers, stalls.

import { createServer } from 'node:http';
import { EventEmitter, once } from 'node:events';
import { gzipSync } from 'node:zlib';

import { listen } from './listen.mjs';

/**
 * @typedef {object} Call
 * @property {string} method
 * @property {string} path
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string[]} rawHeaders
 * @property {number} length bytes of the body that have arrived
 * @property {boolean} complete whether the whole body has arrived
 * @property {boolean} aborted whether the caller disconnected during the request's body or the answer's
 * @property {NodeJS.Dict<string>} trailers
 * @property {number} sent bytes of the answer's body that have been written
 */

/** Headers with which an upstream would affect the edge's origin in the browser. */
export const HOSTILE_HEADERS = {
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

/** What `/gzip` answers, compressed. */
export const COMPRESSED_TEXT = 'compressed '.repeat(100);

export class Api extends EventEmitter {
  /** @type {Call[]} */
  calls = [];
  origin = '';

  static async start() {
    const api = new Api();
    api.origin = `http://localhost:${await listen(api.server)}`;
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
        complete: false,
        aborted: false,
        trailers: {},
        sent: 0,
      };
      this.calls.push(call);
      this.emit('change');
      incoming.on('error', () => {});
      incoming.on('data', (chunk) => {
        call.length += chunk.length;
        this.emit('change');
      });
      incoming.on('end', () => {
        call.complete = true;
        call.trailers = incoming.trailers;
        this.emit('change');
        answer(call, outgoing);
      });
      outgoing.on('close', () => {
        call.aborted = !incoming.complete || !outgoing.writableFinished;
        this.emit('change');
      });
      begin(call, incoming, outgoing);
    });
    // Tests cut requests off.
    this.server.on('clientError', (_, socket) => socket.destroy());
  }

  /** Waits for a call that the predicate holds for. @param {(call: Call) => boolean} isWanted */
  async waitFor(isWanted) {
    for (;;) {
      const call = this.calls.find(isWanted);
      if (call) return call;
      await once(this, 'change');
    }
  }

  /** The calls whose path has this end. @param {string} end */
  callsTo(end) {
    return this.calls.filter(({ path }) => path.endsWith(end));
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/**
 * Answers, or slows down, before the whole body has arrived.
 * @param {Call} call @param {import('node:http').IncomingMessage} incoming
 * @param {import('node:http').ServerResponse} outgoing
 */
function begin(call, incoming, outgoing) {
  switch (kind(call)) {
    case 'early':
      outgoing.writeHead(200, { 'Content-Type': 'text/plain' });
      outgoing.write('first');
      return;
    case 'reads-slowly':
      incoming.on('data', (chunk) => {
        // Pauses after every quarter of a mebibyte.
        if ((call.length - chunk.length) >> 18 === call.length >> 18) return;
        incoming.pause();
        setTimeout(() => incoming.resume(), 5);
      });
      return;
  }
}

/** @param {Call} call */
const kind = ({ path }) => new URL(path, 'http://api').pathname.split('/').at(2);

/**
 * Writes a large body no faster than the caller reads it.
 * @param {Call} call @param {import('node:http').ServerResponse} outgoing @param {number} length
 */
async function writeBulk(call, outgoing, length) {
  const chunk = Buffer.alloc(64 * 1024);
  const closed = once(outgoing, 'close');
  for (; call.sent < length && !outgoing.destroyed; call.sent += chunk.length) {
    if (!outgoing.write(chunk)) await Promise.race([once(outgoing, 'drain'), closed]);
  }
  outgoing.end();
}

/** The paths whose first call was refused. @type {Set<string>} */
const refused = new Set();

/** @param {Call} call @param {import('node:http').ServerResponse} outgoing */
function answer(call, outgoing) {
  const url = new URL(call.path, 'http://api');
  const status = Number(url.searchParams.get('status') ?? 200);
  const bytes = url.searchParams.get('bytes') ?? undefined;
  switch (kind(call)) {
    case 'early':
      outgoing.end('last');
      return;
    case 'bulk':
      outgoing.writeHead(200, { 'Content-Type': 'application/octet-stream' });
      void writeBulk(call, outgoing, Number(url.searchParams.get('bytes')));
      return;
    case 'never':
      return;
    case 'ticks': {
      outgoing.writeHead(200, { 'Content-Type': 'text/plain', ...(bytes && { 'Content-Length': bytes }) });
      const ticking = setInterval(() => outgoing.write('tick'), 100);
      outgoing.on('close', () => clearInterval(ticking));
      return;
    }
    case 'silent':
      outgoing.writeHead(200, { 'Content-Type': 'text/plain' });
      outgoing.write('first');
      return;
    case 'silent-sized':
      outgoing.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': bytes ?? '100' });
      outgoing.write('first');
      return;
    case 'broken-sized':
      outgoing.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': bytes ?? '100' });
      outgoing.write('first');
      setTimeout(() => outgoing.destroy(), 100);
      return;
    case 'parts':
      outgoing.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': '12' });
      outgoing.flushHeaders();
      setTimeout(() => outgoing.write('first '), 100);
      setTimeout(() => outgoing.end('second'), 200);
      return;
    case 'hostile':
      outgoing.writeHead(status, HOSTILE_HEADERS);
      outgoing.end(status === 304 ? undefined : 'hostile');
      return;
    case 'shown':
      outgoing.writeHead(200, { 'Content-Type': 'text/html', 'Content-Disposition': 'inline; filename="page.html"' });
      outgoing.end('<script>document.title</script>');
      return;
    case 'challenged':
      outgoing.writeHead(401, { 'WWW-Authenticate': url.searchParams.get('challenge') ?? 'Bearer' });
      outgoing.end();
      return;
    case 'unknown-at-first':
      // A server that has not heard of a new token yet.
      if (!refused.has(call.path)) {
        refused.add(call.path);
        outgoing.writeHead(401).end();
        return;
      }
      outgoing.end('known');
      return;
    case 'gzip':
      // Compressed, whatever the request accepts.
      outgoing.writeHead(200, { 'Content-Encoding': 'gzip', 'Content-Type': 'text/plain' });
      outgoing.end(gzipSync(COMPRESSED_TEXT));
      return;
    case 'items': {
      // The query names the headers of the answer.
      const headers = [...url.searchParams].filter(([name]) => name !== 'status');
      outgoing.writeHead(status, { 'Content-Type': 'application/json', ...Object.fromEntries(headers) });
      outgoing.end('{}');
      return;
    }
    default:
      outgoing.writeHead(status, { 'Content-Type': 'application/json', ETag: '"1"' });
      // The request's headers are not repeated: they hold the token, which the page must not see (S103).
      outgoing.end(JSON.stringify({ path: call.path, length: call.length }));
  }
}
