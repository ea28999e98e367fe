// Raw clients of Kafka: what it takes to write an event, without a request, a user or a session.

import { startKafkaClient } from '../measure/kafka-client.mjs';

/** @typedef {'rskafka' | 'rskafka-batched' | 'librdkafka'} Library */

/** By their names in tables. @type {Readonly<Record<string, Library>>} */
export const LIBRARIES = Object.freeze({
  rskafka: 'rskafka',
  'rskafka, batched': 'rskafka-batched',
  librdkafka: 'librdkafka',
});

/**
 * @param {string} name of {@link LIBRARIES}
 * @param {import('../measure/kafka-client.mjs').Where & { clients: number, users: number, value: string }} options
 * @returns {import('../measure/round.mjs').Contestant}
 */
export function rawProducer(name, { clients, users, value, ...where }) {
  const size = ['--clients', String(clients), '--users', String(users)];
  return {
    name,
    role: 'floor',
    command: 'causeway-bench-producer say',
    run: async (seconds) => {
      let raw = '';
      const library = ['--library', LIBRARIES[name] ?? name];
      const time = ['--seconds', String(seconds), '--value', value];
      const { ended } = await startKafkaClient(where, ['say', ...library, ...size, ...time], {
        onLine: (line) => (raw += `${line}\n`),
      });
      await ended;
      const [records = Number.NaN, took = Number.NaN, p50Ms = Number.NaN, p99Ms = Number.NaN] = raw
        .split(' ')
        .map(Number);
      return { figures: { perSecond: records / took, p50Ms, p99Ms, failedPercent: 0 }, raw };
    },
  };
}
