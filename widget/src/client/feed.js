// What one subscriber hears of the stream: the events of its channels, each once, and each hole.
//
// A stream that is opened anew starts with a snapshot, so records repeat. If nothing of the snapshot was heard before,
// something may be missing in between.

/**
 * @typedef {object} CausewayEvent
 * @property {string} id
 * @property {string} type such as `message`, `delta` and `delete`
 * @property {string} channel
 * @property {string} time RFC 3339
 * @property {boolean} [echo] whether it repeats what the user said
 * @property {string} [traceparent]
 * @property {any} data as the backend wrote it
 */

// More than the edge's buffer of a user can hold, 20 000 records and some slack: a snapshot repeats all of them.
const MAX_SEEN = 24_000;

/**
 * @param {string[]} channels all, if empty
 * @param {(event: CausewayEvent, cursor: string) => void} [onEvent]
 * @param {(reason: string) => void} [onGap]
 */
export function createFeed(channels, onEvent, onGap) {
  /** @type {Set<string>} */
  const seen = new Set();
  let awaitsOverlap = false;

  /** Events may be missing before the next one. @param {string} reason */
  function gap(reason) {
    awaitsOverlap = false;
    onGap?.(reason);
  }

  return {
    gap,

    /** Another user's stream begins. */
    clear() {
      seen.clear();
      awaitsOverlap = false;
    },

    /** A new stream begins, with a snapshot. */
    snapshot() {
      awaitsOverlap = seen.size > 0;
    },

    /**
     * @param {string} cursor the SSE id; empty if the server set none
     * @param {any} event
     */
    record(cursor, event) {
      // A record may hold anything.
      const { type, channel } = Object(event);
      if (!type || (channels[0] && channel && !channels.includes(channel))) return;
      if (cursor) {
        if (seen.has(cursor)) {
          awaitsOverlap = false;
          return;
        }
        if (awaitsOverlap) gap('snapshot');
        seen.add(cursor);
        if (seen.size > MAX_SEEN) seen.delete(/** @type {string} */ (seen.values().next().value));
      }
      onEvent?.(event, cursor);
    },
  };
}
