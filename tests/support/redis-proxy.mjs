// A TCP proxy between the bridge and Redis. On demand it drops Redis's reply to a delivery.

import { connect, createServer } from 'node:net';

import { listen } from './listen.mjs';

/**
 * Part of a CloudEvent. Of the bridge's requests to Redis only a delivery, which appends to a user's buffer, holds one.
 */
const DELIVERY = Buffer.from('"data":');

export class RedisProxy {
  /** How many replies to the next deliveries are dropped after Redis has carried them out. */
  answersToDrop = 0;
  droppedAnswers = 0;
  port = 0;
  /** @type {Set<import('node:net').Socket>} */
  #open = new Set();

  /** @param {number} port of Redis */
  static async start(port) {
    const proxy = new RedisProxy(port);
    proxy.port = await listen(proxy.server);
    return proxy;
  }

  /** @param {number} port */
  constructor(port) {
    this.server = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      let isDelivery = false;
      near.on('data', (asked) => {
        isDelivery ||= asked.includes(DELIVERY);
        far.write(asked);
      });
      far.on('data', (answered) => {
        if (isDelivery && this.answersToDrop > 0) {
          this.answersToDrop--;
          this.droppedAnswers++;
          near.destroy();
          return;
        }
        isDelivery = false;
        near.write(answered);
      });
      for (const [socket, other] of /** @type {const} */ ([
        [near, far],
        [far, near],
      ])) {
        this.#open.add(socket);
        // As without a proxy: what breaks on one side breaks on the other.
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          this.#open.delete(socket);
          other.destroy();
        });
      }
    });
  }

  close() {
    for (const socket of this.#open) socket.destroy();
    this.server.close();
  }
}
