// A client of GET /stream that keeps every frame and waits for those a test expects.

import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';

import { createParser } from 'eventsource-parser';

import { frameMismatches } from './asyncapi.mjs';
import { assertDescribed } from './openapi.mjs';
import { sendRecorded } from './record.mjs';

const WAIT_MS = 15_000;

/** @typedef {{ id?: string | undefined, event?: string | undefined, data: string }} Frame */

/**
 * The CloudEvents among frames.
 * @param {Frame[]} frames @returns {{ id: string, type: string, time: string, data: any }[]}
 */
const eventsAmong = (frames) =>
  frames.filter((frame) => frame.event === undefined).map((frame) => JSON.parse(frame.data));

export class Stream {
  /** @type {Frame[]} */
  frames = [];
  /** How often the event `ping` came, which is not among the frames. */
  signsOfLife = 0;
  closed = false;
  lastId = '';
  #changed = new EventEmitter();
  /** Frames that docs/asyncapi.yaml does not describe. @type {string[]} */
  #undescribed = [];

  /**
   * @param {import('./edge-browser.mjs').EdgeBrowser} browser @param {string} [lastEventId]
   * @param {string} [query] with its question mark
   */
  static async open(browser, lastEventId, query = '') {
    const incoming = await sendRecorded(browser.origin, `/stream${query}`, {
      headers: {
        ...browser.scriptHeaders(),
        // EventSource can send no header of its own.
        'X-CSRF': undefined,
        Accept: 'text/event-stream',
        Cookie: browser.cookieHeader,
        'Last-Event-ID': lastEventId,
      },
    });
    assertDescribed({ target: '/stream', status: incoming.statusCode ?? 0, headers: incoming.headers });
    return new Stream(incoming.setEncoding('utf8'));
  }

  /** @param {import('node:http').IncomingMessage} incoming */
  constructor(incoming) {
    this.incoming = incoming;
    this.status = incoming.statusCode ?? 0;
    this.headers = incoming.headers;
    const parser = createParser({
      onEvent: (frame) => {
        if (frame.event === 'ping') this.signsOfLife += 1;
        else this.frames.push(frame);
        const found = frameMismatches(frame);
        if (found.length) this.#undescribed.push(`${JSON.stringify(frame).slice(0, 500)}\n  ${found.join('\n  ')}`);
        if (frame.id !== undefined) this.lastId = frame.id;
        this.#changed.emit('change');
      },
    });
    incoming.on('data', (chunk) => parser.feed(chunk));
    const closed = () => {
      this.closed = true;
      this.#changed.emit('change');
    };
    // A killed edge causes an error, a rotated stream an end. Both close the stream here.
    incoming.on('error', closed).on('close', closed).on('end', closed);
  }

  /** The CloudEvents received so far. */
  get events() {
    return eventsAmong(this.frames);
  }

  /** The texts received so far. @returns {string[]} */
  get texts() {
    return this.events.map((event) => event.data.text);
  }

  /**
   * Waits until the predicate holds.
   * @param {string} what @param {() => boolean} holds @param {number} [milliseconds]
   */
  async until(what, holds, milliseconds = WAIT_MS) {
    const signal = AbortSignal.timeout(milliseconds);
    while (!holds()) {
      this.#assertDescribed();
      try {
        await once(this.#changed, 'change', { signal });
      } catch {
        const tail = this.frames
          .slice(-5)
          .map((frame) => JSON.stringify(frame))
          .join('\n  ');
        throw new Error(
          `${what}: not within ${milliseconds / 1000} s; ${this.frames.length} frames, closed: ${this.closed}, the last:\n  ${tail}`,
        );
      }
    }
  }

  /** @param {string} text */
  async receives(text) {
    await this.until(`the stream carries "${text}"`, () => this.texts.includes(text));
  }

  /** Waits for the first frame with this event name. @param {string} event */
  async named(event) {
    await this.until(`the stream sends "${event}"`, () => this.frames.some((frame) => frame.event === event));
    const frame = this.frames.find((candidate) => candidate.event === event);
    return JSON.parse(frame?.data ?? 'null');
  }

  async opened() {
    await this.until('the stream opens', () => this.signsOfLife > 0 || this.closed);
    return this;
  }

  /** Cuts the connection, as a lost network would. */
  cut() {
    this.incoming.destroy();
    this.#assertDescribed();
  }

  #assertDescribed() {
    assert.deepEqual(this.#undescribed, [], 'docs/asyncapi.yaml does not describe a frame');
  }
}

/** Follows a stream as EventSource does: whenever it ends, it resumes from the last id. */
export class ResumingStream {
  /** @type {Frame[]} */
  frames = [];
  resumes = 0;
  #stopped = false;
  /** @type {Stream | undefined} */
  #stream;

  /** @param {import('./edge-browser.mjs').EdgeBrowser} browser */
  constructor(browser) {
    this.browser = browser;
    this.done = this.#follow();
  }

  get texts() {
    return eventsAmong(this.frames).map((event) => event.data.text);
  }

  /** What it was told that it may have missed. */
  get resets() {
    return this.frames.filter((frame) => frame.event === 'reset').map((frame) => frame.data);
  }

  /**
   * Waits until the predicate holds.
   * @param {string} what @param {() => boolean} holds @param {number} [milliseconds]
   */
  async until(what, holds, milliseconds = 40_000) {
    const deadline = Date.now() + milliseconds;
    while (!holds()) {
      if (Date.now() > deadline)
        throw new Error(
          `${what}: not within ${milliseconds / 1000} s; ${this.frames.length} frames after ${this.resumes} resumes`,
        );
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  stop() {
    this.#stopped = true;
    this.#stream?.cut();
  }

  async #follow() {
    let lastId = '';
    while (!this.#stopped) {
      try {
        const stream = await Stream.open(this.browser, lastId || undefined);
        this.#stream = stream;
        let taken = 0;
        while (!stream.closed || taken < stream.frames.length) {
          await stream.until('more', () => stream.frames.length > taken || stream.closed).catch(() => {});
          this.frames.push(...stream.frames.slice(taken));
          taken = stream.frames.length;
        }
        lastId = stream.lastId || lastId;
      } catch {
        // The edge is down.
      }
      if (this.#stopped) return;
      this.resumes++;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}
