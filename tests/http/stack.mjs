// The stack of the HTTP journeys: no example backend, since the tests are the backend themselves; no host page.

import { Api } from '../journey/api.mjs';
import { atEnd } from '../journey/end.mjs';
import { startStack } from '../journey/stack.mjs';
import { Kafka } from '../journey/kafka.mjs';
import { signedIn } from '../journey/sign-in.mjs';

/** An API that the edge is told of, and what it is told. */
export const api = await Api.start();
export const API_TIMEOUT_SECONDS = 3;
export const API_BODY_LIMIT_KIB = 512;
const behind = { url: `${api.origin}/base`, provider: 'github', shares_token: true, allow: ['GET /*', 'POST /*'] };
const services = [
  { ...behind, name: 'api', body_limit_kib: API_BODY_LIMIT_KIB, timeout_seconds: API_TIMEOUT_SECONDS },
  // The same, of which much is taken and long waited for: what ends there early was ended by something else.
  { ...behind, name: 'patient', body_limit_kib: 100 * 1024, timeout_seconds: 60 },
];

export const { stack, github, graph, deliveries } = await startStack(
  ['kafka', 'redis', 'emulators', 'edge', 'bridge'],
  { SERVICES: JSON.stringify(services) },
  undefined,
  '',
  { answers: 300, lines: 300, values: 30 },
);
atEnd(() => api.close());
export const kafka = new Kafka(stack.brokers);

/** @type {Map<string, ReturnType<typeof signedIn>>} */
const sessions = new Map();

/** A user who is signed in and stays so: shared by the tests that do not sign out. @param {'github' | 'entra'} provider @param {string} login */
export function user(provider, login) {
  const name = `${provider}/${login}`;
  const session = sessions.get(name) ?? signedIn(stack, provider, login);
  sessions.set(name, session);
  return session;
}

let counted = 0;

/** A text no other test writes. @param {string} words */
export function unique(words) {
  return `${words} #${process.pid}-${++counted}`;
}
