// The peculiarities of Entra ID and GitHub.

import { randomBytes } from 'node:crypto';

import { Realm, bearer } from './realm.mjs';
import { json } from './recorded.mjs';

/** @typedef {import('./key.mjs').Json} Json */
/** @typedef {import('./realm.mjs').User} User */
/** @typedef {import('./recorded.mjs').Recorded} Recorded */
/** @typedef {import('./recorded.mjs').Reply} Reply */

/** The tenant of personal Microsoft accounts. */
export const CONSUMERS_TENANT = '9188040d-6c67-4c5b-b112-36a304b66dad';

/** Microsoft Entra ID, v2.0 endpoint, one tenant. */
export class EntraRealm extends Realm {
  /**
   * @param {import('./realm.mjs').Home} home
   * @param {Omit<import('./realm.mjs').Registration, 'base'> & { tenant: string }} registration
   */
  constructor(home, { tenant, ...registration }) {
    super(home, { ...registration, base: `/${tenant}` });
    this.tenant = tenant;
  }

  get issuer() {
    return `${this.home.origin}/${this.tenant}/v2.0`;
  }

  get paths() {
    return {
      metadata: '/v2.0/.well-known/openid-configuration',
      authorize: '/oauth2/v2.0/authorize',
      token: '/oauth2/v2.0/token',
      keys: '/discovery/v2.0/keys',
      userinfo: '/oidc/userinfo',
      revoke: '/oauth2/v2.0/revoke',
      logout: '/oauth2/v2.0/logout',
    };
  }

  /** Entra's metadata names neither PKCE methods nor a revocation endpoint. @returns {Json} */
  metadata() {
    /** @type {Json} */
    const document = { ...super.metadata(), frontchannel_logout_supported: true };
    delete document.code_challenge_methods_supported;
    delete document.revocation_endpoint;
    return document;
  }

  /** Entra sets `iat` and `nbf` to five minutes ago. @param {User} user @param {string | null} nonce @returns {Json} */
  claims(user, nonce) {
    const issued = Math.floor(Date.now() / 1000) - 300;
    return {
      ...super.claims(user, nonce),
      iat: issued,
      nbf: issued,
      sub: `pairwise-${user.id}`,
      tid: this.tenant,
      oid: user.id,
      ver: '2.0',
      preferred_username: user.email,
    };
  }
}

/** GitHub: OAuth without ID tokens, errors as HTTP 200. */
export class GitHubRealm extends Realm {
  /** GitHub Apps' user tokens expire and are refreshed; those of OAuth apps do neither. */
  expires = false;

  get issuer() {
    return `${this.home.origin}/login/oauth`;
  }

  get paths() {
    return { authorize: '/login/oauth/authorize', token: '/login/oauth/access_token', revoke: '/login/oauth/revoke' };
  }

  accessToken() {
    return `gho_${randomBytes(27).toString('base64url')}`;
  }

  reset() {
    super.reset();
    this.expires = false;
  }

  /**
   * @param {User} user @param {string} scope @param {string | null} nonce @param {string} family
   * @param {URLSearchParams} form @returns {Promise<Reply>}
   */
  async grant(user, scope, nonce, family, form) {
    // A refresh ends the user's earlier access token.
    if (form.get('grant_type') === 'refresh_token')
      for (const [token, owner] of this.granted) if (owner === user) this.granted.delete(token);
    const accessToken = this.home.secret(this.accessToken(), 'access token');
    this.granted.set(accessToken, user);
    const body = { access_token: accessToken, token_type: 'bearer', scope: 'read:user' };
    if (!this.expires)
      return json(
        this.overrides.tokens ? this.overrides.tokens(body, /** @type {Recorded} */ (this.seen.at(-1))) : body,
      );
    const refreshToken = this.home.secret(`ghr_${randomBytes(32).toString('base64url')}`, 'refresh token');
    this.refreshes.set(refreshToken, { family, user, scope, nonce, used: false });
    const expiring = {
      ...body,
      expires_in: this.accessTokenSeconds,
      refresh_token: refreshToken,
      refresh_token_expires_in: 15_811_200,
    };
    return json(
      this.overrides.tokens ? this.overrides.tokens(expiring, /** @type {Recorded} */ (this.seen.at(-1))) : expiring,
    );
  }

  /** @param {string} error @returns {Reply} */
  errorReply(error) {
    const own = { invalid_grant: 'bad_verification_code', invalid_client: 'incorrect_client_credentials' };
    const isRefresh = this.seen.at(-1)?.form.get('grant_type') === 'refresh_token';
    const code =
      error === 'invalid_grant' && isRefresh
        ? 'bad_refresh_token'
        : (own[/** @type {keyof typeof own} */ (error)] ?? error);
    return json({ error: code, error_description: 'rejected by the provider' });
  }

  /** The API's answer for the user of a token. @param {Recorded} request @returns {Reply} */
  userinfo(request) {
    const user = this.granted.get(bearer(request));
    if (!user) return json({ message: 'Bad credentials' }, 401);
    const person = {
      id: Number.parseInt(user.id.slice(-6), 16),
      login: user.name.split(' ')[0]?.toLowerCase(),
      name: user.name,
      email: user.email,
    };
    return json(this.overrides.person ? this.overrides.person(person) : person);
  }
}
