// A listener of an event stream that only looks for records: many of them in one process must not be the bottleneck.

import { Agent, request } from 'node:http';

export class Listener {
  #lastId = '';
  /** @type {import('node:http').ClientRequest | undefined} */
  #outgoing;
  #rest = '';
  /** Whether the answer has begun and not ended. */
  isOpen = false;

  /** @param {URL} url @param {Record<string, string>} headers of the user */
  constructor(url, headers) {
    this.url = url;
    this.headers = headers;
  }

  /**
   * Opens the stream where the last one ended, and returns when it has said anything.
   * @param {(data: string) => void} onData gets each line of data
   * @returns {Promise<void>}
   */
  open(onData) {
    const headers = { ...this.headers, ...(this.#lastId && { 'Last-Event-ID': this.#lastId }) };
    return new Promise((resolve, reject) => {
      this.#outgoing = request(this.url, { headers, agent: new Agent() }, (incoming) => {
        if (incoming.statusCode !== 200) reject(new Error(`${this.url.href} answers ${incoming.statusCode}`));
        incoming.setEncoding('utf8').on('data', (/** @type {string} */ text) => {
          resolve();
          this.#read(text, onData);
        });
        this.isOpen = true;
        incoming.on('error', () => {}).on('close', () => (this.isOpen = false));
      });
      this.#outgoing.on('error', reject).end();
    });
  }

  close() {
    this.#outgoing?.destroy();
  }

  /** @param {string} text @param {(data: string) => void} onData */
  #read(text, onData) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('id:')) this.#lastId = line.slice(3).trim();
      // A keep-alive has empty data.
      else if (line.startsWith('data:') && line !== 'data: {}') onData(line);
    }
  }
}
