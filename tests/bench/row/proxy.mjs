// The proxy: requests to an API behind it, with answers and with bodies of several sizes.

import { signedInHeaders, startEdges } from '../contestant/edge.mjs';
import { loaded } from '../contestant/loaded.mjs';
import {
  NGINX,
  OAUTH2_PROXY,
  UPSTREAM,
  oauth2ProxyRedirect,
  signInToOauth2Proxy,
  startNginx,
  startOauth2Proxy,
  startRedis,
  startUpstream,
} from '../contestant/peer.mjs';
import { FIGURES } from '../measure/wrk.mjs';

const KIB = 1024;
const SIZES = Object.freeze({ '1 KiB': KIB, '64 KiB': 64 * KIB, '1 MiB': KIB * KIB });

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Proxy',
  about:
    'An API behind `/bff`, called with a session: answers (down) and bodies of requests (up). Beside it the API ' +
    'itself, called directly, nginx as a reverse proxy that knows no users, and oauth2-proxy with sessions in Redis. ' +
    'The API is a small Node.js program on the same machine.',
  needs: ['edge', 'oauth2-proxy', 'nginx'],
  figures: [...FIGURES, { key: 'mibPerSecond', label: 'throughput', unit: 'MiB/s', digits: 1 }],
  seconds: 6,
  warmUpSeconds: 2,
  async prepare(scope) {
    const { state } = scope;
    const upstream = await startUpstream(scope);
    const port = await scope.port();
    const edges = await startEdges(scope, {
      otherClients: [oauth2ProxyRedirect(port)],
      variables: () => ({
        SERVICES: JSON.stringify([
          {
            name: 'bench',
            url: upstream,
            provider: 'github',
            allow: ['GET /bytes/*', 'POST /bytes/*'],
            private_network: true,
            shares_token: true,
            body_limit_kib: 2048,
          },
        ]),
      }),
    });
    /**
     * @type {{ who: Parameters<typeof loaded>[0], base: string,
     * headers: (method: string) => Record<string, string> }[]}
     */
    const all = [];
    for (const { name, stack } of edges) {
      const headers = await signedInHeaders(stack);
      const base = `http://127.0.0.1:${stack.ports.edge}/bff/bench`;
      all.push({ who: { name, role: 'ours', floor: UPSTREAM }, base, headers });
    }
    all.push({ who: { name: UPSTREAM, role: 'floor' }, base: upstream, headers: () => ({}) });
    const nginx = await startNginx(scope, upstream);
    all.push({ who: { name: NGINX, role: 'peer', floor: UPSTREAM }, base: nginx, headers: () => ({}) });

    const [{ stack } = { stack: undefined }] = edges;
    if (!stack) throw new Error('there is no edge');
    const origin = await startOauth2Proxy(scope, stack, { port, redis: await startRedis(scope), upstream });
    const browser = await signInToOauth2Proxy(origin, 'ada');
    all.push({
      who: { name: OAUTH2_PROXY, role: 'peer', floor: UPSTREAM },
      base: `http://127.0.0.1:${port}`,
      headers: () => ({ Cookie: browser.cookieHeader ?? '' }),
    });
    await check(all);

    return ['down', 'up'].flatMap((direction) =>
      Object.entries(SIZES).map(([size, bytes]) => ({
        name: `${size} ${direction}`,
        contestants: all.map(({ who, base, headers }) => {
          const load = { url: `${base}/bytes/${bytes}`, state };
          const whole =
            direction === 'up'
              ? { ...load, headers: headers('POST'), bodyBytes: bytes }
              : { ...load, headers: headers('GET') };
          return loaded(who, whole, ({ figures, raw }) => {
            const mibPerSecond = ((figures.perSecond ?? Number.NaN) * bytes) / (KIB * KIB);
            return { figures: { ...figures, mibPerSecond }, raw };
          });
        }),
      })),
    );
  },
};

/**
 * Whether each forwards: wrk takes any answer below 400, so a page that begins a sign-in would count.
 * @param {readonly { who: { name: string }, base: string, headers: (method: string) => Record<string, string> }[]} all
 */
async function check(all) {
  for (const { who, base, headers } of all)
    for (const [size, bytes] of Object.entries(SIZES)) {
      const down = await fetch(`${base}/bytes/${bytes}`, { headers: headers('GET'), redirect: 'manual' });
      const received = (await down.arrayBuffer()).byteLength;
      if (!down.ok || received !== bytes)
        throw new Error(`${who.name}: ${size} down answers ${down.status}, ${received} bytes`);
      const body = 'x'.repeat(bytes);
      const up = await fetch(`${base}/bytes/${bytes}`, {
        method: 'POST',
        headers: headers('POST'),
        body,
        redirect: 'manual',
      });
      const text = await up.text();
      if (!up.ok || text !== 'ok')
        throw new Error(`${who.name}: ${size} up answers ${up.status}: ${text.slice(0, 300)}`);
    }
}
