// Many independent attempts, a few at a time.

const CONCURRENCY = 8;

/**
 * Runs the attempts a few at a time, until one fails.
 * @template T
 * @param {Iterable<T>} all @param {(one: T) => Promise<unknown>} attempt
 */
export async function concurrently(all, attempt, concurrency = CONCURRENCY) {
  const rest = all[Symbol.iterator]();
  let hasFailed = false;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      for (let next = rest.next(); !next.done && !hasFailed; next = rest.next()) {
        try {
          await attempt(next.value);
        } catch (error) {
          hasFailed = true;
          throw error;
        }
      }
    }),
  );
}
