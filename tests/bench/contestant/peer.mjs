// Peers: programs that others run for the same purpose, with their usual settings, and a Redis of their own that stores
// nothing on disk.

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { CACHE, ROOT } from '../../../scripts/stack/path.mjs';
import { ENTRA_CLIENT_ID, ENTRA_TENANT } from '../../../scripts/stack/part/emulators.mjs';
import { Browser } from '../../support/browser.mjs';
import { authorizeFrom } from '../../support/sign-in.mjs';

/** @typedef {import('../scope.mjs').Scope} Scope */
/** @typedef {import('../../../scripts/stack/stack.mjs').Stack} Stack */

export const EXPRESS = 'Express BFF';
export const OAUTH2_PROXY = 'oauth2-proxy';
export const CENTRIFUGO = 'Centrifugo';
export const NGINX = 'nginx';
export const UPSTREAM = 'the upstream itself';

export const OAUTH2_PROXY_VERSION = 'v7.15.6';
export const EXPRESS_SOURCE = join(ROOT, 'tests/bench/peer/express');
export const EXPRESS_MANIFEST = join(EXPRESS_SOURCE, 'package.json');
/** Where the bench installs peers. */
export const PEERS = join(CACHE, 'bench');
export const EXPRESS_HOME = join(PEERS, 'express');
export const OAUTH2_PROXY_PROGRAM = join(PEERS, `oauth2-proxy-${OAUTH2_PROXY_VERSION}`, 'oauth2-proxy');

export const CENTRIFUGO_VERSION = 'v6.9.1';
export const CENTRIFUGO_PROGRAM = join(PEERS, `centrifugo-${CENTRIFUGO_VERSION}`, 'centrifugo');

/** A Redis without persistence. @param {Scope} scope @returns {Promise<string>} its URL */
export async function startRedis(scope) {
  const port = await scope.port();
  await scope.start({
    name: 'peer-redis',
    command: ['redis-server', '--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no'],
    cwd: scope.state,
    ports: [port],
    hint: 'run scripts/setup bench, which installs redis-server.',
  });
  return `redis://127.0.0.1:${port}`;
}

/**
 * @param {Scope} scope @param {string} redis
 * @param {{ broker: string, inbound: string, outbound: string }} [kafka] its topics
 * @returns {Promise<string>} its origin
 */
export async function startExpress(scope, redis, kafka) {
  const port = await scope.port();
  const topics = kafka ? [kafka.broker, kafka.inbound, kafka.outbound] : [];
  await scope.start({
    name: 'express',
    command: [process.execPath, join(EXPRESS_HOME, 'server.mjs'), String(port), redis, ...topics],
    env: { NODE_ENV: 'production' },
    ports: [port],
    ready: async () => (await fetch(`http://127.0.0.1:${port}/auth/session`)).status === 403,
    hint: 'see its log.',
  });
  return `http://127.0.0.1:${port}`;
}

/** @param {string} origin @param {string} [id] of the user @returns {Promise<string>} the cookie of a session */
export async function signInToExpress(origin, id = 'github:1000') {
  const answer = await fetch(`${origin}/sign-in?${new URLSearchParams({ id })}`, { method: 'POST' });
  const cookie = answer.headers.getSetCookie()[0]?.split(';')[0];
  if (!answer.ok || !cookie) throw new Error(`the Express BFF answers ${answer.status} to a sign-in`);
  return cookie;
}

/** The redirect URI that its client needs at the provider. @param {number} port */
export const oauth2ProxyRedirect = (port) => `http://localhost:${port}/oauth2/callback`;

/**
 * @param {Scope} scope @param {Stack} stack whose Entra emulator knows {@link oauth2ProxyRedirect} of the port
 * @param {{ port: number, redis: string, upstream: string }} options
 * @returns {Promise<string>} its origin
 */
export async function startOauth2Proxy(scope, stack, { port, redis, upstream }) {
  await scope.start({
    name: 'oauth2-proxy',
    command: [
      OAUTH2_PROXY_PROGRAM,
      `--http-address=127.0.0.1:${port}`,
      '--provider=oidc',
      `--oidc-issuer-url=http://localhost:${stack.ports.entra}/${ENTRA_TENANT}/v2.0`,
      `--client-id=${ENTRA_CLIENT_ID}`,
      `--redirect-url=${oauth2ProxyRedirect(port)}`,
      '--code-challenge-method=S256',
      '--scope=openid profile email',
      '--email-domain=*',
      '--insecure-oidc-allow-unverified-email=true',
      '--skip-provider-button=true',
      '--cookie-secure=false',
      '--session-store-type=redis',
      `--redis-connection-url=${redis}`,
      `--upstream=${upstream}`,
    ],
    env: {
      OAUTH2_PROXY_CLIENT_SECRET: stack.secrets.entraClientSecret,
      OAUTH2_PROXY_COOKIE_SECRET: randomBytes(32).toString('base64url'),
    },
    ports: [port],
    ready: async () => (await fetch(`http://127.0.0.1:${port}/ping`)).ok,
    hint: 'see its log.',
  });
  return `http://localhost:${port}`;
}

