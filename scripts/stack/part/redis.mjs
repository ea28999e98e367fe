// Redis: Debian's server in a directory of its own, which keeps its data across restarts. Edge and bridge log in as the
// user that docs/deploy-spin.md tells operators to create, so tests show that its permissions suffice.

import { mkdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';

import { ROOT } from '../path.mjs';
import { Part, PartError } from '../process.mjs';

/**
 * The URL for edge and bridge, of Redis itself or of a proxy before it.
 * @param {number} port @param {import('../secret.mjs').Secrets} secrets
 */
export function redisUrl(port, secrets) {
  return `redis://causeway:${secrets.redisPassword}@127.0.0.1:${port}`;
}

/** The rules of the documented user. @param {string} password */
function user(password) {
  const [, rules] =
    /^ {4}ACL SETUSER (causeway on >PASSWORD .*)$/m.exec(readFileSync(join(ROOT, 'docs/deploy-spin.md'), 'utf8')) ?? [];
  if (!rules) throw new PartError('redis: docs/deploy-spin.md does not say how to create the user.');
  return rules.replace('PASSWORD', password).split(' ');
}

/** @param {{ state: string, port: number, secrets: import('../secret.mjs').Secrets }} options */
export function redisPart({ state, port, secrets }) {
  const directory = join(state, 'redis');
  return new Part({
    name: 'redis',
    state,
    command: [
      'redis-server',
      '--bind',
      '127.0.0.1',
      '--port',
      String(port),
      '--dir',
      directory,
      '--appendonly',
      'yes',
      '--appendfsync',
      'always',
      '--save',
      '',
      '--maxmemory-policy',
      'noeviction',
      '--daemonize',
      'no',
      '--user',
      ...user(secrets.redisPassword),
    ],
    ports: [port],
    prepare: () => void mkdirSync(directory, { recursive: true }),
    ready: () => answersPing(port),
    hint: 'run scripts/setup, which installs redis-server; remove the state directory if it is from a newer version.',
  });
}

/**
 * Whether it has loaded its data. Until then it answers every command with an error.
 * @param {number} port @returns {Promise<boolean>}
 */
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
