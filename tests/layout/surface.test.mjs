// What the HTTP journeys probe is core's table: a row that is added there without a probe is noticed before any stack starts.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { SURFACE, rows } from '../http/surface.mjs';

test("the probed surface is core's table", () => {
  assert.deepEqual(
    SURFACE.map(([method, pattern]) => `${method} ${pattern}`).sort(),
    rows()
      .map(({ method, pattern }) => `${method} ${pattern}`)
      .sort(),
  );
});
