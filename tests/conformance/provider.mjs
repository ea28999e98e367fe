// A certified OpenID provider, npm's oidc-provider, as strict as it can be made: pushed requests and PKCE required,
// refresh tokens rotate at every use and a used one that comes again costs the whole grant, DPoP with nonces. It runs in
// the tests' process, which see what it is asked, what it thinks of that, and can have it fail.

import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';

import { SignJWT, importJWK } from 'jose';
// @ts-expect-error The package brings no types.
import { Provider, errors } from 'oidc-provider';

import { Memory } from './provider-store.mjs';

/** @typedef {{ name: string, client: string | undefined, grantType: string | undefined, params: Record<string, any>, detail: string | undefined }} ProviderEvent */
/** @typedef {'answers' | 'fails' | 'loses answers' | 'holds'} Mood */

/** Longer than a test runs. */
const LONG_SECONDS = 600;

const PATIENCE_MS = 20_000;

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

/** A signing key for each algorithm that a client may ask for. */
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
  /** @type {{ method: string, path: string }[]} what it was asked */
  seen = [];
  /** @type {ProviderEvent[]} */
  events = [];
  /** @type {Mood} how it answers its token endpoint, or everything if it fails */
  mood = 'answers';
  /** Token requests that wait for {@link release}. @type {(() => void)[]} */
  #held = [];
  /** How long the access tokens of the next answers live, in seconds. */
  accessTokenSeconds = LONG_SECONDS;
  /** Scopes of the APIs that tokens can be for, by resource. @type {Record<string, string>} */
  resources = {};
  memory = new Memory();
  keys = signingKeys();
  issuer = '';
  /** @type {(incoming: import('node:http').IncomingMessage, outgoing: import('node:http').ServerResponse) => void} */
  #serve = (_, outgoing) => void outgoing.writeHead(503).end();
  /** @type {object[]} */
  #clients = [];
  #port = 0;
  #nonceSecret = randomBytes(32);

  /** Takes a port; nothing is served before the clients are known. */
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
    this.server.listen(this.#port, '127.0.0.1');
    await once(this.server, 'listening');
    this.#port = /** @type {import('node:net').AddressInfo} */ (this.server.address()).port;
  }

  /** From now on connections are refused. */
  async close() {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  /** @param {object[]} clients their metadata */
  register(clients) {
    this.#clients = clients;
    this.#restart();
  }

  /** Waits for a token request that is then left waiting. */
  async holding() {
    const deadline = Date.now() + PATIENCE_MS;
    while (this.#held.length === 0) {
      assert.ok(Date.now() < deadline, 'a token request comes: not within 20 s');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** Goes on with what was held. */
  release() {
    this.mood = 'answers';
    for (const goOn of this.#held.splice(0)) goOn();
  }

  /** Signs with new keys from now on, and withdraws the old ones, which are returned. */
  rotate() {
    const old = this.keys;
    this.keys = signingKeys();
    this.#restart();
    return old;
  }

  /** How often it was asked this. @param {string} path */
  asked(path) {
    return this.seen.filter((request) => request.path === path).length;
  }

  /** What happened to a client. @param {string} name @param {string} client */
  of(name, client) {
    return this.events.filter((event) => event.name === name && event.client === client);
  }

  /** What it gave out or was sent that nobody else may see. */
  secrets() {
    return [
      ...this.memory.secrets,
      ...this.events.flatMap(({ params }) =>
        [params.code_verifier, params.client_assertion, params.client_secret].filter(
          (value) => typeof value === 'string',
        ),
      ),
    ];
  }

  /** Waits for what happens to a client, once more than before. @param {string} name @param {string} client */
  async next(name, client) {
    const before = this.of(name, client).length;
    const deadline = Date.now() + PATIENCE_MS;
    while (this.of(name, client).length === before) {
      assert.ok(Date.now() < deadline, `the provider says ${name} of ${client}: not within 20 s`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return /** @type {ProviderEvent} */ (this.of(name, client).at(-1));
  }

  /** The refresh tokens of a user at a client, used ones included, in the order they were given out. @param {string} client @param {string} user */
  refreshTokens(client, user) {
    return this.memory
      .all('RefreshToken')
      .filter(({ clientId, accountId }) => clientId === client && accountId === user);
  }

  /** Ends a user's access tokens at a client before their time. @param {string} client @param {string} user */
  async endAccessTokens(client, user) {
    const adapter = this.memory.adapter('AccessToken');
    for (const { jti, clientId, accountId } of this.memory.all('AccessToken')) {
      if (clientId === client && accountId === user) await adapter.destroy(jti);
    }
  }

  /** Lets a user's sessions run out, which tells nobody. @param {string} user */
  async endSessions(user) {
    const adapter = this.memory.adapter('Session');
    for (const { jti, accountId } of this.memory.all('Session')) if (accountId === user) await adapter.destroy(jti);
  }

  /** A logout token as the provider would make it. @param {Record<string, any>} key @param {string} client @param {string} user */
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

  #restart() {
    const provider = new Provider(this.issuer, {
      adapter: (/** @type {string} */ kind) => this.memory.adapter(kind),
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
      // It would reach no address of this machine, and nothing that takes longer than 2.5 s.
      fetch: (/** @type {string} */ url, /** @type {any} */ options) =>
        fetch(url, { ...options, dispatcher: undefined, signal: AbortSignal.timeout(PATIENCE_MS) }),
      pkce: { required: () => true },
      rotateRefreshToken: true,
      // Who did not ask for offline access has tokens for as long as the user's session here, and no longer.
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
      provider.on(name, (/** @type {any} */ ctx, /** @type {any[]} */ ...rest) => this.#note(name, ctx, rest));
    this.#serve = provider.callback();
  }

  /** An API that tokens can be for (RFC 8707). @param {string} resource */
  #resourceServer(resource) {
    const scope = this.resources[resource];
    if (scope === undefined) throw new errors.InvalidTarget();
    return { scope, accessTokenFormat: 'opaque', accessTokenTTL: this.accessTokenSeconds };
  }

  /** @param {string} name @param {any} ctx @param {any[]} rest */
  #note(name, ctx, rest) {
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
    if (this.mood === 'fails') return void outgoing.writeHead(503).end();
    if (this.mood === 'holds' && path === '/token') return void this.#held.push(() => this.#serve(incoming, outgoing));
    if (this.mood === 'loses answers' && path === '/token') {
      // All is done by then; only whoever asked never learns of it.
      outgoing.end = () => outgoing.destroy();
    }
    this.#serve(incoming, outgoing);
  }
}
