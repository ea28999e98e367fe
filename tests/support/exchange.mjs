// HTTP on a connection of its own, exactly as it is given: no URL is parsed, nothing is normalised, no header is added.
// `fetch` would overwrite some of the headers under test.

import { AsyncLocalStorage } from 'node:async_hooks';
import { request as requestPlain } from 'node:http';
import { request as requestSecure } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { connect as connectSecure } from 'node:tls';
import { gunzipSync } from 'node:zlib';

/**
 * @typedef {object} Sent
 * @property {string} [method]
 * @property {Record<string, string | string[] | undefined>} [headers] undefined ones are left out
 * @property {string | Buffer} [body]
 */
/**
 * @typedef {object} Answer
 * @property {number} status 0 if the connection broke before an answer
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string} text
 * @property {number} bytes of the body, as received
 * @property {string} target as on the request line
 * @property {string} url
 */
/** @typedef {import('node:http').IncomingMessage} IncomingMessage */

/** Aborts every request of an attack that has run out of time. @type {AsyncLocalStorage<AbortSignal>} */
export const underWay = new AsyncLocalStorage();

const TIMEOUT_MS = 30_000;
/** How long an accepted event stream is read in the background. */
const STREAM_MS = 500;
const MAX_HEADER_BYTES = 256 * 1024;

/**
 * Sends a well-formed HTTP request, whatever its target means, and returns the answer as soon as its headers arrive.
 * @param {string} origin @param {string} target as on the request line @param {Sent} [sent]
 * @param {(incoming: IncomingMessage) => void} [onHeaders] is called before any of the body is read
 * @returns {Promise<IncomingMessage>}
 */
export function send(origin, target, { method = 'GET', headers = {}, body } = {}, onHeaders = () => {}) {
  const { hostname, port, protocol } = new URL(origin);
  const request = protocol === 'https:' ? requestSecure : requestPlain;
  const present = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
  if (body !== undefined && !('Transfer-Encoding' in present))
    present['Content-Length'] = String(Buffer.byteLength(body));
  const signal = underWay.getStore();
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const outgoing = request(
      {
        hostname,
        port,
        path: target,
        method,
        headers: present,
        agent: false,
        timeout: TIMEOUT_MS,
        maxHeaderSize: MAX_HEADER_BYTES,
        signal,
      },
      (incoming) => {
        outgoing.setTimeout(0);
        onHeaders(incoming);
        resolve(incoming);
      },
    );
    outgoing.on('timeout', () =>
      outgoing.destroy(new Error(`no answer to ${method} ${target} within ${TIMEOUT_MS / 1000} s`)),
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/**
 * Sends a request and reads the whole answer. An event stream has no end: its answer is returned at once and grows for
 * half a second, for the leak scan.
 * @param {string} origin @param {string} target as on the request line @param {Sent} [sent]
 * @param {(incoming: IncomingMessage) => void} [onHeaders] is called before any of the body is read
 * @returns {Promise<Answer>}
 */
export async function exchange(origin, target, sent = {}, onHeaders = undefined) {
  const empty = { status: 0, headers: {}, text: '', bytes: 0, target, url: origin + target };
  /** @type {IncomingMessage} */
  let incoming;
  try {
    incoming = await send(origin, target, sent, onHeaders);
  } catch (error) {
    // The server closed the connection in the middle of a body it does not read: no answer, but no failed test either.
    if (isBroken(error)) return empty;
    throw error;
  }
  const answer = { ...empty, status: incoming.statusCode ?? 0, headers: incoming.headers };
  if (incoming.headers['content-type']?.startsWith('text/event-stream')) {
    incoming
      .setEncoding('utf8')
      .on('data', (text) => (answer.text += text))
      .on('error', () => {});
    setTimeout(() => incoming.destroy(), STREAM_MS).unref();
    return answer;
  }
  incoming.setTimeout(TIMEOUT_MS, () => incoming.destroy(new Error(`the answer to ${target} stalls`)));
  /** @type {Buffer[]} */
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  // Cloudflare, and wrangler as Cloudflare does, ask for the widget's files in gzip whatever the client asks for.
  const isPacked = target.startsWith('/assets/') && incoming.headers['content-encoding'] === 'gzip';
  return { ...answer, text: (isPacked && body.length ? gunzipSync(body) : body).toString(), bytes: body.length };
}

/** @param {unknown} error */
const isBroken = (error) => ['EPIPE', 'ECONNRESET'].includes(/** @type {NodeJS.ErrnoException} */ (error).code ?? '');

/**
 * Sends bytes that need not be HTTP, and reads until the other side closes or sends nothing for a while.
 * @param {string} origin @param {string} bytes each character one byte @returns {Promise<Answer>}
 */
export function sendBytes(origin, bytes, silenceMs = 1_500) {
  const signal = underWay.getStore();
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    /** @type {Buffer[]} */
    const chunks = [];
    const socket = connected(origin, bytes);
    const done = () => {
      socket.destroy();
      resolve(parse(Buffer.concat(chunks).toString(), origin, bytes.split('\r\n')[0] ?? ''));
    };
    socket.setTimeout(silenceMs, done);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', done);
    socket.on('error', (/** @type {NodeJS.ErrnoException} */ error) =>
      error.code === 'ECONNREFUSED' ? reject(error) : done(),
    );
  });
}

/** Opens a connection and sends these bytes, and nothing after them. @param {string} origin @param {string} bytes */
export function halfOpen(origin, bytes) {
  return connected(origin, bytes).on('error', () => {});
}

/** @param {string} origin @param {string} bytes each character one byte */
function connected(origin, bytes) {
  const { hostname, port, protocol } = new URL(origin);
  const signal = underWay.getStore();
  const write = () => void socket.write(bytes, 'latin1');
  const socket =
    protocol === 'https:'
      ? connectSecure({ port: Number(port || 443), host: hostname, servername: hostname }, write)
      : connectPlain({ port: Number(port || 80), host: hostname }, write);
  signal?.addEventListener('abort', () => socket.destroy(new Error('out of time')), { once: true });
  return socket;
}

/**
 * The first answer on a connection.
 * @param {string} text @param {string} origin @param {string} target @returns {Answer}
 */
function parse(text, origin, target) {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const [line = '', ...lines] = head.split('\r\n');
  const fields = lines.map((header) => [
    header.slice(0, header.indexOf(':')).toLowerCase(),
    header.slice(header.indexOf(':') + 1).trim(),
  ]);
  const cookies = fields.flatMap(([name, value = '']) => (name === 'set-cookie' ? [value] : []));
  /** @type {Record<string, string>} */
  const joined = {};
  for (const [name = '', value = ''] of fields) joined[name] = name in joined ? `${joined[name]}, ${value}` : value;
  const headers = { ...joined, ...(cookies.length && { 'set-cookie': cookies }) };
  const body = rest.join('\r\n\r\n');
  return {
    status: Number(line.match(/^HTTP\/1\.[01] (\d{3})/)?.[1] ?? 0),
    headers,
    text: body,
    bytes: Buffer.byteLength(body),
    target,
    url: `${origin}/`,
  };
}
