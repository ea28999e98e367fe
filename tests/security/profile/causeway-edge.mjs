// Starts the edge under attack on workerd or Spin, configured for the stubs.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { edgePart } from '../../../scripts/stack/part/edge.mjs';
import { freePorts } from '../../../scripts/stack/port.mjs';
import { Stack } from '../../../scripts/stack/stack.mjs';
import { isTarget } from '../../../scripts/stack/target.mjs';

import {
  api,
  appApi,
  boundApi,
  instancesOn,
  limitedApi,
  extraSettings,
  restrictedApis,
  revocationBoundSeconds,
} from './causeway.mjs';
import { GitHubApp } from '../provider/github-app.mjs';

/**
 * @typedef {object} Surroundings
 * @property {import('../provider/stub.mjs').ProviderStub} provider
 * @property {import('../upstream.mjs').UpstreamStub} upstream
 * @property {import('../upstream.mjs').UpstreamStub} otherUpstream
 * @property {import('../upstream.mjs').UpstreamStub} bridge
 */
/** @typedef {Record<string, string | undefined>} Variables */
/**
 * @typedef {object} Running a BFF that the suite has started itself
 * @property {string} runtime
 * @property {number} instances the most that serve at once, each with its own memory
 * @property {string} origin
 * @property {string} hostOrigin another origin, whose pages may send requests to it
 * @property {() => string} log everything that it has logged so far
 * @property {() => string} logSinceStart what it has logged since its last start, with the current settings
 * @property {(variables?: Variables, unready?: boolean) => Promise<void>} restart clears its memory and its key-value
 * store; changed settings apply until the next restart
 * @property {Variables} settings
 * @property {string} sessionKeys the key ring that seals its cookies
 * @property {string} webhookSecret what signs GitHub's deliveries
 * @property {string[]} secrets that it has been given so far
 * @property {GitHubApp} app for whose installations it requests tokens
 * @property {((what: () => Promise<void>) => Promise<void>) | undefined} withoutCoordinator runs a function while the
 * owner of its sessions is down, where that can be stopped
 * @property {() => Promise<void>} stop
 */

/** The files of the key-value store: on workerd, on Spin, and on tests/spin-host. */
const KEY_VALUE_STORES = [
  'v3/kv',
  'sqlite_key_value.db',
  'sqlite_key_value.db-shm',
  'sqlite_key_value.db-wal',
  'key-value.redb',
];
/** The key that signs GitHub's deliveries. */
const WEBHOOK_SECRET = 'webhook-secret-of-the-security-suite-0123456789';

/**
 * The settings of the OpenID providers that are registered now. Cases replace some of them.
 * @param {Surroundings['provider']} provider @returns {Variables}
 */
function openIdSettingsOf(provider) {
  const openId = [...provider.realms.values()].filter((realm) => realm.base.startsWith('/realm/'));
  return {
    OIDC_PROVIDERS: JSON.stringify(
      openId.map(({ id, issuer, clientId }) => ({
        id,
        issuer,
        client_id: clientId,
        scopes: ['openid', 'profile', 'offline_access'],
        ...extraSettings[id],
      })),
    ),
    OIDC_CLIENT_SECRETS: JSON.stringify(Object.fromEntries(openId.map(({ id, clientSecret }) => [id, clientSecret]))),
  };
}

/**
 * One service for each API of the profile.
 * @param {Surroundings['upstream']} upstream @param {Surroundings['otherUpstream']} otherUpstream
 */
