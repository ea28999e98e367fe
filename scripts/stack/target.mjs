// The runtimes the edge can be on: which parts a stack of each has, in an order in which each part comes after those it
// needs, and where `scripts/dev` serves them. The emulators share one process, which takes adjacent ports.

/** @typedef {'workers' | 'spin'} Target */
/** @typedef {'kafka' | 'redis' | 'emulators' | 'edge' | 'bridge' | 'assistant' | 'host'} PartName */
/** @typedef {{ edge: number, bridge: number, kafka: number, redis: number, github: number, entra: number, host: number }} Ports */

const PORTS = { bridge: 8790, kafka: 9092, redis: 6379, github: 4400, entra: 4401, host: 8080 };

/**
 * `after`: what must be ready before a part can get ready itself.
 * @type {Readonly<Record<Target, { parts: readonly PartName[], after: Partial<Record<PartName, PartName[]>>, ports: Readonly<Ports> }>>}
 */
export const TARGETS = Object.freeze({
  // The users' buffers are in Durable Objects: the bridge delivers to the edge.
  workers: {
    parts: ['kafka', 'emulators', 'edge', 'bridge', 'assistant', 'host'],
    after: { bridge: ['kafka', 'edge'], assistant: ['kafka'] },
    ports: { edge: 8787, ...PORTS },
  },
  // The users' buffers are in Redis, and so is what the edge knows of sessions.
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
