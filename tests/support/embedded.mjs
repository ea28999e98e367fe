// A stack whose host page is on another site than its edge. `127.0.0.1` and `localhost` are two sites, and browsers
// trust both without TLS.

import { startStack } from './stack.mjs';

/** @param {readonly import('./stack.mjs').PartName[]} only @param {() => readonly string[]} [secretsInUse] */
export async function startEmbedded(only, secretsInUse = () => []) {
  const origin = (/** @type {{ host: number }} */ { host }) => `http://127.0.0.1:${host}`;
  const started = await startStack(
    only,
    (ports) => ({ EMBED: 'cross-site', HOST_ORIGINS: origin(ports) }),
    secretsInUse,
    'embedded',
    { answers: 40, lines: 20, values: 10 },
  );
  return { ...started, pageOrigin: origin(started.stack.ports) };
}