function services(upstream, otherUpstream) {
  return [
    ...[api, boundApi, limitedApi].map(({ prefix, provider: id, own }) => ({
      name: prefix.replace('/bff/', ''),
      url: upstream.origin,
      provider: id,
      private_network: true,
      ...(prefix === limitedApi.prefix && {
        body_limit_kib: limitedApi.bodyLimitKib,
        timeout_seconds: limitedApi.timeoutSeconds,
      }),
      allow: [
        `GET ${own}`,
        ...['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map((method) => `${method} ${api.family}/*`),
        `GET ${api.navigable}/* navigable`,
      ],
    })),
    ...restrictedApis.map(({ prefix, provider: id, own, token }, index) => ({
      name: prefix.replace('/bff/', ''),
      url: [upstream, otherUpstream][index % 2]?.origin,
      provider: id,
      token,
      private_network: true,
      allow: [`GET ${own}`],
    })),
    {
      name: appApi.prefix.replace('/bff/', ''),
      url: upstream.origin,
      installation: appApi.installation,
      users_of: [api.provider],
      private_network: true,
      allow: [`GET ${appApi.own}`],
    },
  ];
}

/**
 * The settings that do not change during a run.
 * @param {Surroundings} surroundings @param {GitHubApp} app @returns {Variables}
 */
function fixedSettings({ provider, upstream, otherUpstream, bridge }, app) {
  const { entra, github } = /** @type {Record<string, import('../provider/realm.mjs').Realm & { tenant?: string }>} */ (
    Object.fromEntries(provider.realms)
  );
  if (!entra || !github) throw new Error('the profile registers entra and github');
  return {
    ENTRA_AUTHORITY: provider.origin,
    ENTRA_TENANT: entra.tenant,
    ENTRA_CLIENT_ID: entra.clientId,
    ENTRA_CLIENT_SECRET: entra.clientSecret,
    GITHUB_URL: provider.origin,
    GITHUB_API_URL: otherUpstream.origin,
    GITHUB_CLIENT_ID: github.clientId,
    GITHUB_CLIENT_SECRET: github.clientSecret,
    // Needed beside the service, for Spin's list of allowed hosts.
    GRAPH_URL: upstream.origin,
    GITHUB_APP_ID: app.id,
    GITHUB_APP_KEY: app.pem,
    SERVICES: JSON.stringify(services(upstream, otherUpstream)),
    GITHUB_WEBHOOK_SECRET: WEBHOOK_SECRET,
    BRIDGE_URL: bridge.origin,
    REVOCATION_BOUND_SECONDS: String(revocationBoundSeconds),
  };
}

/** @param {Surroundings} surroundings @returns {Promise<Running>} */
export async function start({ provider, upstream, otherUpstream, bridge }) {
  const target = process.env.CAUSEWAY_TARGET || 'workers';
  if (!isTarget(target)) throw new Error(`CAUSEWAY_TARGET=${target} is not a target`);
  const state = process.env.CAUSEWAY_TEST_STATE ?? mkdtempSync(join(tmpdir(), 'causeway-security-'));
  const ports = await freePorts();
  const stack = new Stack({ target, state, ports, only: ['redis'] });
  const app = new GitHubApp(provider);
  const openIdSettings = () => openIdSettingsOf(provider);
  const settings = {
    ...openIdSettings(),
    ...fixedSettings({ provider, upstream, otherUpstream, bridge }, app),
  };
  const edge = (/** @type {Variables} */ variables, unready = false) =>
    edgePart({
      target,
      state,
      ports,
      secrets: stack.secrets,
      variables: { ...settings, ...openIdSettings(), ...variables },
      unready,
    });
  /** @param {string} text */
  const parts = (text) => text.split(/[:,]/).filter((part) => part.length >= 32);
  const given = [
    stack.secrets.sessionKeys,
    stack.secrets.bridgeKeys,
    stack.secrets.redisPassword,
    WEBHOOK_SECRET,
  ].flatMap(parts);
  await stack.start();
  stack.parts.edge = edge({});
  await stack.parts.edge.start();
  process.on('exit', (code) => {
    if (code === 0 && !process.env.CAUSEWAY_TEST_STATE) rmSync(state, { recursive: true, force: true });
  });
  return {
    runtime: target,
    instances: instancesOn(target),
    origin: stack.edgeOrigin,
    hostOrigin: stack.hostOrigin,
    log: () => readFileSync(stack.parts.edge.log, 'utf8'),
    logSinceStart: () => stack.parts.edge.output(),
    restart: async (variables = {}, unready = false) => {
      await stack.parts.edge.stop();
      // The coordinator owns the sessions. This store holds copies of them and of the providers' metadata and keys.
      for (const store of KEY_VALUE_STORES)
        rmSync(join(state, 'edge/storage', store), { recursive: true, force: true });
      given.push(...parts(variables.SESSION_KEYS ?? '').filter((part) => !given.includes(part)));
      stack.parts.edge = edge(variables, unready);
      await stack.parts.edge.start();
    },
    get settings() {
      return { ...settings, ...openIdSettings() };
    },
    sessionKeys: stack.secrets.sessionKeys,
    webhookSecret: WEBHOOK_SECRET,
    secrets: given,
    app,
    withoutCoordinator:
      target === 'spin'
        ? async (what) => {
            await stack.parts.redis.kill();
            try {
              await what();
            } finally {
              await stack.parts.redis.start();
            }
          }
        : undefined,
    stop: () => stack.stop(),
  };
}
