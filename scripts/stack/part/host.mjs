// The page that embeds the widget, on an origin of its own.

import { join } from 'node:path';

import { ROOT } from '../path.mjs';
import { Part } from '../process.mjs';

/** @param {{ state: string, ports: import('../target.mjs').Ports, edgeOrigin: string }} options */
export function hostPart({ state, ports, edgeOrigin }) {
  return new Part({
    name: 'host',
    state,
    command: [
      process.execPath,
      join(ROOT, 'examples/host/server.mjs'),
      '--port',
      String(ports.host),
      '--edge',
      edgeOrigin,
    ],
    ports: [ports.host],
    ready: async () => (await fetch(`http://localhost:${ports.host}/`)).ok,
    hint: 'see its log.',
  });
}
