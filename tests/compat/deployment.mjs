// A deployment whose parts come from two trees: this one, and that of the last release before it. Kafka, Redis and the
// providers' emulators run all the time; edge and bridge are replaced one by one, and keep what they have stored.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { ROOT } from '../../scripts/stack/path.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { Stack } from '../../scripts/stack/stack.mjs';
import { versionsOf } from '../layout/release.mjs';
import { afterAll } from '../support/after-all.mjs';
import { Kafka } from '../support/kafka.mjs';
import { target } from '../support/stack.mjs';

/** @typedef {'release' | 'tree'} Origin */

const before = process.env.CAUSEWAY_RELEASE_BEFORE;
if (!before) throw new Error('CAUSEWAY_RELEASE_BEFORE names no tree: run scripts/test compat');

const state = process.env.CAUSEWAY_TEST_STATE || mkdtempSync(join(tmpdir(), 'causeway-test-'));
const options = { target, state, ports: await freePorts(), brokers: '' };
const tree = new Stack({ ...options, only: ['kafka', 'redis', 'emulators'] });
/** @type {Record<Origin, Stack>} */
const stacks = { tree, release: await stackOf(before) };

console.log(`# ${target}: ${before} beside this tree, in ${state}`);
await tree.start();
afterAll(async () => {
  await stop();
  await tree.stop();
});
// Only at the exit is it known whether a test failed.
process.on('exit', (code) => {
  if (code === 0 && !process.env.CAUSEWAY_TEST_STATE) rmSync(state, { recursive: true, force: true });
});

export const origins = { edgeOrigin: tree.edgeOrigin, hostOrigin: tree.hostOrigin };
export const kafka = new Kafka(tree.brokers);

/** The versions of edge, bridge and contract. @type {Record<Origin, ReturnType<typeof versionsOf>>} */
export const versions = { tree: versionsIn(ROOT), release: versionsIn(before) };

/** Replaces both parts. @param {Record<'edge' | 'bridge', Origin>} from which tree each comes */
export async function deploy({ edge, bridge }) {
  await stop();
  await stacks[edge].parts.edge.start();
  await stacks[bridge].parts.bridge.start();
}

/** The log of edge and bridge since the last deployment. @param {Record<'edge' | 'bridge', Origin>} from */
export function logOf({ edge, bridge }) {
  return stacks[edge].parts.edge.output() + stacks[bridge].parts.bridge.output();
}

async function stop() {
  const parts = Object.values(stacks).flatMap((stack) => [stack.parts.bridge, stack.parts.edge]);
  await Promise.all(parts.map((part) => part.stop()));
}

/**
 * The parts as another tree starts them, with the settings that it knows. Its programs are in a target directory of its
 * own, beside it.
 * @param {string} root
 */
async function stackOf(root) {
  const own = process.env.CARGO_TARGET_DIR;
  process.env.CARGO_TARGET_DIR = join(root, '../target');
  try {
    const { Stack: Other } = await import(join(root, 'scripts/stack/stack.mjs'));
    return new Other({ ...options, only: [] });
  } finally {
    if (own === undefined) delete process.env.CARGO_TARGET_DIR;
    else process.env.CARGO_TARGET_DIR = own;
  }
}

/** @param {string} root */
function versionsIn(root) {
  return versionsOf((path) => readFileSync(join(root, path), 'utf8'));
}
