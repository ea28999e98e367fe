// Saying: events of many users, each answered when Kafka has it.

import { SPIN, WORKERS, withoutEcho } from '../contestant/edge.mjs';
import { EXPRESS, signInToExpress, startExpress, startRedis } from '../contestant/peer.mjs';
import { LIBRARIES, rawProducer } from '../contestant/raw-producer.mjs';
import { DATA, speakers } from '../contestant/speaker.mjs';
import { BATCH, loginsOf, profiles, signInSpeakers } from '../contestant/user.mjs';
import { inBatches } from '../measure/batch.mjs';
import { FIGURES } from '../measure/wrk.mjs';

const CLIENTS = [1, 32, 256];
const USERS = 256;
/** The most that a user may be allowed. On bare workerd no rate is limited. */
const UNLIMITED = { EVENTS_PER_MINUTE: '60000' };
const TOPIC = 'chat.inbound';
/** The same inbound topic, with an echo and without. */
const CHANNELS = [
  { name: 'chat', inbound: TOPIC, outbound: 'chat.outbound' },
  { name: 'quiet', inbound: TOPIC },
];
const VARIABLES = {
  edgeVariables: { CHANNELS: CHANNELS.map(({ name }) => name).join() },
  bridgeVariables: { BRIDGE_CHANNELS: JSON.stringify(CHANNELS) },
};

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Say',
  about:
    `\`POST /events/chat\` of ${USERS} users in turn, by 1, 32 and 256 clients at a time. The answer is 202 after all ` +
    'in-sync replicas have the record. Ours is measured twice: as a channel is by default, with an echo, a second ' +
    "record that is delivered to the user's streams; and without, which is the work that the Express BFF does with " +
    'kafkajs. The floors are Kafka clients alone, without HTTP: in one process, as many clients write one record ' +
    'after the other and wait for its acknowledgement (`acks=all`). They are rskafka with a request for each record, ' +
    'rskafka with batches of 2 ms, and librdkafka with `linger.ms=0`. Each edge has a Kafka of its own, so that it ' +
    'reads and delivers no echoes but its own; the others share one.',
  needs: ['edge', 'express', 'kafka-client'],
  figures: [...FIGURES, { key: 'failedPercent', label: 'rejected', unit: '%', digits: 1 }],
  seconds: 8,
  warmUpSeconds: 2,
  async prepare(scope) {
    const { state } = scope;
    const logins = loginsOf(USERS);
    /** @type {import('../../../scripts/stack/target.mjs').PartName[]} */
    const parts = ['kafka', 'redis', 'emulators', 'edge', 'bridge'];
    const options = { users: profiles(logins), only: parts, ...VARIABLES };
    const workers = await scope.stack('workers', options);
    const spinVariables = { ...options.edgeVariables, ...UNLIMITED };
    const spin = await scope.stack('spin', { ...options, edgeVariables: spinVariables });
    /** @type {((clients: number) => import('../measure/round.mjs').Contestant)[]} */
    const all = [];
    for (const [name, stack] of /** @type {const} */ ([
      [WORKERS, workers],
      [SPIN, spin],
    ])) {
      scope.log(`${name}: ${USERS} users sign in`);
      const url = `http://127.0.0.1:${stack.ports.edge}/events`;
      const users = await signInSpeakers(stack, logins);
      all.push(await speakers({ name, role: 'ours' }, { url: `${url}/chat`, users, state }));
      all.push(await speakers({ name: withoutEcho(name), role: 'ours' }, { url: `${url}/quiet`, users, state }));
    }
    const brokers = await scope.kafka();
    const topics = { broker: brokers, inbound: TOPIC, outbound: 'chat.outbound' };
    const express = await startExpress(scope, await startRedis(scope), topics);
    const users = await inBatches(logins, BATCH, async (id) => ({
      Cookie: await signInToExpress(express, id),
      'X-CSRF': '1',
    }));
    all.push(await speakers({ name: EXPRESS, role: 'peer' }, { url: `${express}/events/chat`, users, state }));

    const raw = { brokers, topic: TOPIC, users: USERS, value: JSON.stringify(DATA) };
    return CLIENTS.map((clients) => ({
      name: clients === 1 ? '1 client' : `${clients} clients`,
      contestants: [
        ...all.map((contestant) => contestant(clients)),
        ...Object.keys(LIBRARIES).map((library) => rawProducer(library, { ...raw, clients })),
      ],
    }));
  },
};
