// One part of the stack: a program in its own process group, with a log file and a readiness check. It ends with the
// process that started it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync, closeSync, fstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { holder, isFree } from './port.mjs';

const POLL_MS = 100;
const STOP_MS = 10_000;
const TAIL_LINES = 20;
/** Ends the child if this process is killed. Linux only. */
const SETPRIV = '/usr/bin/setpriv';

/**
 * @typedef {object} PartOptions
 * @property {string} name in messages, and of the log file
 * @property {string} state directory of logs
 * @property {string[]} command
 * @property {string} hint what to do when it does not start
 * @property {Record<string, string | undefined>} [env] added to this process's environment; undefined removes one
 * @property {string} [cwd]
 * @property {number[]} [ports] that must be free before it starts
 * @property {() => void} [prepare] runs before each start
 * @property {() => Promise<boolean>} [ready] called until it returns true
 * @property {() => Promise<void>} [afterReady] runs once it is ready, before other parts may use it
 * @property {number} [timeoutMs] time limit for becoming ready
 */

/** A part did not start, or ended by itself. The message is for users. */
export class PartError extends Error {}

export class Part {
  /** @type {import('node:child_process').ChildProcess | undefined} */
  #child;
  #expectedToEnd = false;
  #announceDeath = false;
  #logFrom = 0;

  /** @param {PartOptions} options */
  constructor(options) {
    this.options = options;
    this.name = options.name;
    this.log = join(options.state, 'log', `${options.name}.log`);
    /** @type {(error: PartError) => void} called if it ends by itself after it was ready */
    this.onDeath = () => {};
  }

  get running() {
    return this.#child !== undefined;
  }

  /** The process id of its first process, which is also its group's id. @returns {number | undefined} */
  get pid() {
    return this.#child?.pid;
  }

  /** Starts the program and returns once it is ready. @returns {Promise<void>} */
  async start() {
    if (this.#child) return;
    const { command, env, cwd, ports = [], prepare, ready, afterReady, timeoutMs = 60_000 } = this.options;
    for (const port of ports) {
      if (!(await isFree(port))) {
        throw new PartError(
          `${this.name}: port ${port} is taken by ${holder(port)}. Stop that, or choose another port.`,
        );
      }
    }
    mkdirSync(join(this.options.state, 'log'), { recursive: true });
    prepare?.();
    const log = openSync(this.log, 'a');
    this.#logFrom = fstatSync(log).size;
    const argv = existsSync(SETPRIV) ? [SETPRIV, '--pdeathsig', 'TERM', '--', ...command] : command;
    const [program = '', ...args] = argv;
    // Its own group: signals also reach the children of wrangler and of scripts; Ctrl-C reaches it only through stop().
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    this.#child = child;
    this.#expectedToEnd = false;
    groups.add(this);
    let ended = '';
    child.once('error', (error) => this.#ended((ended = `could not be started (${error.message})`)));
    child.once('exit', (code, signal) =>
      this.#ended((ended = signal ? `was ended by ${signal}` : `ended with code ${code}`)),
    );

    const deadline = Date.now() + timeoutMs;
    let isReady = false;
    while (!isReady) {
      if (ended) throw this.#error(ended);
      if (Date.now() > deadline) {
        await this.kill();
        throw this.#error(`was not ready after ${timeoutMs / 1000} s`);
      }
      isReady = ready ? await ready().catch(() => false) : true;
      if (!isReady) await delay(POLL_MS);
    }
    await afterReady?.();
    this.#announceDeath = true;
  }

  /** Asks it to end, and kills it after a while. @returns {Promise<void>} */
  async stop() {
    await this.#end('SIGTERM');
  }

  /** Kills it, like a crash. @returns {Promise<void>} */
  async kill() {
    await this.#end('SIGKILL');
  }

  async restart() {
    await this.stop();
    await this.start();
  }

  /** Sends a signal to the whole group, for instance SIGSTOP. @param {NodeJS.Signals} signal */
  signal(signal) {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // The group is gone.
    }
  }

  /** Its log since its last start. */
  output() {
    return readFileSync(this.log).subarray(this.#logFrom).toString();
  }

  /** The last lines of its log. */
  tail() {
    try {
      return this.output()
        .trimEnd()
        .split('\n')
        .slice(-TAIL_LINES)
        .map((line) => `    ${line}`)
        .join('\n');
    } catch {
      return '    (no log)';
    }
  }

  /** @param {string} how */
  #ended(how) {
    const announce = this.#announceDeath && !this.#expectedToEnd;
    // Ends children that it did not end itself.
    this.signal('SIGKILL');
    this.#child = undefined;
    this.#announceDeath = false;
    groups.delete(this);
    if (announce) this.onDeath(this.#error(how));
  }

  /** @param {string} how */
  #error(how) {
    return new PartError(
      `${this.name} ${how}. The end of ${this.log}:\n${this.tail()}\n  What to do: ${this.options.hint}`,
    );
  }

  /** @param {'SIGTERM' | 'SIGKILL'} signal */
  async #end(signal) {
    const child = this.#child;
    if (!child || child.pid === undefined) return;
    this.#expectedToEnd = true;
    const exit = once(child, 'exit');
    this.signal(signal);
    // A process stopped by SIGSTOP gets the signal only when it is continued.
    this.signal('SIGCONT');
    const late = setTimeout(() => this.signal('SIGKILL'), STOP_MS);
    await exit;
    clearTimeout(late);
    // Its children are killed as well, but the kernel may still be closing their sockets.
    const deadline = Date.now() + STOP_MS;
    for (const port of this.options.ports ?? []) {
      while (!(await isFree(port)) && Date.now() < deadline) await delay(POLL_MS / 4);
    }
  }
}

/** @type {Set<Part>} all running parts */
const groups = new Set();

// However this process ends, a crash included, no part remains.
process.on('exit', () => {
  for (const part of groups) part.signal('SIGKILL');
});
