// Users who listen to their event streams while records are written for them.

import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';

import { inBatches } from '../measure/batch.mjs';
import { latencies, percentileOf } from '../measure/flow.mjs';
import { age, consume, produce } from '../measure/record.mjs';
import { usageOfAll } from '../measure/usage.mjs';

/** How long the last records of a run may take. */
export const DRAIN_MS = 3_000;
/** How long records of an earlier run may keep a contestant busy. */
const BACKLOG_MS = 30_000;
/** So many users have some on each partition. */
const PROBES = 12;
/** Opened at once. */
const BATCH = 50;

/** @typedef {import('../../../scripts/stack/process.mjs').Part} Part */
/** @typedef {{ id: string, listener: import('../measure/listener.mjs').Listener }} User */
/** @typedef {{ perSecond: number, keys: readonly string[] }} Writing at which rate and to whom */
/**
 * Begins to listen to a run, and returns what stops it.
 * @typedef {(run: string, onAge: (ms: number) => void) => Promise<() => void>} Listen
 */
/**
 * @typedef {import('../measure/kafka-client.mjs').Where & { name: string, role: import('../measure/round.mjs').Role,
 * wrap?: import('../measure/record.mjs').Wrap, parts?: readonly Part[] }} Who `parts` are its programs, the one that
 * holds the streams first
 */

/**
 * Each user hears what is written for it.
 * @param {Who} who @param {readonly User[]} users @param {number} perSecond
 */
export function hearers(who, users, perSecond) {
  const keys = users.map(({ id }) => id);
  return contestant(who, { perSecond, keys }, async (run, onAge) => {
    const onData = (/** @type {string} */ text) => {
      const ms = age(text, run);
      if (ms !== undefined) onAge(ms);
    };
    await inBatches(users, BATCH, ({ listener }) => listener.open(onData));
    return () => users.forEach(({ listener }) => listener.close());
  });
}

/** A plain consumer reads the whole topic. @param {Who} who @param {Writing} writing */
export const rawConsumer = (who, writing) =>
  contestant(who, writing, (run, onAge) => consume({ brokers: who.brokers, topic: who.topic, run, onAge }));

/**
 * @param {Who} who @param {Writing} writing @param {Listen} listen
 * @returns {import('../measure/round.mjs').Contestant}
 */
function contestant({ name, role, brokers, topic, wrap, parts = [] }, { perSecond, keys }, listen) {
  return {
    name,
    role,
    command: 'causeway-bench-producer write',
    run: async (seconds) => {
      const run = randomUUID();
      /** @type {number[]} */
      let ages = [];
      const arrived = async (/** @type {number} */ count, /** @type {number} */ patienceMs) => {
        const deadline = Date.now() + patienceMs;
        while (ages.length < count && Date.now() < deadline) await delay(10);
        return ages.length >= count;
      };
      const write = (/** @type {{ keys: readonly string[], perSecond: number, seconds: number }} */ what) =>
        produce({ brokers, topic, run, ...what, ...(wrap && { wrap }) });
      const stop = await listen(run, (ms) => void ages.push(ms));
      try {
        const probes = await write({ keys: keys.slice(0, PROBES), perSecond: 100, seconds: PROBES / 100 });
        if (!(await arrived(probes, BACKLOG_MS)))
          return unmeasured(`${ages.length} of the first ${probes} records arrived within ${BACKLOG_MS / 1000} s.`);
        ages = [];
        const [beforeAll, beforeFirst] = processorSeconds(parts);
        const written = await write({ keys, perSecond, seconds });
        await arrived(written, DRAIN_MS);
        const [all, first] = processorSeconds(parts);
        if (!ages.length) return unmeasured(`none of ${written} records arrived within ${DRAIN_MS / 1000} s.`);
        const missing = written - ages.length;
        const perRecord = (/** @type {number} */ used) => (1000 * used) / written;
        /** @type {Record<string, number>} */
        const processor = parts.length
          ? { streamsCpuMs: perRecord(first - beforeFirst), allCpuMs: perRecord(all - beforeAll) }
          : {};
        return {
          figures: {
            ...latencies(ages),
            p999Ms: percentileOf(ages, 99.9),
            ...processor,
            missing,
            received: ages.length,
          },
          raw: `${ages.map((ms) => ms.toFixed(2)).join('\n')}\n`,
        };
      } finally {
        stop();
      }
    },
  };
}

/** The processor time of all programs, and of the first. @param {readonly Part[]} parts @returns {[number, number]} */
function processorSeconds(parts) {
  if (process.platform !== 'linux') return [Number.NaN, Number.NaN];
  return [usageOfAll(parts).cpuSeconds, usageOfAll(parts.slice(0, 1)).cpuSeconds];
}

/** @param {string} note @returns {import('../measure/round.mjs').Sample} */
const unmeasured = (note) => ({ figures: {}, raw: note, note });
