// The empty answer: what a request costs that asks for nothing.

import { startEdges } from '../contestant/edge.mjs';
import { FLOOR_OF, JAVASCRIPT_WORKER, RUST_COMPONENT, RUST_WORKER, startFloors } from '../contestant/floor.mjs';
import { loaded } from '../contestant/loaded.mjs';
import { FIGURES } from '../measure/wrk.mjs';

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Empty answer',
  about:
    '`GET /healthz`, which needs no work of the edge, beside Workers and a component that answer `ok` to everything. ' +
    'The difference is what the edge adds to every request.',
  needs: ['edge', 'floor'],
  figures: FIGURES,
  async prepare(scope) {
    const { state } = scope;
    const floors = await startFloors(scope, [RUST_WORKER, JAVASCRIPT_WORKER, RUST_COMPONENT]);
    const edges = await startEdges(scope, { only: ['redis', 'edge'] });
    const ours = edges.map(({ name, target, stack }) =>
      loaded(
        { name, role: 'ours', floor: FLOOR_OF[target] },
        { url: `http://127.0.0.1:${stack.ports.edge}/healthz`, state },
      ),
    );
    const empty = [...floors].map(([name, url]) => loaded({ name, role: 'floor' }, { url, state }));
    return [{ name: '', contestants: [...ours, ...empty] }];
  },
};
