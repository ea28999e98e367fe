// Idle streams: the memory and processor time that they need in the processes that serve them.

import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { startEdges } from '../contestant/edge.mjs';
import {
  CENTRIFUGO,
  EXPRESS,
  centrifugoStream,
  signInToExpress,
  startCentrifugo,
  startExpress,
  startRedis,
} from '../contestant/peer.mjs';
import { BATCH, loginsOf, profiles, signInListeners } from '../contestant/user.mjs';
import { inBatches } from '../measure/batch.mjs';
import { Streams } from '../measure/streams.mjs';
import { usageOfAll } from '../measure/usage.mjs';

/** @typedef {import('../../../scripts/stack/process.mjs').Part} Part */
/**
 * @typedef {object} State of a contestant
 * @property {string} name
 * @property {'ours' | 'peer'} role
 * @property {Part[]} parts the programs that serve its streams
 * @property {Streams} streams
 * @property {ReturnType<typeof usageOfAll>} before without streams
 * @property {string} failure why it could not open as many as it should, once it could not
 */

const STREAMS = [1000, 5000, 10_000];
const STREAMS_PER_USER = 25;
/** Longer than the time between keep-alives, so that each stream has had one. */
const SETTLE_MS = 20_000;

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Idle streams',
  about:
    `Event streams on which nothing happens, ${STREAMS_PER_USER} for each user, opened by several processes. Memory is ` +
    'that of the programs which serve them, by stream, beyond what they used without any; for the edge that is ' +
    `workerd or the Spin host, and the bridge. The processor time is that of ${SETTLE_MS / 1000} s with keep-alives. ` +
    "On workerd the edge serves the streams, each over a WebSocket to its user's hub. On Spin it passes the bridge's " +
    'answer through, and no guest stays alive. The Express BFF sends no keep-alives. What is left of the sign-ins ' +
    'counts as memory without streams, until a program collects its garbage.',
  needs: ['edge', 'express', 'centrifugo'],
  figures: [
    { key: 'perStreamKb', label: 'memory per stream', unit: 'kB', digits: 1 },
    { key: 'beforeMb', label: 'without streams', unit: 'MB', digits: 0 },
    { key: 'afterMb', label: 'with streams', unit: 'MB', digits: 0 },
    { key: 'cpuPercent', label: 'of one core', unit: '%', digits: 1 },
  ],
  // Streams are added from case to case, as a program does not give back the memory that it once had. A contestant's
  // cases follow each other: the edge ends a stream after 8 minutes or more.
  rounds: 1,
  byContestant: true,
  warmUpSeconds: 0,
  linuxOnly: true,
  async prepare(scope) {
    const most = Math.max(...STREAMS);
    const logins = loginsOf(Math.ceil(most / STREAMS_PER_USER));
    const only = /** @type {const} */ (['kafka', 'redis', 'emulators', 'edge', 'bridge']);
    const edges = await startEdges(scope, { users: profiles(logins), only });
    /** @type {State[]} */
    const states = [];
    /**
     * @param {Pick<State, 'name' | 'role' | 'parts'>} who
     * @param {(user: number) => import('../measure/streams.mjs').Stream} stream of a user
     */
    const add = (who, stream) => {
      const streams = new Streams((index) => stream(index % logins.length));
      scope.onEnd(() => streams.close());
      states.push({ ...who, streams, before: usageOfAll(who.parts), failure: '' });
    };
    for (const { name, stack } of edges) {
      scope.log(`${name}: ${logins.length} users sign in`);
      const url = `http://127.0.0.1:${stack.ports.edge}/stream`;
      const users = await signInListeners(stack, logins);
      add({ name, role: 'ours', parts: [stack.parts.edge, stack.parts.bridge] }, (user) => ({
        url,
        headers: users[user]?.headers ?? {},
      }));
    }

    const broker = await scope.kafka();
    const express = await startExpress(scope, await startRedis(scope), {
      broker,
      inbound: 'chat.inbound',
      outbound: 'chat.outbound',
    });
    const cookies = await inBatches(logins, BATCH, (id) => signInToExpress(express, id));
    add({ name: EXPRESS, role: 'peer', parts: [scope.part('express')] }, (user) => ({
      url: `${express}/stream`,
      headers: { Cookie: cookies[user] ?? '' },
    }));
    const centrifugo = await startCentrifugo(scope, { broker, topic: 'chat.outbound.dlq' });
    add({ name: CENTRIFUGO, role: 'peer', parts: [scope.part('centrifugo')] }, (user) => ({
      url: centrifugoStream(centrifugo, logins[user] ?? '').href,
      headers: {},
    }));

    return STREAMS.map((count) => ({
      name: `${count} streams`,
      contestants: states.map((state) => ({
        name: state.name,
        role: state.role,
        command: 'tests/bench/row/idle.mjs',
        run: async () => {
          const sample = await measureIdle(state, count);
          if (count === most || state.failure) state.streams.close();
          return sample;
        },
      })),
    }));
  },
};

/** @param {State} state @param {number} count @returns {Promise<import('../measure/round.mjs').Sample>} */
async function measureIdle(state, count) {
  const { parts, streams, before } = state;
  state.failure ||= await streams.openUpTo(count);
  if (state.failure) return missing(state);
  const opening = usageOfAll(parts);
  await delay(SETTLE_MS);
  const after = usageOfAll(parts);
  const alive = await streams.count();
  if (alive !== count) {
    state.failure = `${alive} were open after ${SETTLE_MS / 1000} s`;
    return missing(state);
  }
  const figures = {
    perStreamKb: (after.kilobytes - before.kilobytes) / count,
    beforeMb: before.kilobytes / 1000,
    afterMb: after.kilobytes / 1000,
    cpuPercent: ((after.cpuSeconds - opening.cpuSeconds) / (SETTLE_MS / 1000)) * 100,
  };
  return { figures, raw: JSON.stringify({ before, opening, after }) };
}

/** So many streams are too many here. @param {State} state @returns {Promise<import('../measure/round.mjs').Sample>} */
async function missing({ streams, failure }) {
  const opened = await streams.count();
  const limit = readFileSync('/proc/self/limits', 'utf8').match(/^Max open files +\d+ +(\d+)/m)?.[1];
  const note =
    `not measured, as not all streams could be opened on this machine (${failure}` +
    `${opened ? `; ${opened} were open` : ''}; a process may have ${limit} open files).`;
  return { figures: {}, raw: JSON.stringify({ opened, failure }), note };
}
