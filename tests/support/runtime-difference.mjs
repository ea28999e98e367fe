// The differences between the runtimes that tests may rely on, each with its reason. Everything else behaves alike.

/** @typedef {import('../../scripts/stack/target.mjs').Target} Target */

/**
 * @type {Readonly<Record<Target, { ownRoutes: string[], streamsOutliveTheBridge: boolean, disconnectNoticedMs: number,
 * streamsChunkedBodies: boolean }>>}
 */
export const RUNTIME_DIFFERENCES = Object.freeze({
  workers: {
    // The edge keeps the buffers, so the bridge delivers to it. On Spin the bridge writes them to Redis.
    ownRoutes: ['/internal/deliver', '/internal/checkpoint'],
    // The edge serves the streams. On Spin the bridge serves them: they end with it, and their clients resume.
    streamsOutliveTheBridge: true,
    // A client's disconnect is noticed at a write, by workerd sometimes only at the second. Keep-alives come every
    // 15 s.
    disconnectNoticedMs: 35_000,
    // Once the receiver of a chunked body has begun to answer, workerd cannot abort the body so that the receiver
    // notices. The edge therefore buffers such a body, up to 1 MiB, and sends it with its length.
    streamsChunkedBodies: false,
  },
  spin: {
    ownRoutes: [],
    streamsOutliveTheBridge: false,
    disconnectNoticedMs: 20_000,
    streamsChunkedBodies: true,
  },
});
