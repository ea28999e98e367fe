// Hearing: from a record's writing to Kafka to its bytes at the client.

import { startEdges } from '../contestant/edge.mjs';
import { DRAIN_MS, hearers, rawConsumer } from '../contestant/hearer.mjs';
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
import { BATCH, loginsOf, profiles, signInListeners } from '../contestant/user.mjs';
import { inBatches } from '../measure/batch.mjs';
import { Listener } from '../measure/listener.mjs';

const USERS = [40, 1000];
const RATES = [100, 500, 1500, 5000];
/** How many users hear how many records a second together. The first is one user's object. */
const LOADS = [{ count: 1, rate: 20_000 }, ...USERS.flatMap((count) => RATES.map((rate) => ({ count, rate })))];
const OUTBOUND = 'chat.outbound';
const FLOOR = 'librdkafka';

/** @typedef {import('../contestant/hearer.mjs').Who} Who */
/** @typedef {import('../contestant/hearer.mjs').User} User */
/** @typedef {import('../scope.mjs').Scope} Scope */
/** @typedef {{ who: Who, users: User[] }} Hearing */

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Hear',
  about:
    'From the writing of a record to Kafka to its bytes at the client, with an event stream for each user. A program ' +
    'of its own writes the records by librdkafka (`acks=all`, `linger.ms=0`) at a steady rate, to the users in turn. ' +
    'They carry the time, and both ends read the same monotonic clock. The floor is a plain consumer of the topic by ' +
    'librdkafka. The Express BFF reads the topic by kafkajs, and Centrifugo by its own consumer, with its ' +
    'unidirectional event streams and without authentication. Records that are not there ' +
    `${DRAIN_MS / 1000} s after the last one count as missing. The processor time is that of the program that holds the ` +
    'streams: workerd or the Spin host, which on Spin only passes the streams of the bridge on.',
  needs: ['edge', 'express', 'centrifugo', 'kafka-client'],
  figures: [
    { key: 'p50Ms', label: 'p50', unit: 'ms', digits: 1 },
    { key: 'p99Ms', label: 'p99', unit: 'ms', digits: 1 },
    { key: 'p999Ms', label: 'p99.9', unit: 'ms', digits: 1 },
    { key: 'streamsCpuMs', label: 'processor time a record', unit: 'ms', digits: 2 },
    { key: 'allCpuMs', label: 'with the bridge', unit: 'ms', digits: 2 },
    { key: 'missing', label: 'missing', unit: '', digits: 0 },
  ],
  // So that all the cases take a quarter of an hour.
  seconds: 4,
  async prepare(scope) {
    const loads = LOADS.map((load) => ({ ...load, name: nameOf(load) })).filter(({ name }) => scope.wantsCase(name));
    const logins = loginsOf(Math.max(0, ...loads.map(({ count }) => count)));
    // A Kafka each, so that only the one who is measured has work.
    const only = /** @type {const} */ (['kafka', 'redis', 'emulators', 'edge', 'bridge']);
    const edges = await startEdges(scope, { users: profiles(logins), only });
    /** @type {Hearing[]} */
    const all = [];
    for (const { name, stack } of edges) {
      scope.log(`${name}: ${logins.length} users sign in`);
      const url = new URL(`http://127.0.0.1:${stack.ports.edge}/stream`);
      const users = (await signInListeners(stack, logins)).map(({ id, headers }) => ({
        id,
        listener: new Listener(url, headers),
      }));
      const parts = [stack.parts.edge, stack.parts.bridge];
      all.push({ who: { name, role: 'ours', brokers: stack.brokers, topic: OUTBOUND, parts }, users });
    }
    if (scope.wants(EXPRESS)) all.push(await expressContestant(scope, logins));
    const needsCommands = [CENTRIFUGO, FLOOR].some((name) => scope.wants(name));
    const commands = needsCommands ? await scope.kafka() : '';
    if (scope.wants(CENTRIFUGO)) all.push(await centrifugoContestant(scope, commands, logins));

    // No other contestant reads this topic.
    /** @type {Who} */
    const floor = { name: FLOOR, role: 'floor', brokers: commands, topic: 'chat.inbound' };
    const cases = loads.map(({ count, rate, name }) => ({
      name,
      contestants: [
        ...all.map(({ who, users: everyone }) => hearers(who, everyone.slice(0, count), rate)),
        rawConsumer(floor, { perSecond: rate, keys: logins.slice(0, count) }),
      ],
    }));
    // The most users at the highest rate warm everything up.
    return cases.map((one, index) => ({ ...one, isCold: index < cases.length - 1 }));
  },
};

/** @param {{ count: number, rate: number }} load */
const nameOf = ({ count, rate }) => `${count === 1 ? '1 user' : `${count} users`}, ${rate}/s`;

/** @param {Scope} scope @param {readonly string[]} logins @returns {Promise<Hearing>} */
async function expressContestant(scope, logins) {
  const broker = await scope.kafka();
  const express = await startExpress(scope, await startRedis(scope), {
    broker,
    inbound: 'chat.inbound',
    outbound: OUTBOUND,
  });
  const users = await inBatches(logins, BATCH, async (id) => {
    const headers = { Cookie: await signInToExpress(express, id), Accept: 'text/event-stream' };
    return { id, listener: new Listener(new URL(`${express}/stream`), headers) };
  });
  const parts = [scope.part('express')];
  return { who: { name: EXPRESS, role: 'peer', brokers: broker, topic: OUTBOUND, parts }, users };
}

/** @param {Scope} scope @param {string} broker @param {readonly string[]} logins @returns {Promise<Hearing>} */
async function centrifugoContestant(scope, broker, logins) {
  const centrifugo = await startCentrifugo(scope, { broker, topic: OUTBOUND });
  const parts = [scope.part('centrifugo')];
  return {
    who: { name: CENTRIFUGO, role: 'peer', brokers: broker, topic: OUTBOUND, wrap: centrifugoCommand, parts },
    users: logins.map((id) => ({ id, listener: new Listener(centrifugoStream(centrifugo, id), {}) })),
  };
}
