// Stands between the bridge and Redis, passes bytes on, and on demand loses what Redis says of a delivery.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

/** A CloudEvent, as it is appended to a user's buffer; nothing else the bridge asks of Redis holds one. */
const DELIVERY = Buffer.from('"data":');

export class Wire {
  /** How many of the next deliveries are done without the bridge learning of it. */
  toLose = 0;
  lost = 0;
  port = 0;
  /** @type {Set<import('node:net').Socket>} */
  #open = new Set();

  /** @param {number} port of Redis */
  static async start(port) {
    const wire = new Wire(port);
    wire.server.listen(0, '127.0.0.1');
    await once(wire.server, 'listening');
    const address = /** @type {import('node:net').AddressInfo} */ (wire.server.address());
    wire.port = address.port;
    return wire;
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
        if (isDelivery && this.toLose > 0) {
          this.toLose--;
          this.lost++;
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
        // As if nobody was between: what breaks on one side breaks on the other.
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
