// Requests of a signed-in page, written piece by piece or byte by byte.

import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';

import { assertDescribed } from '../support/openapi.mjs';
import { recordAnswer, recordBytes } from '../support/record.mjs';
import { stack, user } from './stack.mjs';

export const KIB = 1024;
export const types = { 'Content-Type': 'application/octet-stream' };

/**
 * @typedef {object} Received
 * @property {number} status
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string} text
 * @property {boolean} complete false if the answer was aborted
 */

/**
 * A request of a signed-in page whose body is still being written.
 * @param {string} path @param {Record<string, string>} headers
 */
export async function upload(path, headers) {
  const { browser } = await user('github', 'ada');
  const url = new URL(path, stack.edgeOrigin);
  const outgoing = request(url, {
    method: 'POST',
    agent: false,
    headers: { ...browser.scriptHeaders(), ...types, Cookie: browser.cookieHeader, ...headers },
  });
  // The edge may close the connection before it has read everything.
  outgoing.on('error', () => {});
  /** @type {Promise<import('node:http').IncomingMessage | undefined>} */
  const head = new Promise((resolve) => {
    outgoing.on('response', (incoming) => {
      recordAnswer(incoming, url);
      resolve(incoming);
    });
    outgoing.on('close', () => resolve(undefined));
  });
  const answer = head.then(receive).then((received) => {
    if (received?.complete) assertDescribed({ ...received, method: 'POST', target: path });
    return received;
  });
  return { outgoing, head, answer };
}

/**
 * Reads an answer to its end, or to where it is aborted.
 * @param {import('node:http').IncomingMessage | undefined} incoming @returns {Promise<Received | undefined>}
 */
async function receive(incoming) {
  if (!incoming) return undefined;
  let text = '';
  incoming.setEncoding('utf8').on('data', (chunk) => (text += chunk));
  incoming.on('error', () => {});
  if (!incoming.closed) await once(incoming, 'close').catch(() => {});
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, text, complete: incoming.complete };
}

/** A connection to the edge, for bytes that need not be a request. */
export function connection() {
  const { hostname, port } = new URL(stack.edgeOrigin);
  const socket = connect(Number(port), hostname);
  recordBytes(socket, stack.edgeOrigin);
  return socket;
}

/** Sends bytes as they are and returns everything received. @param {string} text */
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

/** The text of a signed-in page's request, which tests malform. @param {string} requestLine @param {string[]} more */
export async function requestText(requestLine, more = []) {
  const { browser } = await user('github', 'ada');
  const own = Object.entries({
    ...browser.scriptHeaders(),
    Cookie: browser.cookieHeader ?? '',
    Host: new URL(stack.edgeOrigin).host,
    Connection: 'close',
  });
  return [requestLine, ...own.map(([name, value]) => `${name}: ${value}`), ...more, '', ''].join('\r\n');
}
