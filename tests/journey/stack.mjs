// The one stack that all test files of a run share; its start is most of what they cost.
//
// Imported by each file; with `--test-isolation=none` they are one process, so this module is evaluated once.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

import { freePorts } from '../../scripts/stack/port.mjs';
import { Stack } from '../../scripts/stack/stack.mjs';
import { Upstream } from './upstream.mjs';

/** @typedef {import('../../scripts/stack/stack.mjs').PartName} PartName */

/**
 * Starts a stack on free ports and stops it after the last test. Its state is removed unless a test failed.
 * @param {readonly PartName[]} only
 */
export async function startStack(only) {
  const state = process.env.CAUSEWAY_TEST_STATE ?? mkdtempSync(join(tmpdir(), 'causeway-test-'));
  const ports = await freePorts();
  const github = await Upstream.start(`http://127.0.0.1:${ports.github}`);
  const graph = await Upstream.start(`http://127.0.0.1:${ports.entra}`);
  const deliveries = await Upstream.start(`http://127.0.0.1:${ports.edge}`);
  const stack = new Stack({
    state,
    ports,
    only,
    edgeVariables: { GITHUB_API_URL: github.origin, GRAPH_URL: graph.origin },
    bridgeVariables: { BRIDGE_EDGE_URL: deliveries.origin },
  });
  console.log(`# stack in ${state}`);
  await stack.start((name, milliseconds) => console.log(`#   ${name} ready after ${milliseconds} ms`));
  after(async () => {
    await stack.stop();
    github.close();
    graph.close();
    deliveries.close();
    // The runner sets the code as soon as a test fails.
    if (!process.exitCode && !process.env.CAUSEWAY_TEST_STATE) rmSync(state, { recursive: true, force: true });
  });
  return { stack, github, graph, deliveries };
}
