// Places in the stream, by the SSE ids of events: `v2.<channel>.<epoch>.<partition>.<offset>`, with `-<event>` behind
// all but the last event of a record. They are the stream's order. Times are those of whatever clock a backend has.
//
// A user's events of a channel are in one partition, so they can be compared: until a topic gets more partitions.

/**
 * @typedef {object} Placed
 * @property {string} [cursor] SSE id
 * @property {number} [time] milliseconds since 1970
 */

/** Stands for the number of a record's last event, which its id does not have. */
const LAST = Number.MAX_SAFE_INTEGER;

/**
 * Which of two events of a channel comes first.
 * @param {Placed} a
 * @param {Placed} b
 * @returns {number} negative: a does. By their times, if their ids do not tell
 */
export function compare(a, b) {
  const [first, second] = [parse(a.cursor), parse(b.cursor)];
  if (first && second) {
    const epochs = first.epoch - second.epoch;
    if (epochs) return epochs;
    if (first.partition === second.partition) return first.offset - second.offset || first.event - second.event;
  }
  return (a.time ?? 0) - (b.time ?? 0);
}

/**
 * Whether what begins at one place leaves nothing out after another one.
 * @param {string | undefined} begin
 * @param {string | undefined} end the last place before it
 */
export function follows(begin, end) {
  const [first, last] = [parse(begin), parse(end)];
  if (!first || !last || first.epoch !== last.epoch || first.partition !== last.partition) return false;
  return first.offset <= last.offset + (last.event === LAST ? 1 : 0);
}

/** @param {string | undefined} cursor */
function parse(cursor) {
  // A channel may contain dots, a number does not.
  const [, epoch, partition, offset, event] = /\.(\d+)\.(\d+)\.(\d+)(?:-(\d+))?$/.exec(cursor ?? '') ?? [];
  if (!offset) return undefined;
  return { epoch: Number(epoch), partition, offset: Number(offset), event: event ? Number(event) : LAST };
}
