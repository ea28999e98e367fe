// A route that exists on one runtime exists on the other: both are compared to one table, row by row, with every kind of
// request that could tell a route from none.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Agent } from '../journey/agent.mjs';
import { assertProblem } from '../journey/problem.mjs';
import { stack } from './stack.mjs';
import { SURFACE, exists, rows } from './surface.mjs';

const TABLE = rows();

/** The methods a pattern is there for. @param {string} pattern */
const methodsOf = (pattern) => TABLE.filter((row) => row.pattern === pattern).map(({ method }) => method);

for (const [method, pattern, path, status] of SURFACE) {
  test(`${method} ${pattern} ${exists(pattern) ? 'exists' : "is another runtime's"}`, async () => {
    const answer = await new Agent(stack).call(path, {
      method: method === 'ANY' ? 'GET' : method,
      // What the navigations and EventSource cannot send is not sent.
      headers:
        method === 'GET' && pattern.startsWith('/auth/{')
          ? {
              Origin: undefined,
              'X-CSRF': undefined,
              Referer: `${stack.hostOrigin}/`,
              'Sec-Fetch-Mode': 'navigate',
              'Sec-Fetch-Dest': 'document',
            }
          : {},
    });
    assert.equal(answer.status, exists(pattern) ? status : 404, answer.text);
  });
}

for (const [pattern, path] of new Map(SURFACE.map(([, pattern, path]) => [pattern, path]))) {
  const methods = methodsOf(pattern);
  // Where every method is right, the preflight below is the only other kind of request.
  if (!methods.includes('ANY')) {
    test(`a wrong method on ${pattern} ${exists(pattern) ? 'is told the right ones' : 'finds nothing either'}`, async () => {
      for (const wrong of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter(
        (method) => !methods.includes(method),
      )) {
        const answer = await new Agent(stack).call(path, { method: wrong });
        assertProblem(answer, exists(pattern) ? 405 : 404);
        assert.deepEqual(answer.headers.allow?.split(', ').sort(), exists(pattern) ? methods.sort() : undefined, wrong);
      }
    });
  }

  test(`a preflight on ${pattern} ${exists(pattern) ? 'is answered as its row says' : 'finds nothing either'}`, async () => {
    const headers = {
      'X-CSRF': undefined,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'x-csrf',
    };
    const answer = await new Agent(stack).call(path, { method: 'OPTIONS', headers });
    const cors = TABLE.find((row) => row.pattern === pattern)?.cors;
    if (!exists(pattern)) assertProblem(answer, 404);
    else if (cors === 'None') assertProblem(answer, 403);
    else assert.equal(answer.status, 204, answer.text);
    const allowed = cors === 'Hosts' ? stack.hostOrigin : '*';
    assert.equal(
      answer.headers['access-control-allow-origin'],
      exists(pattern) && cors !== 'None' ? allowed : undefined,
    );
  });
}
