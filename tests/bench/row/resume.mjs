// Resuming: a client that comes back after records were missed.

import { randomUUID } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';

import { signedIn } from '../../support/sign-in.mjs';
import { startEdges } from '../contestant/edge.mjs';
import { Listener } from '../measure/listener.mjs';
import { produce } from '../measure/record.mjs';

const RECORDS = 1000;
/** More than a user's buffer keeps. */
const LATER_RECORDS = 2500;
const PER_SECOND = 500;
const DELIVERY_MS = 5_000;
const PATIENCE_MS = 20_000;

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Resume',
  about:
    `A user's client closes its stream, misses ${RECORDS} records of about 250 bytes, and opens the stream again with ` +
    'the last id. Measured is the time from its request to the first and to the last of them. They come from the ' +
    `user's buffer, or, after ${LATER_RECORDS} further records that push them out of it, from Kafka. What is nowhere ` +
    'is missing, and the stream says so by `event: reset`.',
  needs: ['edge', 'kafka-client'],
  figures: [
    { key: 'lastMs', label: 'last record', unit: 'ms', digits: 0 },
    { key: 'firstMs', label: 'first record', unit: 'ms', digits: 0 },
    { key: 'missing', label: 'missing', unit: '', digits: 0 },
  ],
  warmUpSeconds: 0,
  async prepare(scope) {
    const edges = await startEdges(scope, { only: ['kafka', 'redis', 'emulators', 'edge', 'bridge'] });
    /** @type {import('../measure/round.mjs').Case[]} */
    const cases = [
      { name: 'from the buffer', contestants: [] },
      { name: 'from Kafka', contestants: [] },
    ];
    for (const { name, stack } of edges) {
      const { browser, user } = await signedIn(stack, 'github', 'ada');
      const headers = { ...browser.scriptHeaders(), Cookie: browser.cookieHeader ?? '', Accept: 'text/event-stream' };
      const listener = new Listener(new URL(`http://127.0.0.1:${stack.ports.edge}/stream`), headers);
      const write = (/** @type {string} */ run, /** @type {number} */ count) =>
        produce({
          brokers: stack.brokers,
          topic: 'chat.outbound',
          keys: [String(user.id)],
          run,
          perSecond: PER_SECOND,
          seconds: count / PER_SECOND,
        });
      for (const [index, later] of [0, LATER_RECORDS].entries()) {
        cases[index]?.contestants.push({
          name,
          role: 'ours',
          command: 'tests/bench/row/resume.mjs',
          run: async () => {
            await levelListener(listener, write);
            const run = randomUUID();
            const written = await write(run, RECORDS);
            if (later) await write(randomUUID(), later);
            // The hop has them before the client comes back.
            await delay(DELIVERY_MS);
            return resume(listener, run, written);
          },
        });
      }
    }
    return cases;
  },
};

/**
 * Gives the listener the id of a record that it has received, and closes it.
 * @param {Listener} listener @param {(run: string, count: number) => Promise<number>} write
 */
async function levelListener(listener, write) {
  const run = randomUUID();
  let received = 0;
  await listener.open((data) => void (received += Number(data.includes(run))));
  const written = await write(run, 10);
  await until(() => received >= written, 'the first records');
  listener.close();
}

/** @param {Listener} listener @param {string} run @param {number} written */
async function resume(listener, run, written) {
  let received = 0;
  let [firstMs, lastMs] = [Number.NaN, Number.NaN];
  const began = performance.now();
  await listener.open((data) => {
    if (!data.includes(run)) return;
    lastMs = performance.now() - began;
    if (received++ === 0) firstMs = lastMs;
  });
  // Records that the hop no longer has never come.
  await until(() => received >= written, '').catch(() => {});
  listener.close();
  return {
    figures: { firstMs, lastMs, missing: written - received },
    raw: JSON.stringify({ firstMs, lastMs, received }),
  };
}

/** @param {() => boolean} holds @param {string} what */
async function until(holds, what) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`${what}: not within ${PATIENCE_MS / 1000} s`);
    await delay(5);
  }
}
