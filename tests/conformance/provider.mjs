// A certified OpenID provider, npm's oidc-provider, in its strictest configuration: pushed authorization requests and
// PKCE are required, refresh tokens rotate at every use, a reused refresh token revokes the whole grant, and DPoP
// requires nonces. It runs in the process of the tests, so they can read its requests and events and make it fail.

import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { SignJWT, importJWK } from 'jose';
// @ts-expect-error The package brings no types.
import { Provider, errors } from 'oidc-provider';

import { listen } from '../support/listen.mjs';
import { ProviderStore } from './provider-store.mjs';

/**
 * @typedef {{ name: string, client: string | undefined, grantType: string | undefined, params: Record<string, any>,
 * detail: string | undefined }} ProviderEvent
 */
/** @typedef {'normal' | 'unavailable' | 'drops token responses' | 'holds token requests'} Behavior */

/** Longer than a test runs. */
const LONG_SECONDS = 600;

const TIMEOUT_MS = 20_000;

const EVENTS = [
  'authorization.success',
  'authorization.error',
  'pushed_authorization_request.success',
  'pushed_authorization_request.error',
  'grant.success',
  'grant.error',
  'grant.revoked',
  'backchannel.success',
  'backchannel.error',
  'end_session.success',
  'server_error',
];

/** A signing key for each algorithm that a client may choose. */
function signingKeys() {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
  const id = randomBytes(6).toString('base64url');
  return [
    { ...rsa, use: 'sig', alg: 'RS256', kid: `${id}-rs` },
    { ...ec, use: 'sig', alg: 'ES256', kid: `${id}-es` },
  ];
}

export class ConformanceProvider {
  /** @type {{ method: string, path: string }[]} the requests so far */
  seen = [];
  /** @type {ProviderEvent[]} */
  events = [];
  /** How the token endpoint behaves; 'unavailable' applies to all endpoints. @type {Behavior} */
  behavior = 'normal';
  /** Token requests that wait for {@link release}. @type {(() => void)[]} */
  #held = [];
  /** Lifetime of the access tokens that are issued from now on. */
  accessTokenSeconds = LONG_SECONDS;
  /** The scopes of each API that tokens can be restricted to, by resource. @type {Record<string, string>} */
  resources = {};
  store = new ProviderStore();
  keys = signingKeys();
  issuer = '';
  /** @type {(incoming: import('node:http').IncomingMessage, outgoing: import('node:http').ServerResponse) => void} */
  #serve = (_, outgoing) => void outgoing.writeHead(503).end();
  /** @type {object[]} */
  #clients = [];
  #port = 0;
  #nonceSecret = randomBytes(32);

  /** Listens on a free port, and answers 503 until the clients are registered. */
  static async start() {
    const provider = new ConformanceProvider();
    await provider.open();
    provider.issuer = `http://localhost:${provider.#port}`;
    return provider;
  }

