// Growth: the load of other rows, once, twice, four and eight times.

import { signedInHeaders, startEdges } from '../contestant/edge.mjs';
import { hearers } from '../contestant/hearer.mjs';
import { loaded } from '../contestant/loaded.mjs';
import { startUpstream } from '../contestant/peer.mjs';
import { signInFlow } from '../contestant/sign-in-flow.mjs';
import { speakers } from '../contestant/speaker.mjs';
import { loginsOf, profiles, signInListeners, signInSpeakers } from '../contestant/user.mjs';
import { flows } from '../measure/flow.mjs';
import { Listener } from '../measure/listener.mjs';

const TIMES = [1, 2, 4, 8];
const CONNECTIONS = 16;
const SIGN_INS = 2;
/** So few that all of them stay below the 5000 requests an hour that the stub provider answers. */
const SIGN_IN_SECONDS = 1;
const RECORDS_PER_SECOND = 500;
/** As many as in the row `say`. */
const USERS = 256;
const LISTENERS = 40;

/** @typedef {import('../measure/round.mjs').Contestant} Contestant */
/** Makes a contestant for a load. @typedef {{ load: string, measured: (times: number) => Contestant }} Growing */

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Growth',
  about:
    `The load of other rows, once, twice, four and eight times: ${CONNECTIONS} connections for the empty answer, the ` +
    `session check, the proxy (1 KiB down) and saying; ${SIGN_INS} sign-ins at a time; ${RECORDS_PER_SECOND} records a ` +
    `second that ${LISTENERS} users hear. More connections should leave throughput as it is, and latency should grow ` +
    'with their number and no faster. Latency of hearing should stay. Both edges run with their bridges and nothing ' +
    'else; floors and peers are in the other rows.',
  needs: ['edge', 'kafka-client'],
  figures: [
    { key: 'perSecond', label: 'per second', unit: '', digits: 0 },
    { key: 'p50Ms', label: 'p50', unit: 'ms', digits: 2 },
    { key: 'p99Ms', label: 'p99', unit: 'ms', digits: 2 },
    { key: 'failedPercent', label: 'rejected or missing', unit: '%', digits: 1 },
  ],
  // So that all the cases take ten minutes.
  seconds: 3,
  warmUpSeconds: 2,
  async prepare(scope) {
    const logins = loginsOf(USERS);
    const upstream = await startUpstream(scope);
    const edges = await startEdges(scope, {
      users: profiles(logins),
      only: ['kafka', 'redis', 'emulators', 'edge', 'bridge'],
      variables: () => ({
        SERVICES: JSON.stringify([
          {
            name: 'bench',
            url: upstream,
            provider: 'github',
            allow: ['GET /bytes/*'],
            private_network: true,
            shares_token: true,
          },
        ]),
      }),
    });
    /** @type {Growing[][]} */
    const all = [];
    for (const { name, stack } of edges) all.push(await growing(name, stack, logins, scope));
    const [first = []] = all;
    return first.flatMap(({ load }, index) =>
      TIMES.map((times) => ({
        name: `${load}, ${times} ×`,
        contestants: all.flatMap((loads) => loads[index]?.measured(times) ?? []),
        isCold: times < Math.max(...TIMES),
      })),
    );
  },
};

/**
 * @param {string} name @param {import('../../../scripts/stack/stack.mjs').Stack} stack
 * @param {readonly string[]} logins @param {import('../scope.mjs').Scope} scope
 * @returns {Promise<Growing[]>}
 */
async function growing(name, stack, logins, scope) {
  scope.log(`${name}: ${USERS} users sign in`);
  const { state } = scope;
  const who = /** @type {const} */ ({ name, role: 'ours' });
  const base = `http://127.0.0.1:${stack.ports.edge}`;
  const headers = (await signedInHeaders(stack, logins[0]))();
  const get = (/** @type {string} */ path, sent = {}) => ({
    load: '',
    measured: (/** @type {number} */ times) =>
      loaded(who, { url: `${base}${path}`, headers: sent, connections: times * CONNECTIONS, state }),
  });
  for (const path of ['/auth/session', '/bff/bench/bytes/1024']) {
    const answer = await fetch(`${base}${path}`, { headers });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${name} answers ${answer.status} to ${path}: ${text.slice(0, 300)}`);
  }
  const say = await speakers(who, { url: `${base}/events/chat`, users: await signInSpeakers(stack, logins), state });
  const listeners = (await signInListeners(stack, logins.slice(0, LISTENERS))).map((user) => ({
    id: user.id,
    listener: new Listener(new URL(`${base}/stream`), user.headers),
  }));
  const outbound = { ...who, brokers: stack.brokers, topic: 'chat.outbound' };
  const signIn = signInFlow(name, stack);
  return [
    { ...get('/healthz'), load: 'empty' },
    { ...get('/auth/session', headers), load: 'session' },
    { ...get('/bff/bench/bytes/1024', headers), load: 'proxy' },
    {
      load: 'sign-in',
      measured: (times) => ({
        ...who,
        command: 'tests/bench/row/growth.mjs',
        run: (seconds) =>
          flows((index) => signIn(logins[index % USERS] ?? ''), {
            concurrency: times * SIGN_INS,
            seconds: Math.min(seconds, SIGN_IN_SECONDS),
            mayFail: true,
          }),
      }),
    },
    { load: 'say', measured: (times) => say(times * CONNECTIONS) },
    { load: 'hear', measured: (times) => heard(hearers(outbound, listeners, times * RECORDS_PER_SECOND)) },
  ];
}

/** With the figures that the other loads have. @param {Contestant} contestant @returns {Contestant} */
function heard(contestant) {
  return {
    ...contestant,
    run: async (seconds) => {
      const sample = await contestant.run(seconds);
      const { received = Number.NaN, missing = Number.NaN } = sample.figures;
      const failedPercent = (100 * missing) / (received + missing);
      return { ...sample, figures: { ...sample.figures, perSecond: received / seconds, failedPercent } };
    },
  };
}
