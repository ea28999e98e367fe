// Whole sign-ins: the authorization code flow at a stub provider.

import { startEdges } from '../contestant/edge.mjs';
import {
  OAUTH2_PROXY,
  oauth2ProxyRedirect,
  signInToOauth2Proxy,
  startOauth2Proxy,
  startRedis,
} from '../contestant/peer.mjs';
import { signInFlow } from '../contestant/sign-in-flow.mjs';
import { loginsOf, profiles } from '../contestant/user.mjs';
import { flows } from '../measure/flow.mjs';

const CONCURRENCY = 4;
/** The more users, the fewer sessions each has. */
const USERS = 200;

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Sign-in',
  about:
    `Whole sign-ins by the authorization code flow with PKCE, ${CONCURRENCY} at a time, of ${USERS} users in turn: ` +
    'the BFF begins it, the browser goes through the pages of the stub provider (npm `emulate`, as Microsoft Entra ' +
    'ID), and the BFF ends it at its callback. The time includes the stub, which is the same program for all.',
  needs: ['edge', 'oauth2-proxy'],
  figures: [
    { key: 'perSecond', label: 'sign-ins/s', unit: '', digits: 1 },
    { key: 'p50Ms', label: 'p50', unit: 'ms', digits: 0 },
    { key: 'p99Ms', label: 'p99', unit: 'ms', digits: 0 },
  ],
  // The stub answers 5000 requests an hour. So each contestant has one of its own, and few seconds.
  seconds: 3,
  warmUpSeconds: 1,
  async prepare(scope) {
    const logins = loginsOf(USERS);
    const port = await scope.port();
    const users = profiles(logins);
    const edges = await startEdges(scope, { users });
    const stub = await scope.stack('workers', {
      users,
      otherClients: [oauth2ProxyRedirect(port)],
      only: ['emulators'],
    });
    const loginOf = (/** @type {number} */ index) => logins[index % USERS] ?? '';
    /** @param {string} name @param {'ours' | 'peer'} role @param {(login: string) => Promise<unknown>} signIn */
    const contestant = (name, role, signIn) => ({
      name,
      role,
      command: `tests/bench/row/sign-in.mjs, ${CONCURRENCY} at a time`,
      run: (/** @type {number} */ seconds) =>
        flows((index) => signIn(loginOf(index)), { concurrency: CONCURRENCY, seconds }),
    });
    const ours = edges.map(({ name, stack }) => contestant(name, 'ours', signInFlow(name, stack)));
    const redis = await startRedis(scope);
    const origin = await startOauth2Proxy(scope, stub, { port, redis, upstream: 'static://200' });
    const peer = contestant(OAUTH2_PROXY, 'peer', (login) => signInToOauth2Proxy(origin, login));
    return [{ name: '', contestants: [...ours, peer] }];
  },
};
