// The kafka-bridge, as cargo built it.

import { cargoProgram } from '../path.mjs';
import { Part } from '../process.mjs';
import { redisUrl } from './redis.mjs';

/**
 * @param {{ target: import('../target.mjs').Target, state: string, ports: import('../target.mjs').Ports,
 * secrets: import('../secret.mjs').Secrets, brokers: string, variables?: Record<string, string> }} options
 */
export function bridgePart({ target, state, ports, secrets, brokers, variables = {} }) {
  return new Part({
    name: 'bridge',
    state,
    command: [cargoProgram('kafka-bridge')],
    env: {
      BRIDGE_LISTEN: `127.0.0.1:${ports.bridge}`,
      BRIDGE_ADMIN_LISTEN: `127.0.0.1:${ports.metrics}`,
      BRIDGE_KEYS: secrets.bridgeKeys,
      BRIDGE_CHANNELS: JSON.stringify([{ name: 'chat', inbound: 'chat.inbound', outbound: 'chat.outbound' }]),
      ...(target === 'spin'
        ? { BRIDGE_REDIS_URL: redisUrl(ports.redis, secrets) }
        : { BRIDGE_EDGE_URL: `http://localhost:${ports.edge}` }),
      KAFKA_BROKERS: brokers,
      NO_COLOR: '1',
      ...variables,
    },
    ports: [ports.bridge, ports.metrics],
    ready: async () =>
      (await fetch(`http://127.0.0.1:${ports.bridge}/readyz`, { signal: AbortSignal.timeout(2_000) })).ok,
    hint: 'build it with: cargo build -p kafka-bridge; is the broker reachable, and do the topics exist?',
  });
}
