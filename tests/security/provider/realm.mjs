// One identity provider of the stub: it does everything right until a case tells it to lie.
//
// Each lie is a function that gets the honest thing and returns what is sent instead, so a case can change any claim,
// header, key, parameter, status or byte without the realm knowing of that case.

import { createHash, randomBytes } from 'node:crypto';

import { json } from './recorded.mjs';

/** @typedef {import('./key.mjs').Json} Json */
/** @typedef {import('./key.mjs').SigningKey} SigningKey */
/** @typedef {import('./recorded.mjs').Recorded} Recorded */
/** @typedef {import('./recorded.mjs').Reply} Reply */

/**
 * @typedef {object} Lies
 * @property {(document: Json) => unknown} [metadata]
 * @property {(set: { keys: Json[] }) => unknown} [keys]
 * @property {(parameters: URLSearchParams) => void} [authorization] changes what goes back to the redirect URI
 * @property {(claims: Json) => Json} [claims]
 * @property {(header: Json) => Json} [header]
 * @property {(honest: { header: Json, claims: Json, key: SigningKey }) => string | undefined | Promise<string | undefined>} [idToken] the whole token; undefined leaves it out
 * @property {(body: Json, request: Recorded) => unknown} [tokens] the body of a token response that grants
 * @property {(request: Recorded, honest: () => Promise<Reply>) => Reply | Promise<Reply>} [tokenEndpoint] instead of anything the token endpoint does
 * @property {(request: Recorded) => Reply} [endpoint] instead of any other endpoint
 * @property {(person: Json) => unknown} [person] what the userinfo endpoint says
 */
/** @typedef {{ id: string, name: string, email: string }} User */
/** @typedef {{ redirectUri: string, challenge: string | null, nonce: string | null, scope: string, user: User, used: boolean }} Code */
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

/** What a realm needs of the stub that serves it: its address, and a list of what must never leak. @typedef {{ origin: string, secret: (value: string, what: string) => string }} Home */
/** @typedef {{ id: string, base: string, clientId: string, clientSecret: string, key: SigningKey }} Registration */

export class Realm {
  /** @type {Lies} */
  lies = {};
  /** Who signs in at it next. @type {User} */
  user = ADA;
  /** @type {SigningKey[]} the first signs */
  keys;
  /** @type {(Recorded & { endpoint: string })[]} */
  seen = [];
  /** How often a refresh token came a second time: a real provider would have ended the family. */
  reused = 0;
  accessTokenSeconds = 3600;
  /** @type {Map<string, Code>} */
  codes = new Map();
  /** @type {Map<string, Refresh>} */
  refreshes = new Map();
  /** @type {Set<string>} */
  deadFamilies = new Set();
  /** When the sign-in of a family was, in Unix seconds. @type {Map<string, number>} */
  #signedInAt = new Map();
  /** @type {Map<string, User>} by access token */
  granted = new Map();
  /** Whom an access token is for, where that was asked for. @type {Map<string, string>} */
  audiences = new Map();
  /** @type {Set<string>} tokens it was asked to revoke */
  revoked = new Set();
  /** Its own session of whoever signs in, if it names one. @type {string | undefined} */
  sid = undefined;
  /** @type {Map<string, URLSearchParams>} pushed authorization requests by their URI, each for one use */
  pushed = new Map();

  /** @param {Home} home @param {Registration} registration */
  constructor(home, { id, base, clientId, clientSecret, key }) {
    this.home = home;
    /** As the BFF calls it in its paths. */
    this.id = id;
    /** Path that all its endpoints begin with. */
    this.base = base;
    this.clientId = clientId;
    this.clientSecret = home.secret(clientSecret, 'client secret');
    this.honestKey = key;
    this.keys = [key];
  }

  get issuer() {
    return `${this.home.origin}${this.base}`;
  }

  /** Where each endpoint is, below `base`. @returns {Record<string, string>} */
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

  /** What was asked of one endpoint so far. @param {string} endpoint */
  asked(endpoint) {
    return this.seen.filter((request) => request.endpoint === endpoint);
  }

  /** Back to honesty; what it was asked and what it issued stays. */
  reset() {
    this.lies = {};
    this.user = ADA;
    this.keys = [this.honestKey];
    this.accessTokenSeconds = 3600;
    this.sid = undefined;
  }

