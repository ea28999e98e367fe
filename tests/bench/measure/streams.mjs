// Many event streams, held by several processes: one could not have so many open files.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** @typedef {import('./stream-process.mjs').Stream} Stream */
/** @typedef {import('./stream-process.mjs').Order} Order */
/** @typedef {import('./stream-process.mjs').Report} Report */

const STREAMS_PER_PROCESS = 2500;

export class Streams {
  /** @type {StreamProcess[]} */
  #processes = [];
  #ordered = 0;

  /** @param {(index: number) => Stream} stream the stream of an index */
  constructor(stream) {
    this.stream = stream;
  }

  /**
   * Opens streams until there are `count`, or until one cannot be opened.
   * @param {number} count @returns {Promise<string>} why one could not, if so
   */
  async openUpTo(count) {
    while (this.#ordered < count) {
      const place = Math.floor(this.#ordered / STREAMS_PER_PROCESS);
      const holder = (this.#processes[place] ??= new StreamProcess());
      const end = Math.min(count, (place + 1) * STREAMS_PER_PROCESS);
      const from = this.#ordered;
      const open = Array.from({ length: end - from }, (_, index) => this.stream(from + index));
      this.#ordered = end;
      const { failure } = await holder.ask({ open });
      if (failure) return failure;
    }
    return '';
  }

  /** How many are open. */
  async count() {
    const reports = await Promise.all(this.#processes.map((holder) => holder.ask({ count: true })));
    return reports.reduce((sum, { alive }) => sum + alive, 0);
  }

  close() {
    for (const holder of this.#processes.splice(0)) holder.end();
    this.#ordered = 0;
  }
}

class StreamProcess {
  #child = fork(join(import.meta.dirname, 'stream-process.mjs'));

  /** One order at a time. @param {Order} order @returns {Promise<Report>} */
  async ask(order) {
    const answered = once(this.#child, 'message');
    this.#child.send(order);
    const ended = once(this.#child, 'exit').then(() => {
      throw new Error('a process that holds streams has ended');
    });
    const [report] = await Promise.race([answered, ended]);
    return report;
  }

  end() {
    if (this.#child.connected) this.#child.disconnect();
  }
}
