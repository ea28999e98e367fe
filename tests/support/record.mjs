// Everything the edges of this run answered, read or not, for the leak scan at the end of the run.

import { StringDecoder } from 'node:string_decoder';

import { exchange, send } from './exchange.mjs';

/** @typedef {import('./exchange.mjs').Sent} Sent */
/** @typedef {import('node:http').IncomingMessage} IncomingMessage */
/** @typedef {Pick<import('./exchange.mjs').Answer, 'status' | 'headers' | 'text' | 'url'>} RecordedAnswer */

/** @type {RecordedAnswer[]} */
export const everyAnswer = [];

/**
 * Authorization codes that a provider sent to a callback: they belong in that address and nowhere else.
 * @type {Set<string>}
 */
export const everyCode = new Set();

/** Of a body. Tests also send bodies of 100 MiB. */
const MAX_RECORDED_CHARACTERS = 1024 * 1024;

/**
 * Sends a request and records what an edge answers, from the headers on.
 * @param {string} origin @param {string} target @param {Sent} [sent]
 * @param {string} [edge] origin of the edge; answers of other servers are not recorded
 */
export function sendRecorded(origin, target, sent = {}, edge = origin) {
  return send(origin, target, sent, recorder(origin, target, edge));
}

/**
 * The same, with the whole answer read.
 * @param {string} origin @param {string} target @param {Sent} [sent] @param {string} [edge]
 */
export function exchangeRecorded(origin, target, sent = {}, edge = origin) {
  return exchange(origin, target, sent, recorder(origin, target, edge));
}

/** @param {string} origin @param {string} target @param {string} edge */
function recorder(origin, target, edge) {
  if (origin !== edge) return undefined;
  const url = new URL(target.startsWith('/') ? origin + target : origin);
  recordAddress(url);
  return (/** @type {IncomingMessage} */ incoming) => recordAnswer(incoming, url);
}

/** Records the authorization code in the address of a request. @param {URL} url */
export function recordAddress(url) {
  const code = url.pathname.endsWith('/callback') && url.searchParams.get('code');
  if (code) everyCode.add(code);
}

/**
 * Records an answer from its headers on; its reader reads it as before.
 * @param {IncomingMessage} incoming @param {URL} url
 */
export function recordAnswer(incoming, url) {
  const answer = { status: incoming.statusCode ?? 0, headers: incoming.headers, text: '', url: url.href };
  everyAnswer.push(answer);
  const decoder = new StringDecoder('utf8');
  const push = incoming.push.bind(incoming);
  // A `data` listener would start the stream before its reader is there.
  incoming.push = (chunk, encoding) => {
    if (chunk !== null && answer.text.length < MAX_RECORDED_CHARACTERS) answer.text += decoder.write(chunk);
    return push(chunk, encoding);
  };
}

/** Records what arrives on a connection. @param {import('node:net').Socket} socket @param {string} origin */
export function recordBytes(socket, origin) {
  const answer = { status: 0, headers: {}, text: '', url: `${origin}/` };
  everyAnswer.push(answer);
  socket.on('data', (chunk) => (answer.text += String(chunk)));
}
