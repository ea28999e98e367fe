// One HTTP request on a connection of its own, exactly as it is given: no URL is parsed, nothing is normalised.

import { request } from 'node:http';
import { connect } from 'node:net';

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
 * @property {string} target
 */

const TIMEOUT_MS = 30_000;

/**
 * Sends a request that is well-formed HTTP, whatever its target means.
 * @param {string} origin @param {string} target as on the request line @param {Sent} [sent] @returns {Promise<Answer>}
 */
export function exchange(origin, target, { method = 'GET', headers = {}, body } = {}) {
  const { hostname, port } = new URL(origin);
  const present = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
  if (body !== undefined && !('Transfer-Encoding' in present)) present['Content-Length'] = String(Buffer.byteLength(body));
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, path: target, method, headers: present, agent: false, timeout: TIMEOUT_MS, maxHeaderSize: 256 * 1024 }, (incoming) => {
      /** @type {Buffer[]} */
      const chunks = [];
      incoming.on('data', (chunk) => chunks.push(chunk));
      incoming.on('error', reject);
      incoming.on('end', () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text: Buffer.concat(chunks).toString(), target }));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer to ${method} ${target} within ${TIMEOUT_MS / 1000} s`)));
    // Broken in the middle of a body that nobody wants to read: not an answer, but not a failure of the test either.
    outgoing.on('error', (/** @type {NodeJS.ErrnoException} */ error) =>
      error.code === 'EPIPE' || error.code === 'ECONNRESET' ? resolve({ status: 0, headers: {}, text: '', target }) : reject(error));
    outgoing.end(body);
  });
}

/**
 * Sends bytes that need not be HTTP at all, and reads what comes until the other side closes or falls silent.
 * @param {string} origin @param {string} bytes each character one byte @returns {Promise<Answer>}
 */
export function sendBytes(origin, bytes, silenceMs = 1_500) {
  const { hostname, port } = new URL(origin);
  return new Promise((resolve, reject) => {
    /** @type {Buffer[]} */
    const chunks = [];
    const socket = connect(Number(port || 80), hostname, () => void socket.write(bytes, 'latin1'));
    const done = () => {
      socket.destroy();
      resolve(parse(Buffer.concat(chunks).toString(), bytes.split('\r\n')[0] ?? ''));
    };
    socket.setTimeout(silenceMs, done);
    socket.on('data', (chunk) => chunks.push(chunk));
    socket.on('end', done);
    socket.on('error', (/** @type {NodeJS.ErrnoException} */ error) => (error.code === 'ECONNREFUSED' ? reject(error) : done()));
  });
}

/** The first answer of a connection. @param {string} text @param {string} target @returns {Answer} */
function parse(text, target) {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const [line = '', ...lines] = head.split('\r\n');
  const headers = Object.fromEntries(lines.map((header) => [header.slice(0, header.indexOf(':')).toLowerCase(), header.slice(header.indexOf(':') + 1).trim()]));
  return { status: Number(line.match(/^HTTP\/1\.[01] (\d{3})/)?.[1] ?? 0), headers, text: rest.join('\r\n\r\n'), target };
}
