// All that a test may expect of one runtime and not of the other, and why. Everything else is the same product.

/** @typedef {import('../../scripts/stack/target.mjs').Target} Target */

/** @type {Readonly<Record<Target, { routesOfItsOwn: string[], streamsOutliveTheBridge: boolean, departureNoticedMs: number, streamsUnsized: boolean }>>} */
export const DIFFERENCES = Object.freeze({
  workers: {
    // The buffers are the edge's, so the bridge delivers to it. On Spin they are in Redis, where the bridge writes.
    routesOfItsOwn: ['/internal/deliver'],
    // The edge serves the streams. On Spin the bridge does, and they end with it; their clients resume.
    streamsOutliveTheBridge: true,
    // A client's departure shows at a write, with workerd sometimes at the second only; keep-alives come every 15 s.
    departureNoticedMs: 35_000,
    // workerd cannot break off a body in chunks so that its receiver notices, if that has begun to answer. Such a body is
    // held, up to 1 MiB, and then sent with its length.
    streamsUnsized: false,
  },
  spin: {
    routesOfItsOwn: [],
    streamsOutliveTheBridge: false,
    departureNoticedMs: 20_000,
    streamsUnsized: true,
  },
});
