// How long to wait before another try: exponential, with full jitter, so that clients cut off together do not
// come back together.

const FLOOR_MS = 250;
const BASE_MS = 1_000;
// Longer would be kinder to an edge that is down, and unkind to people once it is back.
const CAP_MS = 8_000;
const MAX_RETRY_AFTER_MS = 120_000;

/**
 * @param {number} attempt tries that failed so far, from 0
 * @param {() => number} random uniform in [0, 1)
 * @returns {number} milliseconds
 */
export function backoffMs(attempt, random) {
  return FLOOR_MS + random() * Math.min(CAP_MS, BASE_MS * 2 ** attempt);
}

/**
 * @param {string | null} header seconds; where it is a date, our own back-off will do
 * @returns {number | undefined}
 */
export function retryAfterMs(header) {
  const ms = Number(header) * 1_000;
  return ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}
