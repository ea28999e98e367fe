// Finds free ports for tests, and the program that holds a port.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';

import { TARGETS } from './target.mjs';

/** @typedef {import('./target.mjs').Ports} Ports */

const NAMES = /** @type {(keyof Ports)[]} */ (Object.keys(TARGETS.spin.ports));
// Below Linux's ephemeral range: no outgoing connection takes one between the check and the start.
const TEST_PORTS_FROM = 20_000;
const TEST_PORTS_TO = 31_000;

/**
 * Finds as many adjacent free ports as a stack can need. They are this process' own until it ends: it listens on the
 * one before them, which others that look for ports try first. Parts may start much later.
 * @returns {Promise<Ports>}
 */
export async function freePorts() {
  const size = NAMES.length + 1;
  for (let attempt = 0; attempt < 100; attempt++) {
    const reserved = TEST_PORTS_FROM + size * Math.floor((Math.random() * (TEST_PORTS_TO - TEST_PORTS_FROM)) / size);
    const reservation = await listen(reserved);
    if (!reservation) continue;
    reservation.unref();
    const ports = /** @type {Ports} */ (Object.fromEntries(NAMES.map((name, index) => [name, reserved + 1 + index])));
    if ((await Promise.all(Object.values(ports).map(isFree))).every(Boolean)) return ports;
    reservation.close();
  }
  throw new Error(`no ${NAMES.length} adjacent free ports between ${TEST_PORTS_FROM} and ${TEST_PORTS_TO}`);
}

/** @param {number} port @returns {Promise<boolean>} */
export async function isFree(port) {
  const server = await listen(port);
  if (!server) return false;
  await new Promise((resolve) => server.close(resolve));
  return true;
}

/** @param {number} port @returns {Promise<import('node:net').Server | undefined>} `undefined` if another one listens */
function listen(port) {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

/** Describes the program that listens on a port, as far as this user may see. @param {number} port @returns {string} */
export function holder(port) {
  const inode = listeningInode(port);
  if (!inode) return 'another program';
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const holds = readdirSync(`/proc/${pid}/fd`).some(
        (fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`,
      );
      if (holds)
        return `process ${pid} (${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim().slice(0, 100)})`;
    } catch {
      // The process has ended, or belongs to another user.
    }
  }
  return "another user's program";
}

/** @param {number} port */
function listeningInode(port) {
  const LISTEN = '0A';
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    try {
      for (const line of readFileSync(table, 'utf8').split('\n').slice(1)) {
        const [, local, , state, , , , , , inode] = line.trim().split(/\s+/);
        if (state === LISTEN && Number.parseInt(local?.split(':').pop() ?? '', 16) === port) return inode;
      }
    } catch {
      // No such file: not Linux, or no IPv6.
    }
  }
  return undefined;
}
