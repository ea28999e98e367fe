import assert from 'node:assert/strict';
import { test } from 'node:test';

import { retryAfterMs } from '../src/client/backoff.js';

test('Retry-After is accepted in seconds, up to two minutes', () => {
  assert.equal(retryAfterMs('3'), 3_000);
  assert.equal(retryAfterMs('86400'), 120_000);
  for (const header of ['0', '-1', 'soon', 'Thu, 01 Jan 2026 00:00:05 GMT', '', null])
    assert.equal(retryAfterMs(header), undefined);
});
