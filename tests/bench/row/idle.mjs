// Idle streams: the memory and processor time that they need in the processes that serve them.

import { setTimeout as delay } from 'node:timers/promises';

import { signedIn } from '../../support/sign-in.mjs';
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
import { inBatches } from '../measure/batch.mjs';
import { Listener } from '../measure/listener.mjs';
import { usageOfAll } from '../measure/usage.mjs';

/** @typedef {import('../../../scripts/stack/process.mjs').Part} Part */

/** All contestants' streams end in this process, whose open files are limited: to 20 000 on many machines. */
const STREAMS = [1000, 4000];
const STREAMS_PER_USER = 25;
/** Opened or signed in at once. */
const BATCH = 20;
/** Longer than the time between keep-alives, so that each stream has had one. */
const SETTLE_MS = 20_000;

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Idle streams',
  about:
    `Event streams on which nothing happens, ${STREAMS_PER_USER} for each user, opened by one process. Memory is that ` +
    'of the programs which serve them, by stream, beyond what they used without any; for the edge that is workerd or ' +
    `the Spin host, and the bridge. The processor time is that of ${SETTLE_MS / 1000} s with keep-alives. On workerd ` +
    "the edge serves the streams, each over a WebSocket to its user's hub. On Spin it passes the bridge's answer " +
    'through, and no guest stays alive. The Express BFF sends no keep-alives and has one stream for each session. ' +
    'What is left of the sign-ins counts as memory without streams, until a program collects its garbage.',
  needs: ['edge', 'express', 'centrifugo'],
  figures: [
    { key: 'perStreamKb', label: 'memory per stream', unit: 'kB', digits: 1 },
    { key: 'beforeMb', label: 'without streams', unit: 'MB', digits: 0 },
    { key: 'afterMb', label: 'with streams', unit: 'MB', digits: 0 },
    { key: 'cpuPercent', label: 'of one core', unit: '%', digits: 1 },
  ],
  // Streams are added from case to case, as a program does not give back the memory that it once had.
  rounds: 1,
  warmUpSeconds: 0,
  linuxOnly: true,
  async prepare(scope) {
    const most = Math.max(...STREAMS);
    const logins = Array.from({ length: Math.ceil(most / STREAMS_PER_USER) }, (_, index) => `listener-${index}`);
    const users = logins.map((login) => ({ login, name: login, email: `${login}@causeway.example` }));
    const edges = await startEdges(scope, { users, only: ['kafka', 'redis', 'emulators', 'edge', 'bridge'] });
    /** @type {{ name: string, role: 'ours' | 'peer', parts: Part[], open: (index: number) => Listener }[]} */
    const all = [];
    for (const { name, stack } of edges) {
      scope.log(`${name}: ${logins.length} users sign in`);
      const url = new URL(`http://127.0.0.1:${stack.ports.edge}/stream`);
      const headers = await inBatches(logins, BATCH, async (login) => {
        const { browser } = await signedIn(stack, 'github', login);
        return { ...browser.scriptHeaders(), Cookie: browser.cookieHeader ?? '', Accept: 'text/event-stream' };
      });
      const open = (/** @type {number} */ index) => new Listener(url, headers[index % headers.length] ?? {});
      all.push({ name, role: 'ours', parts: [stack.parts.edge, stack.parts.bridge], open });
    }

    const broker = await scope.kafka();
    const express = await startExpress(scope, await startRedis(scope), {
      broker,
      inbound: 'chat.inbound',
      outbound: 'chat.outbound',
    });
    const cookies = await inBatches(Array.from({ length: most }), BATCH, (_, index) =>
      signInToExpress(express, `user-${index}`),
    );
    all.push({
      name: EXPRESS,
      role: 'peer',
      parts: [scope.part('express')],
      open: (index) => new Listener(new URL(`${express}/stream`), { Cookie: cookies[index] ?? '' }),
    });
    const centrifugo = await startCentrifugo(scope, { broker, topic: 'chat.outbound.dlq' });
    all.push({
      name: CENTRIFUGO,
      role: 'peer',
      parts: [scope.part('centrifugo')],
      open: (index) => new Listener(centrifugoStream(centrifugo, `user-${Math.floor(index / STREAMS_PER_USER)}`), {}),
    });

    const states = all.map((one) => ({
      ...one,
      opened: /** @type {Listener[]} */ ([]),
      before: usageOfAll(one.parts),
    }));
    scope.onEnd(() => states.forEach(({ opened }) => opened.forEach((listener) => listener.close())));
    return STREAMS.map((count) => ({
      name: `${count} streams`,
      contestants: states.map((state) => ({
        name: state.name,
        role: state.role,
        command: 'tests/bench/row/idle.mjs',
        run: () => measureIdle(state, count),
      })),
    }));
  },
};

/**
 * @param {{ name: string, parts: Part[], open: (index: number) => Listener, opened: Listener[],
 * before: ReturnType<typeof usageOfAll> }} state
 * @param {number} count
 */
async function measureIdle({ name, parts, open, opened, before }, count) {
  const missing = Array.from({ length: count - opened.length }, (_, index) => open(opened.length + index));
  opened.push(...missing);
  await inBatches(missing, BATCH, (listener) => listener.open(() => {}));
  const opening = usageOfAll(parts);
  await delay(SETTLE_MS);
  const after = usageOfAll(parts);
  const alive = opened.filter((listener) => listener.isOpen).length;
  if (alive !== count) throw new Error(`${name}: ${alive} of ${count} streams are open`);
  const figures = {
    perStreamKb: (after.kilobytes - before.kilobytes) / count,
    beforeMb: before.kilobytes / 1000,
    afterMb: after.kilobytes / 1000,
    cpuPercent: ((after.cpuSeconds - opening.cpuSeconds) / (SETTLE_MS / 1000)) * 100,
  };
  return { figures, raw: JSON.stringify({ before, opening, after }) };
}
