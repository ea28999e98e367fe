// Measures the stacks that scripts/bench has built.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';

import { USERS } from '../../scripts/stack/part/emulators.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { Stack } from '../../scripts/stack/stack.mjs';
import { load, warmUp } from './load.mjs';
import { memoryOfStreams } from './memory.mjs';
import { signedIn } from '../support/sign-in.mjs';

/** @typedef {import('../../scripts/stack/target.mjs').Target} Target */

const STREAM_USERS = 40;

/** @param {string} text */
const log = (text) => void process.stderr.write(`bench: ${text}\n`);

/** @param {Target} target */
async function measure(target) {
  const state = mkdtempSync(join(tmpdir(), 'causeway-bench-'));
  const logins = Array.from({ length: STREAM_USERS }, (_, index) => `listener-${index}`);
  const users = [...USERS, ...logins.map((login) => ({ login, name: login, email: `${login}@causeway.example` }))];
  const only = /** @type {const} */ (['kafka', 'redis', 'emulators', 'edge', 'bridge']);
  const stack = new Stack({ target, state, ports: await freePorts(), only, brokers: '', users, quietEdge: true });
  process.once('exit', () => rmSync(state, { recursive: true, force: true }));
  await stack.start((name) => log(`${target}: ${name} is ready`));
  try {
    // Before the load, whose garbage would count as memory of the streams.
    log(`${target}: streams`);
    const browsers = [];
    for (const login of logins) browsers.push((await signedIn(stack, 'github', login)).browser);
    const memory = await memoryOfStreams(stack, browsers);
    log(`${target}: load`);
    const { browser } = await signedIn(stack, 'github', 'ada');
    /** @type {[string, Record<string, string>]} */
    const healthz = [`${stack.edgeOrigin}/healthz`, {}];
    /** @type {[string, Record<string, string>]} */
    const whoAmI = [
      `${stack.edgeOrigin}/auth/session`,
      { ...browser.scriptHeaders(), Cookie: browser.cookieHeader ?? '' },
    ];
    for (const request of [healthz, whoAmI]) await warmUp(...request);
    return { target, floor: await load(...healthz), session: await load(...whoAmI), memory };
  } finally {
    await stack.stop();
  }
}

const results = [await measure('workers'), await measure('spin')];

const spin = execFileSync(
  'bash',
  ['-c', '. scripts/env && { spin_is_installed && spin --version || echo "tests/spin-host"; }'],
  { encoding: 'utf8' },
).trim();
const names = { workers: 'Workers (wrangler dev)', spin: `Spin (${spin})` };
const column = (/** @type {(result: typeof results[number]) => string} */ cell) => results.map(cell).join(' | ');
const rows = [
  `|  | ${column(({ target }) => names[target])} |`,
  `|---|${'---|'.repeat(results.length)}`,
  `| \`/healthz\`, requests/s | ${column(({ floor }) => floor.perSecond.toFixed(0))} |`,
  `| \`/healthz\`, p99 | ${column(({ floor }) => `${floor.p99Ms.toFixed(1)} ms`)} |`,
  `| \`/auth/session\`, requests/s | ${column(({ session }) => session.perSecond.toFixed(0))} |`,
  `| \`/auth/session\`, p99 | ${column(({ session }) => `${session.p99Ms.toFixed(1)} ms`)} |`,
  `| \`/auth/session\` ÷ \`/healthz\`, requests/s | ${column(({ floor, session }) => (session.perSecond / floor.perSecond).toFixed(2))} |`,
  `| \`/auth/session\` ÷ \`/healthz\`, p99 | ${column(({ floor, session }) => (session.p99Ms / floor.p99Ms).toFixed(2))} |`,
  `| edge, before and with 1000 idle streams | ${column(({ memory }) => `${memory.edge.before} → ${memory.edge.after} MB`)} |`,
  `| bridge, before and with 1000 idle streams | ${column(({ memory }) => `${memory.bridge.before} → ${memory.bridge.after} MB`)} |`,
  `| both, per idle stream | ${column(({ memory }) => `${(memory.edge.after - memory.edge.before + memory.bridge.after - memory.bridge.before).toFixed(0)} kB`)} |`,
];
process.stdout.write(
  `${rows.join('\n')}\n\n${cpus().length} cores, ${cpus()[0]?.model ?? 'unknown'}; ${new Date().toISOString().slice(0, 10)}\n`,
);
