// Hearing: from a record's writing to Kafka to its bytes at the client.

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { signedIn } from '../../support/sign-in.mjs';
import { startEdges } from '../contestant/edge.mjs';
import {
  CENTRIFUGO,
  EXPRESS,
  centrifugoCommand,
  centrifugoStream,
  signInToExpress,
  startCentrifugo,
  startExpress,
  startRedis,
} from '../contestant/peer.mjs';
import { latencies, percentileOf } from '../measure/flow.mjs';
import { inBatches } from '../measure/batch.mjs';
import { Listener } from '../measure/listener.mjs';
import { age, consume, produce } from '../measure/record.mjs';

const USERS = [40, 1000];
const RATES = [100, 500, 1500, 5000];
/** How long the last records of a run may take. */
const DRAIN_MS = 5_000;
const SETTLE_MS = 500;
/** Opened or signed in at once. */
const BATCH = 20;

const OUTBOUND = 'chat.outbound';

/** @typedef {import('../measure/record.mjs').Wrap} Wrap */
/** @typedef {{ id: string, listener: Listener }} User */

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Hear',
  about:
    'From the writing of a record to Kafka to its bytes at the client, with an event stream for each user. kcat ' +
    '(librdkafka, `linger.ms=0`) writes the records at a steady rate, to the users in turn; they carry the time, and ' +
    'one clock measures both ends. The floor is a kcat that reads the topic. The Express BFF reads it by kafkajs, ' +
    'and Centrifugo by its own consumer, with its unidirectional event streams and without authentication. ' +
    `Records that are not there ${DRAIN_MS / 1000} s after the last one count as missing.`,
  needs: ['edge', 'express', 'centrifugo'],
  figures: [
    { key: 'p50Ms', label: 'p50', unit: 'ms', digits: 1 },
    { key: 'p99Ms', label: 'p99', unit: 'ms', digits: 1 },
    { key: 'p999Ms', label: 'p99.9', unit: 'ms', digits: 1 },
    { key: 'missing', label: 'missing', unit: '', digits: 0 },
  ],
  async prepare(scope) {
    const most = Math.max(...USERS);
    const logins = Array.from({ length: most }, (_, index) => `user-${index}`);
    const users = logins.map((login) => ({ login, name: login, email: `${login}@causeway.example` }));
    // A Kafka each, so that only the one who is measured has work.
    const edges = await startEdges(scope, { users, only: ['kafka', 'redis', 'emulators', 'edge', 'bridge'] });
    /** @type {{ name: string, role: 'ours' | 'peer', brokers: string, topic: string, wrap?: Wrap, users: User[] }[]} */
    const all = [];
    for (const { name, stack } of edges) {
      scope.log(`${name}: ${most} users sign in`);
      const url = new URL(`http://127.0.0.1:${stack.ports.edge}/stream`);
      const own = await inBatches(logins, BATCH, async (login) => {
        const { browser, user } = await signedIn(stack, 'github', login);
        const own = { Cookie: browser.cookieHeader ?? '', Accept: 'text/event-stream' };
        return { id: String(user.id), listener: new Listener(url, { ...browser.scriptHeaders(), ...own }) };
      });
      all.push({ name, role: 'ours', brokers: stack.brokers, topic: OUTBOUND, users: own });
    }
    const broker = await scope.kafka();
    const express = await startExpress(scope, await startRedis(scope), {
      broker,
      inbound: 'chat.inbound',
      outbound: OUTBOUND,
    });
    const listeners = await inBatches(logins, BATCH, async (id) => {
      const headers = { Cookie: await signInToExpress(express, id), Accept: 'text/event-stream' };
      return { id, listener: new Listener(new URL(`${express}/stream`), headers) };
    });
    all.push({ name: EXPRESS, role: 'peer', brokers: broker, topic: OUTBOUND, users: listeners });

    const commands = await scope.kafka();
    const centrifugo = await startCentrifugo(scope, { broker: commands, topic: OUTBOUND });
    all.push({
      name: CENTRIFUGO,
      role: 'peer',
      brokers: commands,
      topic: OUTBOUND,
      wrap: centrifugoCommand,
      users: logins.map((id) => ({ id, listener: new Listener(centrifugoStream(centrifugo, id), {}) })),
    });

    // No other contestant reads this topic.
    const floor = { name: 'kcat', brokers: commands, topic: 'chat.inbound' };
    return USERS.flatMap((count) =>
      RATES.map((perSecond) => ({
        name: `${count} users, ${perSecond}/s`,
        contestants: [
          ...all.map(({ users: everyone, ...who }) =>
            contestant(
              who,
              perSecond,
              everyone.slice(0, count).map(({ id }) => id),
              (onData) => listenAll(everyone.slice(0, count), onData),
            ),
          ),
          contestant({ ...floor, role: 'floor' }, perSecond, logins.slice(0, count), (onRecord) =>
            consume({ ...floor, onRecord }),
          ),
        ],
      })),
    );
  },
};

/** @param {readonly User[]} users @param {(data: string) => void} onData */
async function listenAll(users, onData) {
  await inBatches(users, BATCH, ({ listener }) => listener.open(onData));
  return () => users.forEach(({ listener }) => listener.close());
}

/**
 * @param {{ name: string, role: import('../measure/round.mjs').Role, brokers: string, topic: string,
 * wrap?: Wrap }} who
 * @param {number} perSecond @param {readonly string[]} keys
 * @param {(onData: (text: string) => void) => Promise<() => void>} listen returns what stops it
 * @returns {import('../measure/round.mjs').Contestant}
 */
function contestant({ name, role, brokers, topic, wrap }, perSecond, keys, listen) {
  return {
    name,
    role,
    command: 'tests/bench/row/hear.mjs',
    run: async (seconds) => {
      const run = randomUUID();
      /** @type {number[]} */
      const ages = [];
      const stop = await listen((text) => {
        const ms = age(text, run);
        if (ms !== undefined) ages.push(ms);
      });
      try {
        await delay(SETTLE_MS);
        const written = await produce({ brokers, topic, keys, run, perSecond, seconds, ...(wrap && { wrap }) });
        const deadline = Date.now() + DRAIN_MS;
        while (ages.length < written && Date.now() < deadline) await delay(10);
        const missing = written - ages.length;
        if (!ages.length) throw new Error(`${name}: none of ${written} records arrived`);
        return {
          figures: { ...latencies(ages), p999Ms: percentileOf(ages, 99.9), missing },
          raw: `${ages.map((ms) => ms.toFixed(2)).join('\n')}\n`,
        };
      } finally {
        stop();
      }
    },
  };
}