  constructor() {
    this.server = createServer((incoming, outgoing) => this.#answer(incoming, outgoing));
  }

  async open() {
    this.#port = await listen(this.server, this.#port);
  }

  /** Stops listening: connections are refused from now on. */
  async close() {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  /** @param {object[]} clients their metadata */
  register(clients) {
    this.#clients = clients;
    this.#createProvider();
  }

  /** Waits until a token request is held. */
  async untilHeld() {
    const deadline = Date.now() + TIMEOUT_MS;
    while (this.#held.length === 0) {
      assert.ok(Date.now() < deadline, 'no token request arrived within 20 s');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Answers the held requests. */
  release() {
    this.behavior = 'normal';
    for (const answer of this.#held.splice(0)) answer();
  }

  /** Replaces the signing keys by new ones, and returns the old ones. */
  rotateKeys() {
    const old = this.keys;
    this.keys = signingKeys();
    this.#createProvider();
    return old;
  }

  /** How often a path was requested. @param {string} path */
  requestCount(path) {
    return this.seen.filter((request) => request.path === path).length;
  }

  /** The events of this name and client. @param {string} name @param {string} client */
  eventsOf(name, client) {
    return this.events.filter((event) => event.name === name && event.client === client);
  }

  /** The secrets that it issued or received. */
  secrets() {
    return [
      ...this.store.secrets,
      ...this.events.flatMap(({ params }) =>
        [params.code_verifier, params.client_assertion, params.client_secret].filter(
          (value) => typeof value === 'string',
        ),
      ),
    ];
  }

  /** Waits for the next event of this name and client. @param {string} name @param {string} client */
  async nextEvent(name, client) {
    const before = this.eventsOf(name, client).length;
    const deadline = Date.now() + TIMEOUT_MS;
    while (this.eventsOf(name, client).length === before) {
      assert.ok(Date.now() < deadline, `no ${name} of ${client} within 20 s`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return /** @type {ProviderEvent} */ (this.eventsOf(name, client).at(-1));
  }

  /**
   * A user's refresh tokens at a client, used ones included, in the order of issue.
   * @param {string} client @param {string} user
   */
  refreshTokens(client, user) {
    return this.store
      .all('RefreshToken')
      .filter(({ clientId, accountId }) => clientId === client && accountId === user);
  }

  /** Invalidates a user's access tokens at a client before they expire. @param {string} client @param {string} user */
  async invalidateAccessTokens(client, user) {
    const adapter = this.store.adapter('AccessToken');
    for (const { jti, clientId, accountId } of this.store.all('AccessToken')) {
      if (clientId === client && accountId === user) await adapter.destroy(jti);
    }
  }

  /** Ends a user's sessions without a logout, as if they had expired. @param {string} user */
  async expireSessions(user) {
    const adapter = this.store.adapter('Session');
    for (const { jti, accountId } of this.store.all('Session')) if (accountId === user) await adapter.destroy(jti);
  }

  /**
   * A logout token as the provider would issue it.
   * @param {Record<string, any>} key @param {string} client @param {string} user
   */
  async logoutToken(key, client, user) {
    return new SignJWT({ events: { 'http://schemas.openid.net/event/backchannel-logout': {} } })
      .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'logout+jwt' })
      .setIssuer(this.issuer)
      .setAudience(client)
      .setSubject(user)
      .setJti(randomBytes(16).toString('base64url'))
      .setIssuedAt()
      .setExpirationTime('2m')
      .sign(await importJWK(key));
  }

  #createProvider() {
    const provider = new Provider(this.issuer, {
      adapter: (/** @type {string} */ kind) => this.store.adapter(kind),
      clients: this.#clients,
      jwks: { keys: this.keys },
      cookies: { keys: [this.#nonceSecret.toString('hex')] },
      claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
      scopes: ['openid', 'offline_access'],
      findAccount: (/** @type {unknown} */ _, /** @type {string} */ id) => ({
        accountId: id,
        claims: () => ({
          sub: id,
          name: `${id} of Conformance`,
          email: `${id}@conformance.example`,
          email_verified: true,
        }),
      }),
      // The provider's own `fetch` reaches no loopback address and gives up after 2.5 s.
      fetch: (/** @type {string} */ url, /** @type {any} */ options) =>
        fetch(url, { ...options, dispatcher: undefined, signal: AbortSignal.timeout(TIMEOUT_MS) }),
      pkce: { required: () => true },
      rotateRefreshToken: true,
      // By default, oidc-provider issues refresh tokens only with the scope `offline_access`. Here it also issues them
      // without that scope, and those end with the user's session at the provider.
      issueRefreshToken: (/** @type {unknown} */ _, /** @type {any} */ client) =>
        client.grantTypeAllowed('refresh_token'),
      ttl: {
        AccessToken: () => this.accessTokenSeconds,
        AuthorizationCode: 60,
        IdToken: LONG_SECONDS,
        RefreshToken: LONG_SECONDS,
        Grant: LONG_SECONDS,
        Session: LONG_SECONDS,
        Interaction: LONG_SECONDS,
      },
      features: {
        devInteractions: { enabled: true },
        pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
        dPoP: { enabled: true, nonceSecret: this.#nonceSecret, requireNonce: () => true },
        backchannelLogout: { enabled: true },
        rpInitiatedLogout: { enabled: true },
        revocation: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => undefined,
          getResourceServerInfo: (/** @type {unknown} */ _, /** @type {string} */ resource) =>
            this.#resourceServer(resource),
          useGrantedResource: () => false,
        },
        introspection: {
          enabled: true,
          allowedPolicy: (/** @type {unknown} */ _, /** @type {any} */ client) => client.clientId === 'resource',
        },
      },
    });
    for (const name of EVENTS)
      provider.on(name, (/** @type {any} */ ctx, /** @type {any[]} */ ...rest) => this.#recordEvent(name, ctx, rest));
    this.#serve = provider.callback();
  }

  /** An API that tokens can be restricted to (RFC 8707). @param {string} resource */
  #resourceServer(resource) {
    const scope = this.resources[resource];
    if (scope === undefined) throw new errors.InvalidTarget();
    return { scope, accessTokenFormat: 'opaque', accessTokenTTL: this.accessTokenSeconds };
  }

  /** @param {string} name @param {any} ctx @param {any[]} rest */
  #recordEvent(name, ctx, rest) {
    const error = rest.find((argument) => argument instanceof Error);
    const client = name.startsWith('backchannel.') ? rest.find((argument) => argument?.clientId) : ctx.oidc?.client;
    const params = { ...ctx.oidc?.params };
    this.events.push({
      name,
      client: client?.clientId,
      grantType: params.grant_type,
      params,
      detail: /** @type {any} */ (error)?.error_detail ?? error?.message,
    });
  }

  /** @param {import('node:http').IncomingMessage} incoming @param {import('node:http').ServerResponse} outgoing */
  #answer(incoming, outgoing) {
    const path = new URL(incoming.url ?? '/', this.issuer).pathname;
    this.seen.push({ method: incoming.method ?? '', path });
    if (this.behavior === 'unavailable') return void outgoing.writeHead(503).end();
    if (this.behavior === 'holds token requests' && path === '/token')
      return void this.#held.push(() => this.#serve(incoming, outgoing));
    if (this.behavior === 'drops token responses' && path === '/token') {
      // The provider processes the request, so it rotates the refresh token, but the client receives no response.
      outgoing.end = () => outgoing.destroy();
    }
    this.#serve(incoming, outgoing);
  }
}
