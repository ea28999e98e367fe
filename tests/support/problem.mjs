// The form of every rejection: a problem document (RFC 9457) that no cache stores.

import assert from 'node:assert/strict';

/** @param {import('./exchange.mjs').Answer} answer @param {number | number[]} status */
export function assertProblem(answer, status) {
  assert.ok(
    [status].flat().includes(answer.status),
    `${answer.url} answers ${answer.status}, not ${status}: ${answer.text}`,
  );
  assert.match(answer.headers['content-type'] ?? '', /^application\/problem\+json/);
  const problem = JSON.parse(answer.text);
  assert.deepEqual(Object.keys(problem).sort(), ['code', 'request_id', 'status', 'title', 'type']);
  assert.equal(problem.status, answer.status);
  assert.match(problem.type, /^urn:causeway:problem:/);
  assert.match(answer.headers['cache-control'] ?? '', /no-store/);
  return problem;
}
