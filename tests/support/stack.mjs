// The one stack that all test files of a run share; its start is most of what they cost.
//
// Imported by each file; with `--test-isolation=none` they are one process, so this module is evaluated once.

import assert from 'node:assert/strict';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { redisUrl } from '../../scripts/stack/part/redis.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { secrets } from '../../scripts/stack/secret.mjs';
import { Stack } from '../../scripts/stack/stack.mjs';
import { isTarget } from '../../scripts/stack/target.mjs';
import { afterAll } from './after-all.mjs';
import { assertNoLeak, secretValues } from './leak.mjs';
import { differences } from './openapi.mjs';
import { everyAnswer, everyCode } from './record.mjs';
import { RecordingProxy } from './recording-proxy.mjs';
import { RedisProxy } from './redis-proxy.mjs';

/** @typedef {import('../../scripts/stack/stack.mjs').PartName} PartName */

/**
 * What even the smallest run must search: some answers and log lines, and the stack's own secrets.
 * @type {import('./leak.mjs').Amount}
 */
const LEAST = { answers: 1, lines: 1, values: 6 };
/** Whether this run has all files of a folder, and not a chosen few. */
const isWhole = process.env.CAUSEWAY_TEST_WHOLE === '1';

/** The edges of all stacks in this run. @type {string[]} */
const edges = [];

/** The runtime of the edge in this run. */
export const target = targetOfRun();

/** How long an instance of the edge may accept a cached session that has ended elsewhere. */
const REVOCATION_BOUND_SECONDS = 2;

/** Waits until an ended session is rejected everywhere. */
export const revocationBound = () => delay(REVOCATION_BOUND_SECONDS * 1000);

/**
 * A Kafka that is not the tests' own, with records of others in it. KAFKA_BROKERS alone is for `scripts/dev`; tests
 * write there only if CAUSEWAY_TEST_EXTERNAL_KAFKA allows it. Tests that stop Kafka or count its records are
 * then skipped.
 */
export const externalBrokers = process.env.CAUSEWAY_TEST_EXTERNAL_KAFKA === '1' ? process.env.KAFKA_BROKERS : undefined;

/**
 * Starts a stack on free ports and stops it after the last test. Its state is removed unless a test failed. Parts that
 * the target does not have are not started.
 * @param {readonly PartName[]} only
 * @param {Record<string, string> | ((ports: import('../../scripts/stack/target.mjs').Ports) => Record<string, string>)}
 * [edgeVariables] on top of the stack's own
 * @param {() => readonly string[]} [secretsInUse] beside the stack's own and the tokens of the emulators
 * @param {string} [name] of its state, where a run has several stacks
 * @param {import('./leak.mjs').Amount} [least] what the leak scan must have searched after all tests of a folder
 * @param {Record<string, string>} [bridgeVariables] on top of the stack's own
 */
export async function startStack(
  only,
  edgeVariables = {},
  secretsInUse = () => [],
  name = '',
  least = LEAST,
  bridgeVariables = {},
) {
  const state = process.env.CAUSEWAY_TEST_STATE
    ? join(process.env.CAUSEWAY_TEST_STATE, name)
    : mkdtempSync(join(tmpdir(), 'causeway-test-'));
  const ports = await freePorts();
  const github = await RecordingProxy.start(`http://127.0.0.1:${ports.github}`);
  const graph = await RecordingProxy.start(`http://127.0.0.1:${ports.entra}`);
  // A proxy between the bridge and what it delivers to.
  /** @type {Set<string>} */
  const undescribed = new Set();
  const deliveries =
    target === 'spin'
      ? await RedisProxy.start(ports.redis)
      : await RecordingProxy.start(`http://127.0.0.1:${ports.edge}`, ({ method, path }, answer, text) => {
          const exchanged = { method, target: path, status: answer.statusCode ?? 0, headers: answer.headers, text };
          for (const difference of differences(exchanged)) undescribed.add(`${method} ${path}: ${difference}`);
        });
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
    bridgeVariables: {
      ...(deliveries instanceof RedisProxy
        ? { BRIDGE_REDIS_URL: redisUrl(deliveries.port, secrets(state)) }
        : { BRIDGE_EDGE_URL: deliveries.origin }),
      ...bridgeVariables,
    },
  });
  console.log(`# stack on ${target} in ${state}${externalBrokers ? `, Kafka at ${externalBrokers}` : ''}`);
  if (process.env.KAFKA_BROKERS && !externalBrokers)
    console.log('# KAFKA_BROKERS is left alone: CAUSEWAY_TEST_EXTERNAL_KAFKA=1 lets tests write there');
  edges.push(stack.edgeOrigin);
  await stack.start((name, milliseconds) => console.log(`#   ${name} ready after ${milliseconds} ms`));
  afterAll(async () => {
    let metrics = '';
    try {
      if (stack.parts.bridge.running) metrics = await (await fetch(`http://127.0.0.1:${ports.metrics}/metrics`)).text();
    } finally {
      await stack.stop();
      for (const between of [github, graph, deliveries]) between.close();
    }
    assert.deepEqual([...undescribed], [], "docs/openapi.yaml does not describe the edge's answers to the bridge");
    assertNothingLeaked(stack, state, metrics, [...github.tokens(), ...graph.tokens(), ...secretsInUse()], least);
  });
  // Only at the exit is it known whether a test failed.
  process.on('exit', (code) => {
    if (code === 0 && !process.env.CAUSEWAY_TEST_STATE) rmSync(state, { recursive: true, force: true });
  });
  return { stack, github, graph, deliveries };
}

/**
 * The leak scan of a stack that has ended.
 * @param {Stack} stack @param {string} state @param {string} metrics of the bridge
 * @param {readonly string[]} tokens that were in use @param {import('./leak.mjs').Amount} least
 */
function assertNothingLeaked(stack, state, metrics, tokens, least) {
  const logs = globSync(`${state}/**/log/{edge,bridge}*.log`);
  const texts = {
    ...Object.fromEntries(logs.map((file) => [file, readFileSync(file, 'utf8')])),
    ...(metrics && { '/metrics': metrics }),
  };
  const values = [...secretValues(stack.secrets), ...everyCode, ...tokens];
  const isOf = (/** @type {string} */ edge, /** @type {string} */ url) => url.startsWith(`${edge}/`);
  // Includes the answers of edges that a test started, and browsers' streams, which have no URL.
  const answers = everyAnswer.filter(
    ({ url }) => isOf(stack.edgeOrigin, url) || !edges.some((edge) => isOf(edge, url)),
  );
  const seen = assertNoLeak({ answers, texts, values }, isWhole ? least : LEAST);
  console.log(
    `# no leak of ${seen.values} secrets in ${seen.answers} answers and ${seen.lines} lines of ${logs.length} logs${metrics && " and the bridge's metrics"}`,
  );
}

function targetOfRun() {
  const name = process.env.CAUSEWAY_TARGET || 'workers';
  if (!isTarget(name)) throw new Error(`CAUSEWAY_TARGET=${name} is not a target`);
  return name;
}
