// Runs the stack for scripts/dev, once everything is built, until Ctrl-C or until a part ends. With --check it only
// checks its arguments and prints the runtime they choose.

import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { isSelfSigned } from './part/https.mjs';
import { CACHE } from './path.mjs';
import { PartError } from './process.mjs';
import { Stack } from './stack.mjs';
import { isTarget, TARGETS } from './target.mjs';

/** @typedef {import('./target.mjs').Ports} Ports */

/** @param {string} message @returns {never} */
function refuse(message) {
  process.stderr.write(`dev: ${message}, see --help\n`);
  process.exit(2);
}

const { target, state, ports, https, checkOnly } = readArguments();
if (checkOnly) {
  process.stdout.write(`${target}\n`);
  process.exit(0);
}

const stack = new Stack({ target, state, ports, https });
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
  process.stdout.write(
    `\n  open ${stack.hostOrigin}/    (logs in ${join(stack.state, 'log')}; Ctrl-C stops everything)\n\n`,
  );
  if (https && isSelfSigned(state))
    process.stdout.write(
      `  The certificate is self-signed: open ${stack.edgeOrigin}/ first and accept it, then the page. With mkcert on PATH, and\n` +
        `  after mkcert -install, browsers trust it: remove ${join(state, 'tls')} and start again.\n\n`,
    );
} catch (error) {
  if (!stopping) {
    process.stderr.write(`\n${error instanceof PartError ? error.message : /** @type {Error} */ (error).stack}\n`);
    await stop(1);
  }
}

function readArguments() {
  const names = /** @type {(keyof Ports)[]} */ (Object.keys(TARGETS.spin.ports));
  /** @type {Record<string, { type: 'string' | 'boolean' }>} */
  const options = { check: { type: 'boolean' }, https: { type: 'boolean' }, state: { type: 'string' } };
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
    return { target: chosen, state, ports, https: values.https === true, checkOnly: values.check === true };
  } catch (error) {
    return refuse(/** @type {Error} */ (error).message.split(/[\n.]/)[0] ?? '');
  }
}
