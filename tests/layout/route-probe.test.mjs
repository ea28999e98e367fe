// The HTTP journeys probe every row of core's table. A row without a probe fails here, before any stack starts.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { ROUTE_PROBES, rows } from '../http/route-probe.mjs';

test("every row of core's route table has a probe", () => {
  assert.deepEqual(
    ROUTE_PROBES.map(([method, pattern]) => `${method} ${pattern}`).sort(),
    rows()
      .map(({ method, pattern }) => `${method} ${pattern}`)
      .sort(),
  );
});
