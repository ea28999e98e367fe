// Rounds: in each, every contestant of every case is measured once, in an order that shifts from round to round. So
// what the machine does meanwhile meets all contestants alike, and shows as a spread of each.

/** @typedef {'ours' | 'floor' | 'peer'} Role */
/**
 * @typedef {object} Sample
 * @property {Record<string, number>} figures
 * @property {string} raw output
 * @property {string} [note] for readers: why figures are missing
 */
/**
 * @typedef {object} Contestant
 * @property {string} name
 * @property {Role} role
 * @property {string} command what measures it
 * @property {string} [floor] the name of the contestant that it is compared with
 * @property {(seconds: number) => Promise<Sample>} run
 */
/**
 * @typedef {object} Case
 * @property {string} name
 * @property {Contestant[]} contestants
 * @property {boolean} [isCold] another case warms its contestants up
 */
/** @typedef {{ case: string, contestant: Contestant, samples: Sample[] }} Result */

/**
 * @param {readonly Case[]} cases
 * @param {{ rounds: number, seconds: number, warmUpSeconds: number, byContestant: boolean,
 * keep: (name: string, text: string) => void, log: (text: string) => void }} options `byContestant` measures all cases
 * of a contestant one after the other
 * @returns {Promise<Result[]>} in the order of the cases and contestants
 */
export async function measure(cases, { rounds, seconds, warmUpSeconds, byContestant, keep, log }) {
  /** @type {Result[]} */
  const results = cases.flatMap((one) =>
    one.contestants.map((contestant) => ({ case: one.name, contestant, samples: [] })),
  );
  // Compilers and caches settle first.
  if (warmUpSeconds)
    for (const { contestants } of cases.filter(({ isCold }) => !isCold))
      for (const contestant of contestants) await contestant.run(warmUpSeconds);
  const names = [...new Set(results.map(({ contestant }) => contestant.name))];
  const place = (/** @type {Result} */ { contestant }) => names.indexOf(contestant.name);
  const order = byContestant ? results.toSorted((a, b) => place(a) - place(b)) : results;
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < order.length; turn++) {
      const result = /** @type {Result} */ (order[(turn + round) % order.length]);
      const { contestant } = result;
      const sample = await contestant.run(seconds);
      result.samples.push(sample);
      keep(fileName([result.case, contestant.name, `round ${round + 1}`]), sample.raw);
      log(`round ${round + 1}: ${[result.case, contestant.name].filter(Boolean).join(', ')}: ${brief(sample)}`);
    }
  }
  return results;
}

/** @param {Sample} sample */
const brief = ({ figures, note }) =>
  [...Object.entries(figures).map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`), note]
    .filter(Boolean)
    .join(', ');

/** @param {string[]} parts */
const fileName = (parts) =>
  `${parts
    .filter(Boolean)
    .join('-')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')}.txt`;
