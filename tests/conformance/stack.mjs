// The stack of the conformance run: the edge as each kind of client of oidc-provider.

import { generateKeyPairSync, randomBytes } from 'node:crypto';

import { afterAll } from '../support/after-all.mjs';
import { exchangeDescribed } from '../support/openapi.mjs';
import { startStack, target } from '../support/stack.mjs';
import { ConformanceProvider } from './provider.mjs';
import { RESOURCE_CLIENT, ResourceServer } from './resource-server.mjs';

const random = () => randomBytes(32).toString('base64url');
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const [clientKey, publicKey] = [pair.privateKey, pair.publicKey].map((key) => ({
  ...key.export({ format: 'jwk' }),
  kid: 'client-key',
  alg: 'ES256',
}));

/**
 * The clients, by the provider's id at the edge, with their settings at the edge and at the provider.
 * @type {Record<string, { secret: unknown, edge: object, provider: object }>}
 */
const CLIENTS = {
  /** Authenticates by secret; back-channel logout by session id. */
  corp: { secret: random(), edge: {}, provider: { backchannel_logout_session_required: true } },
  /** Authenticates by signed assertion; ID tokens signed by ES256; back-channel logout by user. */
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
  /** Its tokens are bound to a key. */
  bound: { secret: random(), edge: { dpop: true }, provider: { dpop_bound_access_tokens: true } },
  /** Sends no refresh token again after a lost answer. */
  cautious: { secret: random(), edge: { retry_lost_refresh: false }, provider: {} },
  /** Its tokens outlive the user's session at the provider, which requires consent at each sign-in. */
  offline: {
    secret: random(),
    edge: { scopes: ['openid', 'profile', 'email', 'offline_access'], prompt: 'consent' },
    provider: {},
  },
  /** Its services get tokens restricted to them. */
  narrow: { secret: random(), edge: {}, provider: {} },
  /** For the tests in which the provider's keys rotate. */
  moving: { secret: random(), edge: {}, provider: {} },
};

export const provider = await ConformanceProvider.start();
const resourceSecret = random();
export const resource = await ResourceServer.start(provider.issuer, resourceSecret);

/** APIs that get tokens restricted to them, at one address, where each could see the other's tokens anyway. */
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
// On Spin the bridge serves the streams, and needs Kafka; on Workers the edge serves them alone.
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

/** Sends the edge a logout token, as the provider does. @param {string} id @param {string} token */
export const sendLogoutToken = (id, token) =>
  exchangeDescribed(stack.edgeOrigin, `/auth/${id}/backchannel-logout`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ logout_token: token }).toString(),
  });

/** A client's secret. @param {string} id */
export const secretOf = (id) => CLIENTS[id]?.secret;