  /** A signed logout token, honest but for the changes. @param {Json} changes @param {Json} [header] @param {SigningKey} [key] */
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
    // Whatever is done with it.
    this.home.secret(request.form.get('code_verifier') ?? '', 'code_verifier');
    if (endpoint === 'token') {
      const honest = () => this.#token(request);
      return this.lies.tokenEndpoint ? this.lies.tokenEndpoint(request, honest) : honest();
    }
    if (this.lies.endpoint) return this.lies.endpoint(request);
    switch (endpoint) {
      case 'metadata':
        return lie(this.lies.metadata, this.metadata());
      case 'keys':
        return lie(this.lies.keys, { keys: this.keys.map(({ jwk }) => jwk) });
      case 'authorize':
        return this.#authorize(this.#request(request.query));
      case 'push':
        return this.#push(request.form);
      case 'userinfo':
        return lie(this.lies.person, this.person(this.granted.get(bearer(request)) ?? ADA));
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

  /** What was pushed, if this is about a pushed request. @param {URLSearchParams} asked */
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
    this.lies.authorization?.(parameters);
    return { status: 302, headers: { location: `${asked.get('redirect_uri')}?${parameters}` } };
  }

  /** @param {Recorded} request @returns {Promise<Reply>} */
  async #token({ form, headers }) {
    const [id, secret] = headers.authorization?.startsWith('Basic ')
      ? Buffer.from(headers.authorization.slice(6), 'base64').toString().split(':').map(decodeURIComponent)
      : [form.get('client_id'), form.get('client_secret')];
    if (id !== this.clientId || secret !== this.clientSecret) return this.refusal('invalid_client', 401);
    switch (form.get('grant_type')) {
      case 'authorization_code':
        return this.#redeem(form);
      case 'refresh_token':
        return this.#refresh(form);
      default:
        return this.refusal('unsupported_grant_type');
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
      return this.refusal('invalid_grant');
    }
    code.used = true;
    return this.grant(code.user, code.scope, code.nonce, randomBytes(8).toString('hex'), form);
  }

  /** @param {URLSearchParams} form */
  async #refresh(form) {
    const refresh = this.refreshes.get(form.get('refresh_token') ?? '');
    if (!refresh || this.deadFamilies.has(refresh.family)) return this.refusal('invalid_grant');
    if (refresh.used) {
      this.reused++;
      this.deadFamilies.add(refresh.family);
      return this.refusal('invalid_grant');
    }
    refresh.used = true;
    return this.grant(refresh.user, refresh.scope, refresh.nonce, refresh.family, form);
  }

  /** @param {User} user @param {string} scope @param {string | null} nonce @param {string} family @param {URLSearchParams} form @returns {Promise<Reply>} */
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
    const said = this.lies.tokens ? this.lies.tokens(body, /** @type {Recorded} */ (this.seen.at(-1))) : body;
    return { ...json(said), headers: { 'content-type': 'application/json', 'cache-control': 'no-store' } };
  }

  accessToken() {
    return `at_${randomBytes(32).toString('base64url')}`;
  }

  /** @param {User} user @param {string | null} nonce @param {number} signedInAt in Unix seconds: a refresh is no new sign-in */
  async #idToken(user, nonce, signedInAt) {
    const key = this.keys[0] ?? this.honestKey;
    const honestly = { ...this.claims(user, nonce), auth_time: signedInAt };
    const claims = this.lies.claims ? this.lies.claims(honestly) : honestly;
    const honest = { alg: key.alg, kid: key.kid, typ: 'JWT' };
    const header = this.lies.header ? this.lies.header(honest) : honest;
    const token = this.lies.idToken ? await this.lies.idToken({ header, claims, key }) : await key.sign(header, claims);
    return token === undefined ? undefined : this.home.secret(token, 'ID token');
  }

  /** @param {string} error @param {number} [status] @returns {Reply} */
  refusal(error, status = 400) {
    return json({ error, error_description: 'refused by the provider' }, status);
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
function lie(change, honest) {
  const said = change ? change(honest) : honest;
  return isReply(said) ? said : json(said);
}

/** @param {unknown} said @returns {said is Reply} */
const isReply = (said) =>
  typeof said === 'object' &&
  said !== null &&
  ('afterMs' in said || 'lost' in said || ('status' in said && ('body' in said || 'headers' in said)));
