// Growth: the session check with more and more connections.

import { loaded } from '../contestant/loaded.mjs';
import { startSessionCheckers } from '../contestant/session.mjs';
import { FIGURES } from '../measure/wrk.mjs';

const CONNECTIONS = 16;
const TIMES = [1, 2, 4, 8];

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Growth',
  about:
    `The session check with 1, 2, 4 and 8 times ${CONNECTIONS} connections. Throughput should stay, and latency grow with ` +
    'the number of connections and no faster.',
  needs: ['edge', 'floor', 'express', 'oauth2-proxy'],
  figures: FIGURES,
  async prepare(scope) {
    const checkers = await startSessionCheckers(scope);
    return TIMES.map((times) => ({
      name: `${times * CONNECTIONS} connections`,
      contestants: checkers.map(({ who, load }) => loaded(who, { ...load, connections: times * CONNECTIONS })),
    }));
  },
};
