// Requests of a signed-in page that are written piece by piece, or byte by byte.

import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';

import { record, recordBytes } from '../journey/record.mjs';
import { stack, user } from './stack.mjs';

export const KIB = 1024;
export const types = { 'Content-Type': 'application/octet-stream' };

/**
 * @typedef {object} Heard
 * @property {number} status
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string} text
 * @property {boolean} whole whether the answer came to its end, and did not break off
 */

/** A request of a signed-in page whose body is still being written. @param {string} path @param {Record<string, string>} headers */
export async function upload(path, headers) {
  const { agent } = await user('github', 'ada');
  const url = new URL(path, stack.edgeOrigin);
  const outgoing = request(url, {
    method: 'POST',
    agent: false,
    headers: { ...agent.pageHeaders, ...types, Cookie: agent.cookieHeader, ...headers },
  });
  // An edge that has heard enough may hang up on the rest.
  outgoing.on('error', () => {});
  /** @type {Promise<import('node:http').IncomingMessage | undefined>} */
  const head = new Promise((resolve) => {
    outgoing.on('response', (incoming) => {
      record(incoming, url);
      resolve(incoming);
    });
    outgoing.on('close', () => resolve(undefined));
  });
  return { outgoing, head, answer: head.then(hear) };
}

/** Reads an answer for as long as it goes on. @param {import('node:http').IncomingMessage | undefined} incoming @returns {Promise<Heard | undefined>} */
async function hear(incoming) {
  if (!incoming) return undefined;
  let text = '';
  incoming.setEncoding('utf8').on('data', (chunk) => (text += chunk));
  incoming.on('error', () => {});
  if (!incoming.closed) await once(incoming, 'close').catch(() => {});
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, text, whole: incoming.complete };
}

/** A connection to the edge, for what is no request. */
export function connection() {
  const { hostname, port } = new URL(stack.edgeOrigin);
  const socket = connect(Number(port), hostname);
  recordBytes(socket, stack.edgeOrigin);
  return socket;
}

/** Sends bytes as they are and returns all that comes back. @param {string} text */
export async function raw(text) {
  const socket = connection();
  let back = '';
  socket.setEncoding('latin1').on('data', (chunk) => (back += chunk));
  socket.on('error', () => {});
  socket.setTimeout(10_000, () => socket.destroy());
  await once(socket, 'connect');
  socket.write(Buffer.from(text, 'latin1'));
  await once(socket, 'close');
  return back;
}

/** @param {string} back */
export const statusOf = (back) => Number(back.match(/^HTTP\/1\.[01] (\d{3})/)?.[1] ?? 0);

/** The lines of a request of a signed-in page, to be spoilt. @param {string} requestLine @param {string[]} more */
export async function lines(requestLine, more = []) {
  const { agent } = await user('github', 'ada');
  const own = Object.entries({
    ...agent.pageHeaders,
    Cookie: agent.cookieHeader ?? '',
    Host: new URL(stack.edgeOrigin).host,
    Connection: 'close',
  });
  return [requestLine, ...own.map(([name, value]) => `${name}: ${value}`), ...more, '', ''].join('\r\n');
}
