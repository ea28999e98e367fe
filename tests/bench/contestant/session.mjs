// Who answers whether a session is valid, with a valid session: the edge, its peers and its floors.

import { FLOOR_OF, RUST_COMPONENT, RUST_WORKER, startFloors } from './floor.mjs';
import { signedInHeaders, startEdges } from './edge.mjs';
import {
  EXPRESS,
  OAUTH2_PROXY,
  oauth2ProxyRedirect,
  signInToExpress,
  signInToOauth2Proxy,
  startExpress,
  startOauth2Proxy,
  startRedis,
} from './peer.mjs';

/** @typedef {{ name: string, role: import('../measure/round.mjs').Role, floor?: string }} Who */
/** @typedef {{ who: Who, load: import('../measure/wrk.mjs').Load }} Checker */

/** @param {import('../scope.mjs').Scope} scope @returns {Promise<Checker[]>} */
export async function startSessionCheckers(scope) {
  const { state } = scope;
  const port = await scope.port();
  const edges = await startEdges(scope, { otherClients: [oauth2ProxyRedirect(port)] });
  /** @type {Checker[]} */
  const checkers = [];
  for (const { name, target, stack } of edges) {
    const headers = (await signedInHeaders(stack))();
    const load = { url: `http://127.0.0.1:${stack.ports.edge}/auth/session`, headers, state };
    checkers.push({ who: { name, role: 'ours', floor: FLOOR_OF[target] }, load });
  }
  const redis = await startRedis(scope);

  const express = await startExpress(scope, redis);
  const cookie = await signInToExpress(express);
  checkers.push({
    who: { name: EXPRESS, role: 'peer' },
    load: { url: `${express}/auth/session`, headers: { Cookie: cookie, 'X-CSRF': '1' }, state },
  });

  const [{ stack } = { stack: undefined }] = edges;
  if (!stack) throw new Error('there is no edge');
  const oauth2Proxy = await startOauth2Proxy(scope, stack, { port, redis, upstream: express });
  const browser = await signInToOauth2Proxy(oauth2Proxy, 'ada');
  checkers.push({
    who: { name: OAUTH2_PROXY, role: 'peer' },
    load: { url: `http://127.0.0.1:${port}/oauth2/auth`, headers: { Cookie: browser.cookieHeader ?? '' }, state },
  });
  // wrk takes any answer below 400, so a page that begins a sign-in would count.
  for (const { who, load } of checkers) {
    const answer = await fetch(load.url, { headers: load.headers, redirect: 'manual' });
    const text = await answer.text();
    const isSignedIn = who.name === OAUTH2_PROXY ? answer.status === 202 : text.includes('"authenticated":true');
    if (!isSignedIn) throw new Error(`${who.name} answers ${answer.status} to a valid session: ${text.slice(0, 300)}`);
  }

  for (const [name, url] of await startFloors(scope, [RUST_WORKER, RUST_COMPONENT]))
    checkers.push({ who: { name, role: 'floor' }, load: { url, state } });
  return checkers;
}
