// Many things at a time, but not all.

/**
 * @template T, U
 * @param {readonly T[]} all @param {number} size how many at a time @param {(one: T, index: number) => Promise<U>} act
 * @returns {Promise<U[]>} in the order of `all`
 */
export async function inBatches(all, size, act) {
  /** @type {U[]} */
  const done = [];
  for (let from = 0; from < all.length; from += size)
    done.push(...(await Promise.all(all.slice(from, from + size).map((one, index) => act(one, from + index)))));
  return done;
}
