// The refresh storm: many requests of one session when its access token has expired.

import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';

import { ConformanceProvider } from '../../conformance/provider.mjs';
import { signedIn } from '../../conformance/sign-in.mjs';
import { startEdges } from '../contestant/edge.mjs';
import { startUpstream } from '../contestant/peer.mjs';
import { latencies } from '../measure/flow.mjs';

const REQUESTS = 1000;
const CONNECTIONS = 64;
const SHORT_SECONDS = 4;
const LONG_SECONDS = 600;

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Refresh storm',
  about:
    `${REQUESTS} requests of one session to an API, on ${CONNECTIONS} connections, when its access token has expired. ` +
    'The provider (npm `oidc-provider`) rotates refresh tokens: a second use of one would end the sign-in. So there ' +
    'must be one token request, for which the other requests wait.',
  needs: ['edge'],
  figures: [
    { key: 'p99Ms', label: 'p99', unit: 'ms', digits: 0 },
    { key: 'p50Ms', label: 'p50', unit: 'ms', digits: 0 },
    { key: 'tokenRequests', label: 'token requests', unit: '', digits: 0 },
    { key: 'failed', label: 'failed requests', unit: '', digits: 0 },
  ],
  warmUpSeconds: 0,
  async prepare(scope) {
    const upstream = await startUpstream(scope);
    const provider = await ConformanceProvider.start();
    scope.onEnd(() => provider.close());
    const ids = ['storm-workers', 'storm-spin'];
    const secrets = Object.fromEntries(ids.map((id) => [id, randomBytes(32).toString('base64url')]));
    const edges = await startEdges(scope, {
      only: ['redis', 'edge'],
      variables: () => ({
        OIDC_PROVIDERS: JSON.stringify(ids.map((id) => ({ id, name: id, issuer: provider.issuer, client_id: id }))),
        OIDC_CLIENT_SECRETS: JSON.stringify(secrets),
        SERVICES: JSON.stringify(
          ids.map((id) => ({
            name: id,
            url: upstream,
            provider: id,
            allow: ['GET /bytes/*'],
            private_network: true,
          })),
        ),
      }),
    });
    provider.register(
      edges.map(({ target, stack }) => ({
        client_id: `storm-${target}`,
        client_secret: secrets[`storm-${target}`],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        redirect_uris: [`${stack.edgeOrigin}/auth/storm-${target}/callback`],
      })),
    );
    let users = 0;
    const contestants = edges.map(({ name, target, stack }) => ({
      name,
      role: /** @type {const} */ ('ours'),
      command: `tests/bench/row/refresh.mjs, ${REQUESTS} requests on ${CONNECTIONS} connections`,
      run: async () => {
        const id = `storm-${target}`;
        provider.accessTokenSeconds = SHORT_SECONDS;
        const browser = await signedIn(stack, id, `user-${++users}`);
        provider.accessTokenSeconds = LONG_SECONDS;
        await delay(SHORT_SECONDS * 1000);
        const before = provider.eventsOf('grant.success', id).length + provider.eventsOf('grant.error', id).length;
        const headers = { ...browser.scriptHeaders(), Cookie: browser.cookieHeader ?? '' };
        const answers = await burst(new URL(`http://127.0.0.1:${stack.ports.edge}/bff/${id}/bytes/1024`), headers);
        const after = provider.eventsOf('grant.success', id).length + provider.eventsOf('grant.error', id).length;
        const failed = answers.filter(({ status }) => status !== 200).length;
        return {
          figures: { ...latencies(answers.map(({ ms }) => ms)), tokenRequests: after - before, failed },
          raw: `${answers.map(({ status, ms }) => `${status} ${ms.toFixed(1)}`).join('\n')}\n`,
        };
      },
    }));
    return [{ name: '', contestants }];
  },
};

/**
 * Sends all requests at once, as many at a time as there are connections.
 * @param {URL} url @param {Record<string, string>} headers
 */
async function burst(url, headers) {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  let left = REQUESTS;
  /** @type {{ status: number, ms: number }[]} */
  const answers = [];
  await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      while (left-- > 0) {
        const began = performance.now();
        const status = await statusOf(url, { headers, agent });
        answers.push({ status, ms: performance.now() - began });
      }
    }),
  );
  agent.destroy();
  return answers;
}

/**
 * The status of the answer, 0 without one.
 * @param {URL} url @param {import('node:http').RequestOptions} options @returns {Promise<number>}
 */
function statusOf(url, options) {
  return new Promise((resolve) => {
    request(url, options, (answer) => answer.resume().on('end', () => resolve(answer.statusCode ?? 0)))
      .on('error', () => resolve(0))
      .end();
  });
}
