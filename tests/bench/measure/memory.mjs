// The memory that idle streams need in the processes that serve them.

import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

import { Stream } from '../../support/stream.mjs';

export const STREAMS = 1000;
/** Long enough for every stream's first keep-alive, so that its allocations count, too. */
const SETTLE_MS = 20_000;

/**
 * @param {import('../../../scripts/stack/stack.mjs').Stack} stack
 * @param {import('../../support/edge-browser.mjs').EdgeBrowser[]} browsers that open the streams, in turn
 */
export async function memoryOfStreams(stack, browsers) {
  const parts = { edge: stack.parts.edge, bridge: stack.parts.bridge };
  const before = { edge: residentMb(parts.edge), bridge: residentMb(parts.bridge) };
  /** @type {Stream[]} */
  const streams = [];
  for (let opened = 0; opened < STREAMS; opened += browsers.length) {
    const some = await Promise.all(browsers.slice(0, STREAMS - opened).map((browser) => Stream.open(browser)));
    await Promise.all(some.map((stream) => stream.opened()));
    streams.push(...some);
  }
  await delay(SETTLE_MS);
  const alive = streams.filter(
    ({ status, closed, comments }) => status === 200 && !closed && comments.length > 1,
  ).length;
  if (alive !== STREAMS) throw new Error(`${alive} of ${STREAMS} streams are alive`);
  const after = { edge: residentMb(parts.edge), bridge: residentMb(parts.bridge) };
  for (const stream of streams) stream.cut();
  return {
    edge: { before: before.edge, after: after.edge },
    bridge: { before: before.bridge, after: after.bridge },
  };
}

/**
 * Resident memory of a part's processes, without scripts that start them and serve no requests.
 * @param {import('../../../scripts/stack/process.mjs').Part} part
 */
function residentMb(part) {
  let kilobytes = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      // After the name in parentheses: state, parent, process group.
      const group = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').pop()?.split(' ')[2];
      if (Number(group) !== part.pid) continue;
      const status = readFileSync(`/proc/${pid}/status`, 'utf8');
      if (/^Name:\s+(node|npm|sh|esbuild|MainThread)/m.test(status)) continue;
      kilobytes += Number(status.match(/^VmRSS:\s+(\d+) kB$/m)?.[1] ?? 0);
    } catch {
      // The process has ended.
    }
  }
  if (!kilobytes) throw new Error(`${part.name} has no process`);
  return Math.round(kilobytes / 1000);
}
