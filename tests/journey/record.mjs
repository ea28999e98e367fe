// Everything that the edge answered in this run, whoever asked and whether they read it, for the leak scan at its end.

import { StringDecoder } from 'node:string_decoder';

/** @typedef {import('./agent.mjs').Answer} Answer */

/** Of what anybody, a stream or a browser of this run was answered. @type {Answer[]} */
export const everyAnswer = [];

/** Authorization codes with which a browser came back from a provider: in that address they belong, and nowhere else. @type {Set<string>} */
export const everyCode = new Set();

/** Of a body; tests let as much through as a machine takes. */
const MOST_KEPT = 1024 * 1024;

/** Notes what a request's address holds. @param {URL} url */
export function recordAddress(url) {
  const code = url.pathname.endsWith('/callback') && url.searchParams.get('code');
  if (code) everyCode.add(code);
}

/** Notes an answer from its head on; whoever it is for reads it as ever, or does not. @param {import('node:http').IncomingMessage} incoming @param {URL} url */
export function record(incoming, url) {
  const answer = { status: incoming.statusCode ?? 0, headers: incoming.headers, text: '', url: url.href };
  everyAnswer.push(answer);
  const decoder = new StringDecoder('utf8');
  const push = incoming.push.bind(incoming);
  // Before it can be read: a listener would begin to read it, too early for whoever it is for.
  incoming.push = (chunk, encoding) => {
    if (chunk !== null && answer.text.length < MOST_KEPT) answer.text += decoder.write(chunk);
    return push(chunk, encoding);
  };
}

/** Notes what comes back on a connection. @param {import('node:net').Socket} socket @param {string} origin */
export function recordBytes(socket, origin) {
  const answer = { status: 0, headers: {}, text: '', url: `${origin}/` };
  everyAnswer.push(answer);
  socket.on('data', (chunk) => (answer.text += String(chunk)));
}
