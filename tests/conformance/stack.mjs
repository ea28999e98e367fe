// The stack of the conformance run: the edge as a client of oidc-provider in each way it can be one.

import { generateKeyPairSync, randomBytes } from 'node:crypto';

import { afterAll } from '../support/after-all.mjs';
import { exchangeRecorded } from '../support/record.mjs';
import { startStack, target } from '../support/stack.mjs';
import { ConformanceProvider } from './provider.mjs';
import { RESOURCE_CLIENT, Resource } from './resource-server.mjs';

const random = () => randomBytes(32).toString('base64url');
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const [clientKey, publicKey] = [pair.privateKey, pair.publicKey].map((key) => ({
  ...key.export({ format: 'jwk' }),
  kid: 'client-key',
  alg: 'ES256',
}));

/**
 * Clients by the provider's id at the edge: how the edge is configured, and how the provider.
 * @type {Record<string, { secret: unknown, edge: object, provider: object }>}
 */
const CLIENTS = {
  /** By secret; back-channel logout by session id. */
  corp: { secret: random(), edge: {}, provider: { backchannel_logout_session_required: true } },
  /** By signed assertion; ID tokens by ES256; back-channel logout by user. */
  keyed: {
    secret: clientKey,
    edge: { auth: 'private_key_jwt' },
    provider: {
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: { keys: [publicKey] },
      id_token_signed_response_alg: 'ES256',
    },
  },
  /** With tokens that are bound to a key. */
  bound: { secret: random(), edge: { dpop: true }, provider: { dpop_bound_access_tokens: true } },
  /** For which no refresh token is sent again if an answer was lost. */
  cautious: { secret: random(), edge: { retry_lost_refresh: false }, provider: {} },
  /** With tokens that outlive the user's session at the provider, which only a consent at each sign-in gives. */
  offline: {
    secret: random(),
    edge: { scopes: ['openid', 'profile', 'email', 'offline_access'], prompt: 'consent' },
    provider: {},
  },
  /** With services that get tokens for themselves. */
  narrow: { secret: random(), edge: {}, provider: {} },
  /** Whose keys change. */
  moving: { secret: random(), edge: {}, provider: {} },
};

export const provider = await ConformanceProvider.start();
const resourceSecret = random();
export const resource = await Resource.start(provider.issuer, resourceSecret);

/** APIs that want tokens for themselves, at one address: who shares it may have each other's. */
export const NARROW = {
  orders: { resource: 'https://orders.example', scopes: ['orders:read'] },
  mail: { resource: 'https://mail.example', scopes: ['mail:read'] },
};
const narrow = Object.entries(NARROW).map(([name, token]) => ({
  name,
  url: resource.origin,
  provider: 'narrow',
  allow: ['GET /*'],
  private_network: true,
  token,
}));
provider.resources = Object.fromEntries(
  Object.values(NARROW).map(({ resource: api, scopes }) => [api, scopes.join(' ')]),
);

const ids = Object.keys(CLIENTS);
/** A secret, or the private part of a key. @param {any} secret @returns {string[]} */
const secretsOf = (secret) => (typeof secret === 'string' ? [secret] : [secret?.d ?? '']);
// Spin's streams are the bridge's, which needs Kafka; on Workers the edge serves them alone.
/** @type {import('../support/stack.mjs').PartName[]} */
const parts = target === 'spin' ? ['kafka', 'redis', 'edge', 'bridge'] : ['edge'];
export const { stack } = await startStack(
  parts,
  {
    OIDC_PROVIDERS: JSON.stringify(
      ids.map((id) => ({
        id,
        name: `Conformance ${id}`,
        issuer: provider.issuer,
        client_id: id,
        ...CLIENTS[id]?.edge,
      })),
    ),
    OIDC_CLIENT_SECRETS: JSON.stringify(Object.fromEntries(ids.map((id) => [id, CLIENTS[id]?.secret]))),
    SERVICES: JSON.stringify([
      ...ids.map((id) => ({
        name: `api-${id}`,
        url: resource.origin,
        provider: id,
        allow: ['GET /*'],
        private_network: true,
      })),
      ...narrow,
    ]),
  },
  () => [...provider.secrets(), resourceSecret, ...ids.flatMap((id) => secretsOf(CLIENTS[id]?.secret))],
  '',
  { answers: 150, lines: 150, values: 100 },
);

provider.register([
  ...ids.map((id) => ({
    client_id: id,
    ...(typeof CLIENTS[id]?.secret === 'string' && { client_secret: CLIENTS[id].secret }),
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    redirect_uris: [`${stack.edgeOrigin}/auth/${id}/callback`],
    post_logout_redirect_uris: [`${stack.edgeOrigin}/auth/${id}/logged-out`],
    backchannel_logout_uri: `${stack.edgeOrigin}/auth/${id}/backchannel-logout`,
    ...CLIENTS[id]?.provider,
  })),
  { client_id: RESOURCE_CLIENT, client_secret: resourceSecret, redirect_uris: [], response_types: [], grant_types: [] },
]);

afterAll(async () => {
  await provider.close();
  resource.close();
});

/** Calls the API as the user. @param {import('../support/edge-browser.mjs').EdgeBrowser} browser @param {string} id */
export const callApi = (browser, id) => browser.call(`/bff/api-${id}/hello?to=${id}`);

/** Brings the edge a logout token, as the provider does. @param {string} id @param {string} token */
export const deliver = (id, token) =>
  exchangeRecorded(stack.edgeOrigin, `/auth/${id}/backchannel-logout`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ logout_token: token }).toString(),
  });

/** A client's secret. @param {string} id */
export const secretOf = (id) => CLIENTS[id]?.secret;
