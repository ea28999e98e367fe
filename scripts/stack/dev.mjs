// Runs the stack for scripts/dev, once everything is built, until Ctrl-C or until a part ends. With --check it only
// checks its arguments and prints the runtime they choose.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs, parseEnv } from 'node:util';

import { CACHE } from './path.mjs';
import { PartError } from './process.mjs';
import { Stack } from './stack.mjs';
import { isTarget, TARGETS } from './target.mjs';

/** @typedef {import('./target.mjs').Ports} Ports */

/** Parts that a developer may run in place of the stack's own. */
const LEFT_OUT = /** @type {const} */ ({ assistant: 'assistant', page: 'host' });

/** @param {string} message @returns {never} */
function refuse(message) {
  process.stderr.write(`dev: ${message}, see --help\n`);
  process.exit(2);
}

const { target, state, ports, only, edgeVariables, checkOnly } = readArguments();
if (checkOnly) {
  process.stdout.write(`${target}\n`);
  process.exit(0);
}

const stack = new Stack({ target, state, ports, only, edgeVariables });
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
for (const name of stack.only) {
  stack.parts[name].onDeath = (error) => {
    process.stderr.write(`\n${error.message}\n`);
    void stop(1);
  };
}

try {
  await stack.start((name, milliseconds) =>
    process.stderr.write(`  ${name.padEnd(10)} ready after ${(milliseconds / 1000).toFixed(1)} s\n`),
  );
  const page = only.includes('host') ? stack.hostOrigin : stack.edgeOrigin;
  process.stdout.write(`\n  open ${page}/    (logs in ${join(stack.state, 'log')}; Ctrl-C stops everything)\n\n`);
} catch (error) {
  if (!stopping) {
    process.stderr.write(`\n${error instanceof PartError ? error.message : /** @type {Error} */ (error).stack}\n`);
    await stop(1);
  }
}

function readArguments() {
  const names = /** @type {(keyof Ports)[]} */ (Object.keys(TARGETS.spin.ports));
  /** @type {Record<string, { type: 'string' | 'boolean' }>} */
  const options = { check: { type: 'boolean' }, state: { type: 'string' }, settings: { type: 'string' } };
  for (const name of Object.keys(LEFT_OUT)) options[`no-${name}`] = { type: 'boolean' };
  for (const name of names) options[`${name}-port`] = { type: 'string' };
  try {
    const { values, positionals } = parseArgs({ options, allowPositionals: true });
    const [chosen = 'workers', ...more] = positionals;
    if (!isTarget(chosen) || more.length) return refuse(`unknown argument '${isTarget(chosen) ? more[0] : chosen}'`);
    /** @param {keyof Ports} name */
    const chosenPort = (name) => {
      const text = values[`${name}-port`];
      if (text === undefined) return undefined;
      const port = Number(text);
      return Number.isInteger(port) && port > 0 && port < 65_536
        ? port
        : refuse(`--${name}-port ${text} is not a port`);
    };
    const ports = /** @type {Ports} */ (
      Object.fromEntries(names.map((name) => [name, chosenPort(name) ?? TARGETS[chosen].ports[name]]))
    );
    // The emulators are one process, and it takes adjacent ports.
    if (chosenPort('github') === undefined) ports.github = (chosenPort('entra') ?? ports.entra) - 1;
    const entra = ports.github + 1;
    if ((chosenPort('entra') ?? entra) !== entra)
      refuse(`--entra-port must be ${entra}, the one after GitHub's, or left out`);
    ports.entra = entra;
    const state =
      /** @type {string | undefined} */ (values.state) ?? join(CACHE, chosen === 'workers' ? 'dev' : `dev-${chosen}`);
    const without = Object.entries(LEFT_OUT).filter(([name]) => values[`no-${name}`]);
    const only = TARGETS[chosen].parts.filter((part) => without.every(([, left]) => left !== part));
    const edgeVariables = readSettings(/** @type {string | undefined} */ (values.settings));
    return { target: chosen, state, ports, only, edgeVariables, checkOnly: values.check === true };
  } catch (error) {
    return refuse(/** @type {Error} */ (error).message.split(/[\n.]/)[0] ?? '');
  }
}

/** Settings of the edge from a file like .dev.vars.example. @param {string | undefined} file */
function readSettings(file) {
  if (file === undefined) return {};
  /** @type {NodeJS.Dict<string>} */
  let settings;
  try {
    settings = parseEnv(readFileSync(file, 'utf8'));
  } catch (error) {
    return refuse(`--settings ${file} cannot be read (${/** @type {NodeJS.ErrnoException} */ (error).code})`);
  }
  for (const [name, value] of Object.entries(settings)) {
    // They pass through a file of the same form, which cannot have both.
    if (value?.includes("'") && value.includes('"')) return refuse(`--settings: ${name} has both kinds of quotes`);
  }
  return settings;
}
