// Profiles the edge on workerd under load: scripts/profile.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/stack/path.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { signedInHeaders } from './contestant/edge.mjs';
import { hearers } from './contestant/hearer.mjs';
import { startUpstream } from './contestant/peer.mjs';
import { loginsOf, profiles, signInListeners } from './contestant/user.mjs';
import { Listener } from './measure/listener.mjs';
import { wrk } from './measure/wrk.mjs';
import { Scope } from './scope.mjs';

/** @typedef {{ functionName: string }} Frame */
/** @typedef {{ id: number, callFrame: Frame, children?: number[] }} Node */
/** @typedef {{ nodes: Node[], samples: number[], timeDeltas: number[] }} Profile V8's format */

const WARM_UP_SECONDS = 5;
const SECONDS = 10;
const INTERVAL_MICROSECONDS = 200;
/** What is not printed, in per cent. */
const LEAST_PERCENT = 1;
/** @type {Record<string, string>} */
const PATHS = { healthz: '/healthz', session: '/auth/session', proxy: '/bff/bench/bytes/1024' };

/** Who hears. */
const USERS = 40;

const [route = 'session', perSecond = '500'] = process.argv.slice(2);
const folder = join(ROOT, 'target/profile');
mkdirSync(folder, { recursive: true });
const log = (/** @type {string} */ text) => void process.stderr.write(`profile: ${text}\n`);
const scope = new Scope(folder, log);
try {
  const { edge: inspectorPort } = await freePorts();
  const logins = loginsOf(USERS);
  const stack = await scope.stack('workers', {
    inspectorPort,
    ...(route === 'healthz' && { only: ['edge'] }),
    ...(route === 'proxy' && { variables: await withUpstream() }),
    ...(route === 'hear' && { users: profiles(logins), only: ['kafka', 'redis', 'emulators', 'edge', 'bridge'] }),
  });
  const load = await (route === 'hear' ? hearing(stack, logins) : requests(stack));
  await load(WARM_UP_SECONDS);
  const inspector = await connect(inspectorPort);
  await inspector('Profiler.enable');
  await inspector('Profiler.setSamplingInterval', { interval: INTERVAL_MICROSECONDS });
  await inspector('Profiler.start');
  const { figures } = await load(SECONDS);
  const { profile } = /** @type {{ profile: Profile }} */ (await inspector('Profiler.stop'));
  log(`${JSON.stringify(figures)} while it was sampled, which takes about half of the speed`);
  writeFileSync(join(folder, `${route}.cpuprofile`), JSON.stringify(profile));
  process.stdout.write(tree(profile));
} finally {
  await scope.end();
}
process.exit(0);

/** Requests without a pause. @param {import('../../scripts/stack/stack.mjs').Stack} stack */
async function requests(stack) {
  const url = `http://127.0.0.1:${stack.ports.edge}${PATHS[route]}`;
  const headers = route !== 'healthz' ? (await signedInHeaders(stack))() : {};
  return (/** @type {number} */ seconds) => wrk({ url, headers, state: scope.state }, seconds);
}

/**
 * Users who hear records at a steady rate.
 * @param {import('../../scripts/stack/stack.mjs').Stack} stack @param {readonly string[]} logins
 */
async function hearing(stack, logins) {
  const url = new URL(`http://127.0.0.1:${stack.ports.edge}/stream`);
  const signedIn = await signInListeners(stack, logins);
  const users = signedIn.map(({ id, headers }) => ({ id, listener: new Listener(url, headers) }));
  const parts = [stack.parts.edge, stack.parts.bridge];
  const who = { name: 'edge', role: /** @type {const} */ ('ours'), brokers: stack.brokers, topic: 'chat.outbound' };
  return hearers({ ...who, parts }, users, Number(perSecond)).run;
}

/** The variables of an edge with an API. */
async function withUpstream() {
  const url = await startUpstream(scope);
  const service = { name: 'bench', url, provider: 'github', private_network: true, shares_token: true };
  return () => ({ SERVICES: JSON.stringify([{ ...service, allow: ['GET /bytes/*'] }]) });
}

/** workerd's inspector: a function that runs a command. @param {number} port */
async function connect(port) {
  const targets = await (await fetch(`http://127.0.0.1:${port}/json`)).json();
  const { webSocketDebuggerUrl } = targets.find((/** @type {{ id: string }} */ { id }) => id === 'edge');
  const socket = new WebSocket(webSocketDebuggerUrl);
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error('workerd refuses its inspector'));
  });
  /** @type {Map<number, (result: unknown) => void>} */
  const waiting = new Map();
  socket.onmessage = ({ data }) => {
    const { id, result } = JSON.parse(data);
    waiting.get(id)?.(result);
  };
  let id = 0;
  return (/** @type {string} */ method, params = {}) =>
    new Promise((resolve) => {
      waiting.set(++id, resolve);
      socket.send(JSON.stringify({ id, method, params }));
    });
}

/** The functions that took most time, those that they called below them. @param {Profile} profile */
function tree({ nodes, samples, timeDeltas }) {
  const nodeOf = new Map(nodes.map((node) => [node.id, node]));
  /** @type {Map<number, number>} */
  const own = new Map();
  samples.forEach((id, n) => own.set(id, (own.get(id) ?? 0) + (timeDeltas[n] ?? 0)));
  const isIdle = (/** @type {Node} */ { callFrame }) => callFrame.functionName === '(idle)';
  const busy = nodes.filter((node) => !isIdle(node)).reduce((sum, { id }) => sum + (own.get(id) ?? 0), 0);
  const childrenOf = (/** @type {Node} */ node) =>
    (node.children ?? []).flatMap((id) => nodeOf.get(id) ?? []).filter((child) => !isIdle(child));
  /** @type {Map<Node, number>} */
  const times = new Map();
  /** @type {(node: Node) => number} */
  const add = (node) => {
    const time = childrenOf(node).reduce((sum, child) => sum + add(child), own.get(node.id) ?? 0);
    times.set(node, time);
    return time;
  };
  nodes.slice(0, 1).forEach(add);
  const whole = (/** @type {Node} */ node) => times.get(node) ?? 0;
  const percent = (/** @type {number} */ time) => ((100 * time) / busy).toFixed(1);
  /** @type {(node: Node, depth?: number) => string} */
  const lines = (node, depth = 0) => {
    const time = whole(node);
    if ((100 * time) / busy < LEAST_PERCENT) return '';
    const name = node.callFrame.functionName || '(a function of the runtime)';
    const line = `${' '.repeat(depth)}${percent(time)} (own ${percent(own.get(node.id) ?? 0)}) ${name.slice(0, 110)}\n`;
    const below = childrenOf(node)
      .sort((one, other) => whole(other) - whole(one))
      .map((child) => lines(child, depth + 1))
      .join('');
    return line + below;
  };
  return nodes[0] ? lines(nodes[0]) : '';
}
