// The runtimes of the edge: the parts that a stack of each has, each after those it depends on, and the ports that
// `scripts/dev` gives them. The emulators are one process, and it takes adjacent ports.

/** @typedef {'workers' | 'spin'} Target */
/** @typedef {'kafka' | 'redis' | 'emulators' | 'edge' | 'bridge' | 'assistant' | 'host'} PartName */
/**
 * @typedef {{ edge: number, bridge: number, metrics: number, kafka: number, redis: number, github: number,
 * entra: number, host: number }} Ports
 */

const PORTS = { bridge: 8790, metrics: 8791, kafka: 9092, redis: 6379, github: 4400, entra: 4401, host: 8080 };

/**
 * `after`: the parts that must be ready before a part can become ready.
 * @type {Readonly<Record<Target, { parts: readonly PartName[], after: Partial<Record<PartName, PartName[]>>,
 * ports: Readonly<Ports> }>>}
 */
export const TARGETS = Object.freeze({
  // Users' buffers are in Durable Objects: the bridge delivers to the edge.
  workers: {
    parts: ['kafka', 'emulators', 'edge', 'bridge', 'assistant', 'host'],
    after: { bridge: ['kafka', 'edge'], assistant: ['kafka'] },
    ports: { edge: 8787, ...PORTS },
  },
  // Users' buffers and the edge's session state are in Redis.
  spin: {
    parts: ['kafka', 'redis', 'emulators', 'edge', 'bridge', 'assistant', 'host'],
    after: { edge: ['redis'], bridge: ['kafka', 'redis'], assistant: ['kafka'] },
    ports: { edge: 3000, ...PORTS },
  },
});

/** @param {string} name @returns {name is Target} */
export function isTarget(name) {
  return Object.hasOwn(TARGETS, name);
}
