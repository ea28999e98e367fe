// Wait times between retries: exponential back-off with full jitter, so that clients that were cut off together do not
// reconnect together.

const FLOOR_MS = 250;
const BASE_MS = 1_000;
// A longer wait would spare an edge that is down, but keep users waiting once it is back.
const CAP_MS = 8_000;
const MAX_RETRY_AFTER_MS = 120_000;

/**
 * @param {number} attempt number of failed attempts so far, from 0
 * @param {() => number} [random] uniform in [0, 1)
 * @returns {number} milliseconds
 */
export function backoffMs(attempt, random = Math.random) {
  return FLOOR_MS + random() * Math.min(CAP_MS, BASE_MS * 2 ** attempt);
}

/**
 * @param {string | null} header value of Retry-After
 * @returns {number | undefined} undefined unless the header is in seconds; for a date, `backoffMs` is good enough
 */
export function retryAfterMs(header) {
  const ms = Number(header) * 1_000;
  return ms > 0 ? Math.min(ms, MAX_RETRY_AFTER_MS) : undefined;
}
