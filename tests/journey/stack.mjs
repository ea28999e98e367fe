// The one stack that all test files of a run share; its start is most of what they cost.
//
// Imported by each file; with `--test-isolation=none` they are one process, so this module is evaluated once.

import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { redisUrl } from '../../scripts/stack/part/redis.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { secrets } from '../../scripts/stack/secret.mjs';
import { Stack } from '../../scripts/stack/stack.mjs';
import { isTarget } from '../../scripts/stack/target.mjs';
import { atEnd } from './end.mjs';
import { assertNoLeak, secretValues } from './leak.mjs';
import { everyAnswer, everyCode } from './record.mjs';
import { Upstream } from './upstream.mjs';
import { Wire } from './wire.mjs';

/** @typedef {import('../../scripts/stack/stack.mjs').PartName} PartName */

/** Of any run: something was answered and logged, and the stack has secrets of its own. @type {import('./leak.mjs').Amount} */
const LEAST = { answers: 1, lines: 1, values: 6 };
/** Whether all files of a folder are run, and not some that somebody looks into. */
const isWhole = process.env.CAUSEWAY_TEST_WHOLE === '1';

/** Of all stacks of this run. @type {string[]} */
const edges = [];

/** What the edge of this run is on. */
export const target = targetOfRun();

/** How long an instance of the edge that has just believed a session may go on doing so after it ended elsewhere. */
const REVOCATION_BOUND_SECONDS = 2;

/** Waits as long as that takes: from then on the session is dead everywhere. */
export const revocationBound = () => delay(REVOCATION_BOUND_SECONDS * 1000);

/**
 * A Kafka of somebody's, with whatever is in it: only where that was said for tests, too, and not only for `scripts/dev`.
 * Tests that hurt Kafka, or count what is in it, are left out then.
 */
export const externalBrokers = process.env.CAUSEWAY_TEST_EXTERNAL_KAFKA === '1' ? process.env.KAFKA_BROKERS : undefined;

/**
 * Starts a stack on free ports and stops it after the last test. Its state is removed unless a test failed. Of parts that
 * the target does not have, none is started.
 * @param {readonly PartName[]} only
 * @param {Record<string, string> | ((ports: import('../../scripts/stack/target.mjs').Ports) => Record<string, string>)} [edgeVariables] on top of the stack's own
 * @param {() => readonly string[]} [secretsInUse] beside the stack's own and the tokens of the emulators
 * @param {string} [name] of its state, where a run has several stacks
 * @param {import('./leak.mjs').Amount} [least] that there is for the leak scan after all tests of a folder
 */
export async function startStack(only, edgeVariables = {}, secretsInUse = () => [], name = '', least = LEAST) {
  const state = process.env.CAUSEWAY_TEST_STATE
    ? join(process.env.CAUSEWAY_TEST_STATE, name)
    : mkdtempSync(join(tmpdir(), 'causeway-test-'));
  const ports = await freePorts();
  const github = await Upstream.start(`http://127.0.0.1:${ports.github}`);
  const graph = await Upstream.start(`http://127.0.0.1:${ports.entra}`);
  // Between the bridge and where it delivers.
  const deliveries =
    target === 'spin' ? await Wire.start(ports.redis) : await Upstream.start(`http://127.0.0.1:${ports.edge}`);
  const stack = new Stack({
    target,
    state,
    ports,
    only,
    brokers: externalBrokers ?? '',
    edgeVariables: {
      REVOCATION_BOUND_SECONDS: String(REVOCATION_BOUND_SECONDS),
      GITHUB_API_URL: github.origin,
      GRAPH_URL: graph.origin,
      ...(typeof edgeVariables === 'function' ? edgeVariables(ports) : edgeVariables),
    },
    bridgeVariables:
      deliveries instanceof Wire
        ? { BRIDGE_REDIS_URL: redisUrl(deliveries.port, secrets(state)) }
        : { BRIDGE_EDGE_URL: deliveries.origin },
  });
  console.log(`# stack on ${target} in ${state}${externalBrokers ? `, Kafka at ${externalBrokers}` : ''}`);
  if (process.env.KAFKA_BROKERS && !externalBrokers)
    console.log('# KAFKA_BROKERS is left alone: CAUSEWAY_TEST_EXTERNAL_KAFKA=1 lets tests write there');
  edges.push(stack.edgeOrigin);
  await stack.start((name, milliseconds) => console.log(`#   ${name} ready after ${milliseconds} ms`));
  atEnd(async () => {
    let metrics = '';
    try {
      if (stack.parts.bridge.running) metrics = await (await fetch(`http://127.0.0.1:${ports.bridge}/metrics`)).text();
    } finally {
      await stack.stop();
      for (const between of [github, graph, deliveries]) between.close();
    }
    const logs = globSync(`${state}/**/log/{edge,bridge}*.log`);
    const texts = {
      ...Object.fromEntries(logs.map((file) => [file, readFileSync(file, 'utf8')])),
      ...(metrics && { '/metrics': metrics }),
    };
    const values = [
      ...secretValues(stack.secrets),
      ...everyCode,
      ...github.tokens(),
      ...graph.tokens(),
      ...secretsInUse(),
    ];
    const isOf = (/** @type {string} */ edge, /** @type {string} */ url) => url.startsWith(`${edge}/`);
    // Those of edges that a test started beside it and of streams in a browser, which have no address, are looked into, too.
    const answers = everyAnswer.filter(
      ({ url }) => isOf(stack.edgeOrigin, url) || !edges.some((edge) => isOf(edge, url)),
    );
    const seen = assertNoLeak({ answers, texts, values }, isWhole ? least : LEAST);
    console.log(
      `# no leak of ${seen.values} secrets in ${seen.answers} answers and ${seen.lines} lines of ${logs.length} logs${metrics && " and the bridge's metrics"}`,
    );
  });
  // What failed is only known now.
  process.on('exit', (code) => {
    if (code === 0 && !process.env.CAUSEWAY_TEST_STATE) rmSync(state, { recursive: true, force: true });
  });
  return { stack, github, graph, deliveries };
}

function targetOfRun() {
  const name = process.env.CAUSEWAY_TARGET || 'workers';
  if (!isTarget(name)) throw new Error(`CAUSEWAY_TARGET=${name} is no target`);
  return name;
}
