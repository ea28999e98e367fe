// Both runtimes have the same routes. Each is compared to core's table, row by row, with every kind of request that
// shows whether a route exists.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { assertProblem } from '../support/problem.mjs';
import { stack } from './stack.mjs';
import { ROUTE_PROBES, exists, rows } from './route-probe.mjs';

const TABLE = rows();

/** The methods of a pattern. @param {string} pattern */
const methodsOf = (pattern) => TABLE.filter((row) => row.pattern === pattern).map(({ method }) => method);

for (const [method, pattern, path, status] of ROUTE_PROBES) {
  test(`${method} ${pattern} ${exists(pattern) ? 'exists' : 'exists on another runtime only'}`, async () => {
    const answer = await new EdgeBrowser(stack).call(path, {
      method: method === 'ANY' ? 'GET' : method,
      // Navigations cannot send the headers of a script.
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

for (const [pattern, path] of new Map(ROUTE_PROBES.map(([, pattern, path]) => [pattern, path]))) {
  const methods = methodsOf(pattern);
  // Where every method is allowed, the preflight below is the only other kind of request.
  if (!methods.includes('ANY')) {
    test(`a wrong method on ${pattern} is answered ${exists(pattern) ? '405 with the allowed methods' : '404'}`, async () => {
      for (const wrong of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].filter(
        (method) => !methods.includes(method),
      )) {
        const answer = await new EdgeBrowser(stack).call(path, { method: wrong });
        assertProblem(answer, exists(pattern) ? 405 : 404);
        assert.deepEqual(answer.headers.allow?.split(', ').sort(), exists(pattern) ? methods.sort() : undefined, wrong);
      }
    });
  }

  test(`a preflight on ${pattern} is answered ${exists(pattern) ? 'as its row says' : '404'}`, async () => {
    const headers = {
      'X-CSRF': undefined,
      'Access-Control-Request-Method': 'POST',
      'Access-Control-Request-Headers': 'x-csrf',
    };
    const answer = await new EdgeBrowser(stack).call(path, { method: 'OPTIONS', headers });
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
