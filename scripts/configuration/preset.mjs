// What each identity provider needs: the flags that say so, its entry in the configuration, and what to register there
// under which name. docs/providers.md has the same as recipes, and a test compares the two.

/**
 * @typedef {'callback' | 'logged-out' | 'backchannel-logout' | 'frontchannel-logout' | 'webhook'} Path
 * under /auth/{id}/
 */
/**
 * @typedef {object} Preset
 * @property {string} title as users know it, and the heading of its recipe
 * @property {'entra' | 'github' | 'openid'} kind
 * @property {readonly (readonly [string, Path])[]} register names of the provider's fields, and what to enter
 * @property {string} [issuer] the only one
 * @property {string} [issuerLike] an example of one
 * @property {RegExp} [issuerForm]
 * @property {readonly string[]} [endpoints] origins of endpoints that are not at the issuer's
 * @property {string} [endpointsLike] an example, where they depend on the registration
 * @property {Record<string, unknown>} [entry] fields that differ from the defaults of OIDC_PROVIDERS
 */

const WITH_REFRESH = ['openid', 'profile', 'email', 'offline_access'];

/** @type {Readonly<Record<string, Preset>>} */
export const PRESETS = Object.freeze({
  entra: {
    title: 'Entra ID',
    kind: 'entra',
    register: [
      ['Redirect URIs (platform Web)', 'callback'],
      ['Redirect URIs (platform Web)', 'logged-out'],
      ['Front-channel logout URL', 'frontchannel-logout'],
    ],
  },
  github: {
    title: 'GitHub',
    kind: 'github',
    register: [
      ['Callback URL', 'callback'],
      ['Webhook URL', 'webhook'],
    ],
  },
  keycloak: {
    title: 'Keycloak',
    kind: 'openid',
    issuerLike: 'https://id.example.com/realms/main',
    issuerForm: /\/realms\/[^/]+$/,
    register: [
      ['Valid redirect URIs', 'callback'],
      ['Valid post logout redirect URIs', 'logged-out'],
      ['Backchannel logout URL', 'backchannel-logout'],
    ],
  },
  auth0: {
    title: 'Auth0',
    kind: 'openid',
    issuerLike: 'https://example.eu.auth0.com/',
    // Auth0 writes its issuer with a slash at the end, and the edge compares it as it is.
    issuerForm: /\/$/,
    entry: { scopes: WITH_REFRESH },
    register: [
      ['Allowed Callback URLs', 'callback'],
      ['Allowed Logout URLs', 'logged-out'],
      ['Back-Channel Logout URI', 'backchannel-logout'],
    ],
  },
  okta: {
    title: 'Okta',
    kind: 'openid',
    issuerLike: 'https://example.okta.com/oauth2/default',
    issuerForm: /[^/]$/,
    entry: { scopes: WITH_REFRESH },
    register: [
      ['Sign-in redirect URIs', 'callback'],
      ['Sign-out redirect URIs', 'logged-out'],
    ],
  },
  google: {
    title: 'Google',
    kind: 'openid',
    issuer: 'https://accounts.google.com',
    endpoints: ['https://oauth2.googleapis.com', 'https://openidconnect.googleapis.com', 'https://www.googleapis.com'],
    register: [['Authorized redirect URIs', 'callback']],
  },
  cognito: {
    title: 'Amazon Cognito',
    kind: 'openid',
    issuerLike: 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI',
    issuerForm: /^https:\/\/cognito-idp\.[a-z0-9-]+\.amazonaws\.com(\.cn)?\/[\w-]+$/,
    endpointsLike: 'https://example.auth.eu-central-1.amazoncognito.com',
    entry: { pkce_unlisted: true, end_session: false },
    register: [['Allowed callback URLs', 'callback']],
  },
  oidc: {
    title: 'Other OpenID providers',
    kind: 'openid',
    issuerLike: 'https://id.example.com',
    register: [
      ['Redirect URI', 'callback'],
      ['Post-logout redirect URI', 'logged-out'],
      ['Back-channel logout URI', 'backchannel-logout'],
    ],
  },
});

/** @param {string} name @returns {Preset | undefined} */
export const presetOf = (name) => (Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined);

/** @param {string} origin @param {string} id @param {Path} path */
export const addressOf = (origin, id, path) => `${origin}/auth/${id}/${path}`;
