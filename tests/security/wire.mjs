// One HTTP request on a connection of its own, exactly as it is given: no URL is parsed, nothing is normalised.

import { AsyncLocalStorage } from 'node:async_hooks';
import { request as requestOpenly } from 'node:http';
import { request as requestSecurely } from 'node:https';
import { connect as connectOpenly } from 'node:net';
import { connect as connectSecurely } from 'node:tls';

/** Ends whatever an attack sends, once that attack has run out of time. @type {AsyncLocalStorage<AbortSignal>} */
export const underWay = new AsyncLocalStorage();

/**
 * @typedef {object} Sent
 * @property {string} [method]
 * @property {Record<string, string | string[] | undefined>} [headers] undefined ones are left out
 * @property {string | Buffer} [body]
 */
/**
 * @typedef {object} Answer
 * @property {number} status 0 if the connection broke without one
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string} text
 * @property {number} bytes of the body, as they came
 * @property {string} target
 */

const TIMEOUT_MS = 30_000;
/** How long a stream that is let in is listened to, beside whatever its client does. */
const STREAM_MS = 500;

/**
 * Sends a request that is well-formed HTTP, whatever its target means.
 * @param {string} origin @param {string} target as on the request line @param {Sent} [sent] @returns {Promise<Answer>}
 */
export function exchange(origin, target, { method = 'GET', headers = {}, body } = {}) {
  const { hostname, port, protocol } = new URL(origin);
  const request = protocol === 'https:' ? requestSecurely : requestOpenly;
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
        maxHeaderSize: 256 * 1024,
        signal,
      },
      (incoming) => {
        /** @type {Buffer[]} */
        const chunks = [];
        // A stream that is let in has no end to wait for. What it says meanwhile is for the leak scan.
        if (incoming.headers['content-type']?.startsWith('text/event-stream')) {
          const answer = { status: incoming.statusCode ?? 0, headers: incoming.headers, text: '', bytes: 0, target };
          incoming
            .setEncoding('utf8')
            .on('data', (text) => (answer.text += text))
            .on('error', () => {});
          setTimeout(() => incoming.destroy(), STREAM_MS).unref();
          return void resolve(answer);
        }
        incoming.on('data', (chunk) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const body = Buffer.concat(chunks);
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers,
            text: body.toString(),
            bytes: body.length,
            target,
          });
        });
      },
    );
    outgoing.on('timeout', () =>
      outgoing.destroy(new Error(`no answer to ${method} ${target} within ${TIMEOUT_MS / 1000} s`)),
    );
    // Broken in the middle of a body that nobody wants to read: not an answer, but not a failure of the test either.
    outgoing.on('error', (/** @type {NodeJS.ErrnoException} */ error) =>
      error.code === 'EPIPE' || error.code === 'ECONNRESET'
        ? resolve({ status: 0, headers: {}, text: '', bytes: 0, target })
        : reject(error),
    );
    outgoing.end(body);
  });
}

/**
 * Sends bytes that need not be HTTP at all, and reads what comes until the other side closes or falls silent.
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
      resolve(parse(Buffer.concat(chunks).toString(), bytes.split('\r\n')[0] ?? ''));
    };
    socket.setTimeout(silenceMs, done);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', done);
    socket.on('error', (/** @type {NodeJS.ErrnoException} */ error) =>
      error.code === 'ECONNREFUSED' ? reject(error) : done(),
    );
  });
}

/** A connection on which nothing more will come. @param {string} origin @param {string} bytes */
export function halfOpen(origin, bytes) {
  return connected(origin, bytes).on('error', () => {});
}

/** A connection that sends this first. @param {string} origin @param {string} bytes each character one byte */
function connected(origin, bytes) {
  const { hostname, port, protocol } = new URL(origin);
  const signal = underWay.getStore();
  const send = () => void socket.write(bytes, 'latin1');
  const socket =
    protocol === 'https:'
      ? connectSecurely({ port: Number(port || 443), host: hostname, servername: hostname }, send)
      : connectOpenly({ port: Number(port || 80), host: hostname }, send);
  signal?.addEventListener('abort', () => socket.destroy(new Error('out of time')), { once: true });
  return socket;
}

/** The first answer of a connection. @param {string} text @param {string} target @returns {Answer} */
function parse(text, target) {
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
  };
}
