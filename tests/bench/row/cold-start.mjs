// Cold starts: from the start of a process to its first answer.

import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';

import { Part } from '../../../scripts/stack/process.mjs';
import { startEdges } from '../contestant/edge.mjs';
import { FLOORS, FLOOR_OF, JAVASCRIPT_WORKER, RUST_COMPONENT, RUST_WORKER } from '../contestant/floor.mjs';
import { percentile } from '../measure/statistic.mjs';

/** Starts in each round. */
const STARTS = 5;
const POLL_MS = 1;

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Cold start',
  about:
    `From the start of the process (workerd; the Spin host) to the first answer, the median of ${STARTS} starts in each ` +
    'round. The empty Workers and the empty component tell how much of it is the runtime. The Spin host takes the ' +
    'compiled component from its cache.',
  needs: ['edge', 'floor'],
  figures: [
    { key: 'firstAnswerMs', label: 'first answer', unit: 'ms', digits: 0 },
    { key: 'secondAnswerMs', label: 'second answer', unit: 'ms', digits: 1 },
  ],
  warmUpSeconds: 0,
  async prepare(scope) {
    // Its Redis goes on; the edge alone starts anew.
    const edges = await startEdges(scope, { only: ['redis', 'edge'] });
    /** @param {Part} part @param {string} url */
    const run = (part, url) => async () => {
      /** @type {[number, number][]} */
      const times = [];
      for (let start = 0; start < STARTS; start++) times.push(await startAnew(part, url));
      const median = (/** @type {number[]} */ values) =>
        percentile(
          values.toSorted((a, b) => a - b),
          50,
        );
      return {
        figures: {
          firstAnswerMs: median(times.map(([first]) => first)),
          secondAnswerMs: median(times.map(([, second]) => second)),
        },
        raw: `${times.map((pair) => pair.join(' ')).join('\n')}\n`,
      };
    };
    const command = `tests/bench/row/cold-start.mjs, ${STARTS} starts`;
    /** @type {import('../measure/round.mjs').Contestant[]} */
    const contestants = [];
    for (const { name, target, stack } of edges) {
      const { edge } = stack.parts;
      contestants.push({
        name,
        role: 'ours',
        floor: FLOOR_OF[target],
        command,
        run: run(new Part({ ...edge.options, ready: undefined }), `http://127.0.0.1:${stack.ports.edge}/healthz`),
      });
      await edge.stop();
    }
    for (const name of [RUST_WORKER, JAVASCRIPT_WORKER, RUST_COMPONENT]) {
      const port = await scope.port();
      const start = FLOORS[name];
      if (!start) throw new Error(`${name} is no floor`);
      const part = new Part({ ...start(scope.state, port), state: scope.state, ready: undefined });
      contestants.push({ name, role: 'floor', command, run: run(part, `http://127.0.0.1:${port}/`) });
    }
    return [{ name: '', contestants }];
  },
};

/**
 * @param {Part} part without a readiness check @param {string} url
 * @returns {Promise<[number, number]>} milliseconds to the first answer, and of the second request
 */
async function startAnew(part, url) {
  const began = performance.now();
  await part.start();
  try {
    while (!(await answers(url))) {
      if (!part.running || performance.now() - began > 60_000) throw new Error(`${part.name} gives no answer`);
      await delay(POLL_MS);
    }
    const first = performance.now();
    if (!(await answers(url))) throw new Error(`${part.name} gives no second answer`);
    return [first - began, performance.now() - first];
  } finally {
    await part.stop();
  }
}

/** @param {string} url */
async function answers(url) {
  try {
    const answer = await fetch(url);
    await answer.arrayBuffer();
    return answer.ok;
  } catch {
    return false;
  }
}
