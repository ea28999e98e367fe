// Many attempts that know nothing of each other.

const AT_ONCE = 8;

/**
 * Makes them a few at a time; the first that fails ends it.
 * @template T
 * @param {Iterable<T>} all @param {(one: T) => Promise<unknown>} attempt
 */
export async function concurrently(all, attempt, atOnce = AT_ONCE) {
  const rest = all[Symbol.iterator]();
  let hasFailed = false;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
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
