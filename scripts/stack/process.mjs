// One part of the stack: a program in its own process group, with a log file, a readiness check and a certain end.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, openSync, closeSync, fstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { holder, isFree } from './port.mjs';

const POLL_MS = 100;
const STOP_MS = 10_000;
const TAIL_LINES = 20;
/** Ends the child when we are killed without a chance to do it ourselves. */
const SETPRIV = '/usr/bin/setpriv';

/**
 * @typedef {object} PartOptions
 * @property {string} name as people know it; also names the log file
 * @property {string} state directory of logs
 * @property {string[]} command
 * @property {string} hint what to do when it does not start
 * @property {Record<string, string | undefined>} [env] on top of this process's; undefined removes
 * @property {string} [cwd]
 * @property {number[]} [ports] that must be free before it starts
 * @property {() => void} [prepare] runs before each start
 * @property {() => Promise<boolean>} [ready] asked again and again until it says yes
 * @property {() => Promise<void>} [afterReady] runs once it is ready, before others may use it
 * @property {number} [timeoutMs] to become ready
 */

/** A part did not start, or ended on its own. Its message is meant for people. */
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
    /** @type {(error: PartError) => void} called when it ends on its own after it was ready */
    this.onDeath = () => {};
  }

  get running() {
    return this.#child !== undefined;
  }

  /** Of its group, which is its first process. @returns {number | undefined} */
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
    // Its own group, so that the children of wrangler and of scripts end with it, and Ctrl-C reaches it through us only.
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

  /** Asks it to end, and makes it after a while. @returns {Promise<void>} */
  async stop() {
    await this.#end('SIGTERM');
  }

  /** Ends it the hard way, as a crash would. @returns {Promise<void>} */
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

  /** What it has logged since it was started last. */
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
    // Children it left behind, if it did not end them itself.
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
    // One that was stopped would keep the signal until it is continued.
    this.signal('SIGCONT');
    const late = setTimeout(() => this.signal('SIGKILL'), STOP_MS);
    await exit;
    clearTimeout(late);
    // Its children were killed with it, but the kernel may still be taking their sockets down.
    const deadline = Date.now() + STOP_MS;
    for (const port of this.options.ports ?? []) {
      while (!(await isFree(port)) && Date.now() < deadline) await delay(POLL_MS / 4);
    }
  }
}

/** @type {Set<Part>} every part that runs */
const groups = new Set();

// Whatever ends this process, a crash included, nothing of it stays behind.
process.on('exit', () => {
  for (const part of groups) part.signal('SIGKILL');
});
