// Redis: Debian's server, in a directory of its own, which keeps what it was told when it is restarted.

import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { Part } from '../process.mjs';

/** @param {{ state: string, port: number }} options */
export function redisPart({ state, port }) {
  const directory = join(state, 'redis');
  return new Part({
    name: 'redis',
    state,
    command: [
      'redis-server', '--bind', '127.0.0.1', '--port', String(port), '--dir', directory,
      '--appendonly', 'yes', '--save', '', '--maxmemory-policy', 'noeviction', '--daemonize', 'no',
    ],
    ports: [port],
    prepare: () => void mkdirSync(directory, { recursive: true }),
    ready: () => answersPing(port),
    hint: 'run scripts/setup, which installs redis-server; remove the state directory if it is from a newer version.',
  });
}

/** Whether it has loaded its data: until then every command is an error. @param {number} port @returns {Promise<boolean>} */
function answersPing(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.setTimeout(1_000, () => socket.destroy());
    socket.once('data', (data) => {
      resolve(data.toString().startsWith('+PONG'));
      socket.destroy();
    });
    socket.once('error', () => resolve(false)).once('close', () => resolve(false));
  });
}