/** @param {string} origin of oauth2-proxy @param {string} login @returns {Promise<Browser>} signed in */
export async function signInToOauth2Proxy(origin, login) {
  const browser = new Browser({ origin });
  const { callback } = await authorizeFrom(browser, '/oauth2/start?rd=%2F', login);
  const finished = await browser.visit(callback);
  if (finished.status !== 302)
    throw new Error(`oauth2-proxy answers ${finished.status} to the callback: ${finished.text.slice(0, 300)}`);
  return browser;
}

/**
 * Centrifugo without authentication, which publishes what a Kafka topic tells it to.
 * @param {Scope} scope @param {{ broker: string, topic: string }} kafka @returns {Promise<string>} its origin
 */
export async function startCentrifugo(scope, { broker, topic }) {
  const port = await scope.port();
  const config = join(scope.state, 'centrifugo.json');
  writeFileSync(
    config,
    JSON.stringify({
      http_server: { address: '127.0.0.1', port: String(port) },
      client: { insecure: true },
      uni_sse: { enabled: true },
      health: { enabled: true },
      consumers: [
        {
          name: 'kafka',
          enabled: true,
          type: 'kafka',
          kafka: { brokers: [broker], topics: [topic], consumer_group: 'bench' },
        },
      ],
    }),
  );
  await scope.start({
    name: 'centrifugo',
    command: [CENTRIFUGO_PROGRAM, '--config', config],
    ports: [port],
    ready: async () => (await fetch(`http://127.0.0.1:${port}/health`)).ok,
    hint: 'see its log.',
  });
  return `http://127.0.0.1:${port}`;
}

/** The event stream of a channel. @param {string} origin of Centrifugo @param {string} channel */
export function centrifugoStream(origin, channel) {
  const connect = JSON.stringify({ subs: { [channel]: {} } });
  return new URL(`${origin}/connection/uni_sse?${new URLSearchParams({ cf_connect: connect })}`);
}

/** A record that has Centrifugo publish in the channel of its key. @type {import('../measure/record.mjs').Wrap} */
export const centrifugoCommand = (channel, data) => ({ method: 'publish', payload: { channel, data } });

/** @param {Scope} scope @returns {Promise<string>} its origin */
export async function startUpstream(scope) {
  const port = await scope.port();
  await scope.start({
    name: 'upstream',
    command: [process.execPath, join(ROOT, 'tests/bench/upstream.mjs'), String(port)],
    ports: [port],
    ready: async () => (await fetch(`http://127.0.0.1:${port}/bytes/1024`)).ok,
    hint: 'see its log.',
  });
  return `http://127.0.0.1:${port}`;
}

/**
 * nginx as a reverse proxy that knows no users.
 * @param {Scope} scope @param {string} upstream @returns {Promise<string>} its origin
 */
export async function startNginx(scope, upstream) {
  const port = await scope.port();
  const home = join(scope.state, 'nginx');
  mkdirSync(home, { recursive: true });
  writeFileSync(
    join(home, 'nginx.conf'),
    `${process.getuid?.() === 0 ? 'user root;\n' : ''}daemon off;
worker_processes auto;
pid ${home}/pid;
error_log stderr warn;
events {}
http {
  access_log off;
  client_body_temp_path ${home}/body;
  proxy_temp_path ${home}/proxy;
  fastcgi_temp_path ${home}/fastcgi;
  scgi_temp_path ${home}/scgi;
  uwsgi_temp_path ${home}/uwsgi;
  client_max_body_size 8m;
  upstream api {
    server ${new URL(upstream).host};
    keepalive 64;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://api;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_request_buffering off;
      proxy_max_temp_file_size 0;
    }
  }
}
`,
  );
  await scope.start({
    name: 'nginx',
    command: ['nginx', '-p', home, '-e', 'stderr', '-c', join(home, 'nginx.conf')],
    ports: [port],
    ready: async () => (await fetch(`http://127.0.0.1:${port}/bytes/1024`)).ok,
    hint: 'run scripts/setup bench, which installs nginx.',
  });
  return `http://127.0.0.1:${port}`;
}
