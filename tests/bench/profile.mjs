// Profiles a program of the product under load: scripts/profile.

import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { ROOT } from '../../scripts/stack/path.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { signedInHeaders } from './contestant/edge.mjs';
import { hearers } from './contestant/hearer.mjs';
import { startUpstream } from './contestant/peer.mjs';
import { loginsOf, profiles, signInListeners } from './contestant/user.mjs';
import { Listener } from './measure/listener.mjs';
import { perfIsInstalled, sampled } from './measure/perf.mjs';
import { wrk } from './measure/wrk.mjs';
import { add, asText, call, flameGraph, folded } from './report/flame.mjs';
import { Scope } from './scope.mjs';

/** @typedef {{ functionName: string }} Frame */
/** @typedef {{ id: number, callFrame: Frame, children?: number[] }} Node */
/** @typedef {{ nodes: Node[], samples: number[], timeDeltas: number[] }} Profile V8's format */

const WARM_UP_SECONDS = 5;
const SECONDS = 10;
const INTERVAL_MICROSECONDS = 200;
/** @type {Record<string, string>} */
const PATHS = { healthz: '/healthz', session: '/auth/session', proxy: '/bff/bench/bytes/1024' };

/** Who hears. */
const USERS = 40;

const [program = 'workers', route = 'session', perSecond = '500'] = process.argv.slice(2);
const folder = join(ROOT, 'target/profile');
mkdirSync(folder, { recursive: true });
const log = (/** @type {string} */ text) => void process.stderr.write(`profile: ${text}\n`);
if (program !== 'workers' && !(await perfIsInstalled())) {
  log('no perf. What to do: install it (Debian: linux-perf)');
  process.exit(1);
}
const scope = new Scope(folder, log);
try {
  const { edge: inspectorPort } = await freePorts();
  const logins = loginsOf(USERS);
  const stack = await scope.stack(program === 'workers' ? 'workers' : 'spin', {
    ...(program === 'workers' && { inspectorPort }),
    ...(program === 'spin' && { profiledEdge: true }),
    ...(route === 'healthz' && { only: ['edge'] }),
    ...(route === 'proxy' && { variables: await withUpstream() }),
    ...(route === 'hear' && { users: profiles(logins), only: ['kafka', 'redis', 'emulators', 'edge', 'bridge'] }),
  });
  const load = await (route === 'hear' ? hearing(stack, logins) : requests(stack));
  await load(WARM_UP_SECONDS);
  const calls = await (program === 'workers'
    ? ofV8(inspectorPort, load)
    : ofProcess(stack.parts[program === 'bridge' ? 'bridge' : 'edge'].pid ?? 0, load));
  const name = `${program}-${route}`;
  writeFileSync(join(folder, `${name}.folded`), folded(calls));
  writeFileSync(join(folder, `${name}.svg`), flameGraph(calls, `${program}, ${route}`));
  log(`target/profile/${name}.svg`);
  process.stdout.write(asText(calls));
} finally {
  await scope.end();
}
process.exit(0);

/** @typedef {(seconds: number) => Promise<import('./measure/round.mjs').Sample>} Load */

/** By perf. @param {number} pid @param {Load} load */
async function ofProcess(pid, load) {
  try {
    const { calls, loaded } = await sampled(pid, folder, () => load(SECONDS));
    log(`${JSON.stringify(loaded.figures)} while it was sampled`);
    return calls;
  } finally {
    // Where the Spin host has written the names of what it compiled.
    rmSync(`/tmp/perf-${pid}.map`, { force: true });
  }
}

/** By the profiler of V8. @param {number} inspectorPort @param {Load} load */
async function ofV8(inspectorPort, load) {
  const inspector = await connect(inspectorPort);
  await inspector('Profiler.enable');
  await inspector('Profiler.setSamplingInterval', { interval: INTERVAL_MICROSECONDS });
  await inspector('Profiler.start');
  const { figures } = await load(SECONDS);
  const { profile } = /** @type {{ profile: Profile }} */ (await inspector('Profiler.stop'));
  log(`${JSON.stringify(figures)} while it was sampled, which takes about half of the speed`);
  writeFileSync(join(folder, `${route}.cpuprofile`), JSON.stringify(profile));
  return callsOf(profile);
}

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

/** The time that the program was busy, in microseconds. @param {Profile} profile */
function callsOf({ nodes, samples, timeDeltas }) {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const callerOf = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  /** @type {(id: number | undefined) => string[]} */
  const stackOf = (id) => {
    const node = id === undefined ? undefined : byId.get(id);
    if (!node || id === nodes[0]?.id) return [];
    return [...stackOf(callerOf.get(node.id)), node.callFrame.functionName || '(a function of the runtime)'];
  };
  /** @type {Map<number, number>} */
  const own = new Map();
  samples.forEach((id, n) => own.set(id, (own.get(id) ?? 0) + (timeDeltas[n] ?? 0)));
  const root = call('all');
  for (const [id, time] of own) {
    const stack = stackOf(id);
    if (!stack.includes('(idle)')) add(root, stack, time);
  }
  return root;
}
