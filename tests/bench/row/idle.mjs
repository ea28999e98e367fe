// Idle streams: the memory that they need in the processes that serve them.

import { USERS } from '../../../scripts/stack/part/emulators.mjs';
import { startEdges } from '../contestant/edge.mjs';
import { STREAMS, memoryOfStreams } from '../measure/memory.mjs';
import { signedIn } from '../../support/sign-in.mjs';

const STREAM_USERS = 40;

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Idle streams',
  about:
    `${STREAMS} streams of ${STREAM_USERS} users, measured after their first keep-alive. On workerd the edge serves ` +
    "them, each over a WebSocket to its user's hub, and the bridge has no part in them. On Spin the edge passes the " +
    "bridge's response through. The edge's share is the host's memory for two connections. No guest stays alive.",
  needs: ['edge'],
  figures: [
    { key: 'perStreamKb', label: 'both, per stream', unit: 'kB', digits: 0 },
    { key: 'edgeBeforeMb', label: 'edge, before', unit: 'MB', digits: 0 },
    { key: 'edgeAfterMb', label: 'edge, with streams', unit: 'MB', digits: 0 },
    { key: 'bridgeBeforeMb', label: 'bridge, before', unit: 'MB', digits: 0 },
    { key: 'bridgeAfterMb', label: 'bridge, with streams', unit: 'MB', digits: 0 },
  ],
  // Memory that a process once had is not given back, so a second round would measure less.
  rounds: 1,
  warmUpSeconds: 0,
  linuxOnly: true,
  async prepare(scope) {
    const logins = Array.from({ length: STREAM_USERS }, (_, index) => `listener-${index}`);
    const users = [...USERS, ...logins.map((login) => ({ login, name: login, email: `${login}@causeway.example` }))];
    const edges = await startEdges(scope, { users, only: ['kafka', 'redis', 'emulators', 'edge', 'bridge'] });
    const contestants = edges.map(({ name, stack }) => ({
      name,
      role: /** @type {const} */ ('ours'),
      command: 'tests/bench/measure/memory.mjs',
      run: async () => {
        const browsers = [];
        for (const login of logins) browsers.push((await signedIn(stack, 'github', login)).browser);
        const { edge, bridge } = await memoryOfStreams(stack, browsers);
        const grown = edge.after - edge.before + bridge.after - bridge.before;
        return {
          figures: {
            perStreamKb: (grown * 1000) / STREAMS,
            edgeBeforeMb: edge.before,
            edgeAfterMb: edge.after,
            bridgeBeforeMb: bridge.before,
            bridgeAfterMb: bridge.after,
          },
          raw: JSON.stringify({ edge, bridge }),
        };
      },
    }));
    return [{ name: '', contestants }];
  },
};
