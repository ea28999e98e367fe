// The Redis that docs/deploy-spin.md and scripts/configure set up together, on the real server: its users survive a
// restart with what they wrote, and the default user can't log in.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';

import { folder, provider, ROOT, SPIN } from './run.mjs';

const PAGE = readFileSync(join(ROOT, 'docs/deploy-spin.md'), 'utf8');
const ADMIN = 'ADMIN_PASSWORD';
const WITHOUT = 'CAUSEWAY_TEST_WITHOUT_REDIS';

/** The settings and the users that the page tells operators to begin with. @param {string} users its file */
function documented(users) {
  const [, list = ''] = /^Edge and bridge share one database\.[^]*?\n\n((?:- .*\n)+)/m.exec(PAGE) ?? [];
  const settings = [...list.matchAll(/`((?:append|maxmemory|aclfile)[^`]*)`/g)].map(([, it = '']) => it);
  assert.ok(settings.includes('aclfile /etc/redis/users.acl'), 'the page names the file of the users');
  return {
    settings: settings.map((it) => it.replace('/etc/redis/users.acl', users)),
    users: [...PAGE.matchAll(/^ {4}(user .*)$/gm)].map(([, it]) => it),
  };
}

/** @param {import('node:test').TestContext} context @param {string} home */
async function server(context, home) {
  const port = await freePort();
  mkdirSync(home, { recursive: true });
  const users = join(home, 'users.acl');
  const page = documented(users);
  writeFileSync(users, `${page.users.join('\n')}\n`);
  const file = join(home, 'redis.conf');
  writeFileSync(file, [`port ${port}`, 'bind 127.0.0.1', `dir ${home}`, ...page.settings, ''].join('\n'));
  /** @type {import('node:child_process').ChildProcess | undefined} */
  let child;
  const stop = async () => {
    if (child?.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  };
  context.after(stop);
  return {
    port,
    async restart() {
      await stop();
      child = spawn('redis-server', [file], { stdio: ['ignore', 'pipe', 'inherit'] });
      const said = [];
      for await (const line of createInterface({
        input: /** @type {import('node:stream').Readable} */ (child.stdout),
      })) {
        said.push(line);
        if (line.includes('Ready to accept connections')) return;
      }
      assert.fail(`redis-server ended: ${said.slice(-5).join('\n')}`);
    },
  };
}

/** @returns {Promise<number>} */
async function freePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address());
  probe.close();
  await once(probe, 'close');
  return port;
}

/**
 * The first line of the answer to each command, sent as redis-cli sends a file.
 * @param {number} port @param {string[]} commands @returns {Promise<string[]>}
 */
async function say(port, commands) {
  const socket = connect(port, '127.0.0.1');
  socket.setTimeout(10_000, () => socket.destroy(new Error('Redis does not answer')));
  socket.write([...commands, 'QUIT', ''].join('\r\n'));
  let text = '';
  for await (const part of socket) text += part;
  return text
    .split('\r\n')
    .filter((line) => /^[+\-:]/.test(line))
    .slice(0, commands.length);
}

test('Redis keeps its user and all data, and stays closed over restarts', async (context) => {
  if (process.env[WITHOUT]) return context.skip(WITHOUT);
  assert.equal(
    spawnSync('redis-server', ['--version']).status,
    0,
    `redis-server is missing: scripts/setup, or ${WITHOUT}=1`,
  );
  const at = folder(context);
  at.run([...SPIN, ...provider(at, 'entra')]);
  const redis = await server(context, join(at.out, '../redis'));
  await redis.restart();

  const commands = at.read('redis.acl').trimEnd().split('\n');
  assert.deepEqual(
    await say(redis.port, commands),
    commands.map(() => '-NOAUTH Authentication required.'),
  );
  const answers = await say(redis.port, [`AUTH admin ${ADMIN}`, ...commands]);
  assert.deepEqual(answers, ['+OK', ...commands.map(() => '+OK')]);

  await redis.restart();
  const { username, password } = new URL(at.env('bridge.env').BRIDGE_REDIS_URL ?? '');
  const login = `AUTH ${username} ${password}`;
  assert.deepEqual(await say(redis.port, [login, 'SET causeway:x 1', 'EVAL "return 7" 0', 'PUBLISH causeway:y z']), [
    '+OK',
    '+OK',
    ':7',
    ':0',
  ]);
  // The append-only file has the writes of a script as one transaction.
  const script = `EVAL "for i, key in ipairs(KEYS) do redis.call('SET', key, i) end return 1" 2 causeway:a causeway:b`;
  assert.deepEqual(await say(redis.port, [login, script]), ['+OK', ':1']);
  const refused = await say(redis.port, [login, 'SET other 1', 'ACL LIST', 'FLUSHALL']);
  for (const line of refused.slice(1)) assert.match(line, /^-NOPERM/);
  assert.deepEqual(await say(redis.port, ['GET causeway:x']), ['-NOAUTH Authentication required.']);

  // A rotation as the page describes it.
  const rotation = [...PAGE.matchAll(/`(ACL SETUSER causeway [<>]\w+|ACL SAVE)`/g)]
    .map(([, it = '']) => it)
    .slice(0, 4);
  assert.deepEqual(
    rotation.map((it) => it.split(' ')[1]),
    ['SETUSER', 'SAVE', 'SETUSER', 'SAVE'],
  );
  const rotate = rotation.map((it) => it.replace('>NEW', '>next').replace('<OLD', `<${password}`));
  assert.deepEqual(await say(redis.port, [`AUTH admin ${ADMIN}`, ...rotate]), Array(5).fill('+OK'));
  await redis.restart();
  const read = ['x', 'a', 'b'].map((key) => `EXISTS causeway:${key}`);
  assert.deepEqual(await say(redis.port, [`AUTH ${username} next`, ...read]), ['+OK', ':1', ':1', ':1']);
  for (const command of ['GET causeway:x', 'EVAL "return 7" 0'])
    assert.deepEqual(await say(redis.port, [command]), ['-NOAUTH Authentication required.']);
  for (const command of ['AUTH default x', 'HELLO 3 AUTH default x'])
    assert.match((await say(redis.port, [command]))[0] ?? '', /^-WRONGPASS/);
  const [old = '', next] = await Promise.all(
    [login, `AUTH ${username} next`].map(async (it) => (await say(redis.port, [it]))[0]),
  );
  assert.match(old, /^-WRONGPASS/);
  assert.equal(next, '+OK');
});
