// Servers of the tests, on the loopback address.

import { once } from 'node:events';

/**
 * Starts a server and returns its port.
 * @param {import('node:net').Server} server @param {number} [port] 0 for any free one
 */
export async function listen(server, port = 0) {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
}
