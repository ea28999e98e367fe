// What scripts/dev runs once everything is built: the stack on the default ports, until Ctrl-C or until a part dies.

import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { CACHE } from './place.mjs';
import { DEFAULT_PORTS } from './port.mjs';
import { PartError } from './process.mjs';
import { PARTS, Stack } from './stack.mjs';

// The emulators' process takes adjacent ports, so Entra's is no choice of its own.
const CHOOSABLE = Object.keys(DEFAULT_PORTS).filter((name) => name !== 'entra');

const { values } = parseArgs({
  options: {
    state: { type: 'string', default: join(CACHE, 'dev') },
    ...Object.fromEntries(CHOOSABLE.map((name) => [`${name}-port`, { type: 'string' }])),
  },
});
const chosen = /** @type {Record<string, string | undefined>} */ (values);
const ports = /** @type {import('./port.mjs').Ports} */ (
  Object.fromEntries(Object.entries(DEFAULT_PORTS).map(([name, port]) => [name, Number(chosen[`${name}-port`] ?? port)]))
);
ports.entra = ports.github + 1;

const stack = new Stack({ state: /** @type {string} */ (values.state), ports });
let stopping = false;

/** @param {number} code */
async function stop(code) {
  if (stopping) return;
  stopping = true;
  process.stderr.write('\nstopping …\n');
  await stack.stop();
  process.exit(code);
}

process.on('SIGINT', () => void stop(0));
process.on('SIGTERM', () => void stop(0));
process.on('SIGHUP', () => void stop(0));
for (const name of PARTS) {
  stack.parts[name].onDeath = (error) => {
    process.stderr.write(`\n${error.message}\n`);
    void stop(1);
  };
}

try {
  await stack.start((name, milliseconds) => process.stderr.write(`  ${name.padEnd(10)} ready after ${(milliseconds / 1000).toFixed(1)} s\n`));
  process.stdout.write(`\n  open ${stack.hostOrigin}/    (logs in ${join(stack.state, 'log')}; Ctrl-C stops everything)\n\n`);
} catch (error) {
  if (!stopping) {
    process.stderr.write(`\n${error instanceof PartError ? error.message : /** @type {Error} */ (error).stack}\n`);
    await stop(1);
  }
}
