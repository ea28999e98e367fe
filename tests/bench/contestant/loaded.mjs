// A contestant that wrk loads.

import { wrk, wrkCommand } from '../measure/wrk.mjs';

/**
 * @param {{ name: string, role: import('../measure/round.mjs').Role, floor?: string }} who
 * @param {import('../measure/wrk.mjs').Load} load
 * @param {(sample: import('../measure/round.mjs').Sample) => import('../measure/round.mjs').Sample} [change]
 * @returns {import('../measure/round.mjs').Contestant}
 */
export function loaded(who, load, change = (sample) => sample) {
  return { ...who, command: wrkCommand(load), run: async (seconds) => change(await wrk(load, seconds)) };
}
