// Redis: Debian's server in a directory of its own, which keeps its data and its users across restarts. Edge and
// bridge log in as the user that docs/deploy-spin.md tells operators to create, so tests show that its permissions
// suffice. The default user is off, as documented.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
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

/** The documented users but the administrator, as the file has them. @param {string} password */
function users(password) {
  const page = readFileSync(join(ROOT, 'docs/deploy-spin.md'), 'utf8');
  const [, others] = /^ {4}(user default off .*)$/m.exec(page) ?? [];
  const [, own] = /^ {4}ACL SETUSER (causeway on >PASSWORD .*)$/m.exec(page) ?? [];
  if (!others || !own) throw new PartError('redis: docs/deploy-spin.md does not say how to create the users.');
  return `${others}\nuser ${own.replace('PASSWORD', password)}\n`;
}

/** @param {{ state: string, port: number, secrets: import('../secret.mjs').Secrets }} options */
export function redisPart({ state, port, secrets }) {
  const directory = join(state, 'redis');
  const file = join(directory, 'users.acl');
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
      '--aclfile',
      file,
    ],
    ports: [port],
    prepare: () => {
      mkdirSync(directory, { recursive: true });
      writeFileSync(file, users(secrets.redisPassword), { mode: 0o600 });
    },
    ready: () => answersPing(port, secrets.redisPassword),
    hint: 'run scripts/setup, which installs redis-server; remove the state directory if it is from a newer version.',
  });
}

/**
 * Whether it has loaded its data. Until then it answers a PING with an error. Without a login it always does.
 * @param {number} port @param {string} password @returns {Promise<boolean>}
 */
function answersPing(port, password) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(`AUTH causeway ${password}\r\nPING\r\n`));
    let answers = '';
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('data', (data) => {
      answers += data;
      if (answers.split('\r\n').length <= 2) return;
      resolve(answers === '+OK\r\n+PONG\r\n');
      socket.destroy();
    });
    socket.once('error', () => resolve(false)).once('close', () => resolve(false));
  });
}
