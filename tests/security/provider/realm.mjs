// One identity provider of the stub. It follows the standards until a case overrides what it sends.
//
// Each override is a function that gets the honest value and returns what is sent instead. So a case can change any
// claim, header, key, parameter, status or byte.

import { createHash, randomBytes } from 'node:crypto';

import { json } from './recorded.mjs';

/** @typedef {import('./key.mjs').Json} Json */
/** @typedef {import('./key.mjs').SigningKey} SigningKey */
/** @typedef {import('./recorded.mjs').Recorded} Recorded */
/** @typedef {import('./recorded.mjs').Reply} Reply */

/**
 * @typedef {object} Overrides
 * @property {(document: Json) => unknown} [metadata]
 * @property {(set: { keys: Json[] }) => unknown} [keys]
 * @property {(parameters: URLSearchParams) => void} [authorization] changes the parameters of the callback
 * @property {(claims: Json) => Json} [claims]
 * @property {(header: Json) => Json} [header]
 * @property {(honest: { header: Json, claims: Json, key: SigningKey }) => string | undefined | Promise<string |
 * undefined>} [idToken] the whole token; undefined leaves it out
 * @property {(body: Json, request: Recorded) => unknown} [tokens] the body of a successful token response
 * @property {(request: Recorded, honest: () => Promise<Reply>) => Reply | Promise<Reply>} [tokenEndpoint] replaces the
 * token endpoint
 * @property {(request: Recorded) => Reply} [endpoint] replaces every other endpoint
 * @property {(person: Json) => unknown} [person] the body of the userinfo endpoint
 */
/** @typedef {{ id: string, name: string, email: string }} User */
/**
 * @typedef {{ redirectUri: string, challenge: string | null, nonce: string | null, scope: string, user: User,
 * used: boolean }} Code
 */
/** @typedef {{ family: string, user: User, scope: string, nonce: string | null, used: boolean }} Refresh */

/** @type {User} */
export const ADA = Object.freeze({
  id: '11111111-aaaa-4bbb-8ccc-000000000001',
  name: 'Ada Lovelace',
  email: 'ada@causeway.example',
});
/** @type {User} */
export const MALLORY = Object.freeze({
  id: '22222222-aaaa-4bbb-8ccc-000000000002',
  name: 'Mallory',
  email: 'mallory@evil.example',
});

/**
 * The stub that serves a realm: its address, and the list of secrets that must not leak.
 * @typedef {{ origin: string, secret: (value: string, what: string) => string }} Home
 */
/** @typedef {{ id: string, base: string, clientId: string, clientSecret: string, key: SigningKey }} Registration */

export class Realm {
  /** @type {Overrides} */
  overrides = {};
  /** The user of the next sign-in. @type {User} */
  user = ADA;
  /** @type {SigningKey[]} the first signs */
  keys;
  /** @type {(Recorded & { endpoint: string })[]} */
  seen = [];
  /** How often a used refresh token was sent again, which ends its family. */
  reused = 0;
  accessTokenSeconds = 3600;
  /** @type {Map<string, Code>} */
  codes = new Map();
  /** @type {Map<string, Refresh>} */
  refreshes = new Map();
  /** @type {Set<string>} */
  endedFamilies = new Set();
  /** When the sign-in of a family was, in Unix seconds. @type {Map<string, number>} */
  #signedInAt = new Map();
  /** @type {Map<string, User>} by access token */
  granted = new Map();
  /** The requested audience of each access token that has one. @type {Map<string, string>} */
  audiences = new Map();
  /** @type {Set<string>} tokens it was asked to revoke */
  revoked = new Set();
  /** The `sid` of the next sign-in, if the provider names one. @type {string | undefined} */
  sid = undefined;
  /** @type {Map<string, URLSearchParams>} pushed authorization requests by their URI, each for one use */
  pushed = new Map();

  /** @param {Home} home @param {Registration} registration */
  constructor(home, { id, base, clientId, clientSecret, key }) {
    this.home = home;
    /** Its name in the BFF's paths. */
    this.id = id;
    /** The path prefix of all its endpoints. */
    this.base = base;
    this.clientId = clientId;
    this.clientSecret = home.secret(clientSecret, 'client secret');
    this.honestKey = key;
    this.keys = [key];
  }

  get issuer() {
    return `${this.home.origin}${this.base}`;
  }

  /** The path of each endpoint, below `base`. @returns {Record<string, string>} */
  get paths() {
    return {
      metadata: '/.well-known/openid-configuration',
      authorize: '/authorize',
      token: '/token',
      keys: '/keys',
      userinfo: '/userinfo',
      revoke: '/revoke',
      logout: '/logout',
      push: '/push',
    };
  }

  /** @param {string} name */
  url(name) {
    return `${this.home.origin}${this.base}${this.paths[name]}`;
  }

  /** The requests to one endpoint so far. @param {string} endpoint */
  requestsTo(endpoint) {
    return this.seen.filter((request) => request.endpoint === endpoint);
  }

  /** Removes the settings of a case. The recorded requests and the issued tokens stay. */
  reset() {
    this.overrides = {};
    this.user = ADA;
    this.keys = [this.honestKey];
    this.accessTokenSeconds = 3600;
    this.sid = undefined;
  }

  /**
   * A signed logout token, valid but for the changes.
   * @param {Json} changes @param {Json} [header] @param {SigningKey} [key]
   */
  async logoutToken(changes, header = {}, key = this.honestKey) {
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: this.issuer,
      aud: this.clientId,
      iat: now,
      exp: now + 120,
      jti: randomBytes(16).toString('hex'),
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
      ...changes,
    };
    return key.signAnyway({ alg: key.alg, kid: key.kid, typ: 'logout+jwt', ...header }, claims);
  }

  /** @param {string} endpoint @param {Recorded} request @returns {Promise<Reply>} */
  async answer(endpoint, request) {
    this.seen.push({ ...request, endpoint });
    // A secret, whatever the answer.
    this.home.secret(request.form.get('code_verifier') ?? '', 'code_verifier');
    if (endpoint === 'token') {
      const honest = () => this.#token(request);
      return this.overrides.tokenEndpoint ? this.overrides.tokenEndpoint(request, honest) : honest();
    }
    if (this.overrides.endpoint) return this.overrides.endpoint(request);
    switch (endpoint) {
      case 'metadata':
        return override(this.overrides.metadata, this.metadata());
      case 'keys':
        return override(this.overrides.keys, { keys: this.keys.map(({ jwk }) => jwk) });
      case 'authorize':
        return this.#authorize(this.#request(request.query));
      case 'push':
        return this.#push(request.form);
      case 'userinfo':
        return override(this.overrides.person, this.person(this.granted.get(bearer(request)) ?? ADA));
      case 'revoke': {
        this.revoked.add(request.form.get('token') ?? '');
        return { status: 200 };
      }
      default:
        return {
          status: 200,
          headers: { 'content-type': 'text/html' },
          body: '<!doctype html><title>provider</title>',
        };
    }
  }

  /** @returns {Json} */
  metadata() {
    return {
      issuer: this.issuer,
      authorization_endpoint: this.url('authorize'),
      token_endpoint: this.url('token'),
      jwks_uri: this.url('keys'),
      userinfo_endpoint: this.url('userinfo'),
      revocation_endpoint: this.url('revoke'),
      end_session_endpoint: this.url('logout'),
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    };
  }

  /** @param {User} user @returns {Json} */
  person({ id, name, email }) {
    return { sub: id, name, email };
  }

  /** @param {User} user @param {string | null} nonce @returns {Json} */
  claims(user, nonce) {
    const now = Math.floor(Date.now() / 1000);
    return {
      iss: this.issuer,
      aud: this.clientId,
      iat: now,
      nbf: now,
      exp: now + 3600,
      auth_time: now,
      ...(this.sid && { sid: this.sid }),
      ...(nonce !== null && { nonce }),
      ...this.person(user),
    };
  }

  /** The parameters of an authorization request, pushed or not. @param {URLSearchParams} asked */
  #request(asked) {
    const uri = asked.get('request_uri') ?? '';
    const pushed = this.pushed.get(uri);
    this.pushed.delete(uri);
    return pushed ?? asked;
  }

  /** @param {URLSearchParams} form @returns {Reply} */
  #push(form) {
    const uri = `urn:ietf:params:oauth:request_uri:${randomBytes(16).toString('base64url')}`;
    this.pushed.set(uri, form);
    return json({ request_uri: uri, expires_in: 60 }, 201);
  }

  /** @param {URLSearchParams} asked @returns {Reply} */
  #authorize(asked) {
    const code = this.home.secret(randomBytes(24).toString('base64url'), 'authorization code');
    this.codes.set(code, {
      redirectUri: asked.get('redirect_uri') ?? '',
      challenge: asked.get('code_challenge'),
      nonce: asked.get('nonce'),
      scope: asked.get('scope') ?? '',
      user: this.user,
      used: false,
    });
    const parameters = new URLSearchParams({ code, state: asked.get('state') ?? '' });
    this.overrides.authorization?.(parameters);
    return { status: 302, headers: { location: `${asked.get('redirect_uri')}?${parameters}` } };
  }

  /** @param {Recorded} request @returns {Promise<Reply>} */
  async #token({ form, headers }) {
    const [id, secret] = headers.authorization?.startsWith('Basic ')
      ? Buffer.from(headers.authorization.slice(6), 'base64').toString().split(':').map(decodeURIComponent)
      : [form.get('client_id'), form.get('client_secret')];
    if (id !== this.clientId || secret !== this.clientSecret) return this.errorReply('invalid_client', 401);
    switch (form.get('grant_type')) {
      case 'authorization_code':
        return this.#redeem(form);
      case 'refresh_token':
        return this.#refresh(form);
      default:
        return this.errorReply('unsupported_grant_type');
    }
  }

  /** @param {URLSearchParams} form */
  async #redeem(form) {
    const code = this.codes.get(form.get('code') ?? '');
    const verifier = form.get('code_verifier') ?? '';
    const proof = createHash('sha256').update(verifier).digest('base64url');
    if (
      !code ||
      code.used ||
      code.redirectUri !== form.get('redirect_uri') ||
      (code.challenge ?? '') !== (verifier ? proof : '')
    ) {
      return this.errorReply('invalid_grant');
    }
    code.used = true;
    return this.grant(code.user, code.scope, code.nonce, randomBytes(8).toString('hex'), form);
  }

  /** @param {URLSearchParams} form */
  async #refresh(form) {
    const refresh = this.refreshes.get(form.get('refresh_token') ?? '');
    if (!refresh || this.endedFamilies.has(refresh.family)) return this.errorReply('invalid_grant');
    if (refresh.used) {
      this.reused++;
      this.endedFamilies.add(refresh.family);
      return this.errorReply('invalid_grant');
    }
    refresh.used = true;
    return this.grant(refresh.user, refresh.scope, refresh.nonce, refresh.family, form);
  }

  /**
   * @param {User} user @param {string} scope @param {string | null} nonce @param {string} family
   * @param {URLSearchParams} form @returns {Promise<Reply>}
   */
  async grant(user, scope, nonce, family, form) {
    const isFirst = form.get('grant_type') === 'authorization_code';
    const accessToken = this.home.secret(this.accessToken(), 'access token');
    const refreshToken = this.home.secret(`rt_${randomBytes(32).toString('base64url')}`, 'refresh token');
    this.granted.set(accessToken, user);
    this.refreshes.set(refreshToken, { family, user, scope, nonce, used: false });
    const audience = form.get('resource');
    if (audience) this.audiences.set(accessToken, audience);
    const now = Math.floor(Date.now() / 1000);
    const signedInAt = this.#signedInAt.get(family) ?? now;
    this.#signedInAt.set(family, signedInAt);
    const idToken = await this.#idToken(user, isFirst ? nonce : null, signedInAt);
    const body = {
      access_token: accessToken,
      token_type: 'Bearer',
      expires_in: this.accessTokenSeconds,
      scope: form.get('scope') ?? scope,
      refresh_token: refreshToken,
      ...(idToken !== undefined && { id_token: idToken }),
    };
    const sent = this.overrides.tokens ? this.overrides.tokens(body, /** @type {Recorded} */ (this.seen.at(-1))) : body;
    return { ...json(sent), headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } };
  }

  accessToken() {
    return `at_${randomBytes(32).toString('base64url')}`;
  }

  /**
   * @param {User} user @param {string | null} nonce
   * @param {number} signedInAt in Unix seconds; a refresh does not change it
   */
  async #idToken(user, nonce, signedInAt) {
    const key = this.keys[0] ?? this.honestKey;
    const honestClaims = { ...this.claims(user, nonce), auth_time: signedInAt };
    const claims = this.overrides.claims ? this.overrides.claims(honestClaims) : honestClaims;
    const honest = { alg: key.alg, kid: key.kid, typ: 'JWT' };
    const header = this.overrides.header ? this.overrides.header(honest) : honest;
    const token = this.overrides.idToken
      ? await this.overrides.idToken({ header, claims, key })
      : await key.sign(header, claims);
    return token === undefined ? undefined : this.home.secret(token, 'ID token');
  }

  /** @param {string} error @param {number} [status] @returns {Reply} */
  errorReply(error, status = 400) {
    return json({ error, error_description: 'rejected by the provider' }, status);
  }
}

/** @param {Recorded} request */
export function bearer({ headers }) {
  return headers.authorization?.replace(/^(?:Bearer|token|DPoP) /i, '') ?? '';
}

/**
 * @template T
 * @param {((honest: T) => unknown) | undefined} change @param {T} honest @returns {Reply}
 */
function override(change, honest) {
  const sent = change ? change(honest) : honest;
  return isReply(sent) ? sent : json(sent);
}

/** @param {unknown} sent @returns {sent is Reply} */
const isReply = (sent) =>
  typeof sent === 'object' &&
  sent !== null &&
  ('afterMs' in sent || 'lost' in sent || ('status' in sent && ('body' in sent || 'headers' in sent)));
