// What the suite needs to know about Causeway. To attack another BFF, write such a module for it.
//
// `CAUSEWAY_SECURITY_PROFILE` or `--profile` names the module. With `--base-url` the BFF is already running and `start`
// is not called. Cases that need its log or another configuration then report that they cannot run.

/** @typedef {import('../../support/exchange.mjs').Answer} Answer */

export const name = 'causeway';

/** The session cookie, and how to recognise any cookie of the BFF. */
export const sessionCookie = '__Host-Http-session';
/** Cookies that must be sent when a provider redirects back. Every other cookie is SameSite=Strict. */
export const returningCookies = /^__Host-Http-log(?:in-|ged-out$)/;
export const isOwnCookie = (/** @type {string} */ cookie) => cookie.startsWith('__Host-Http-');

/** The runtime of the BFF, also where the suite did not start it. */
const runtime = process.env.CAUSEWAY_TARGET || 'workers';

/**
 * How many instances serve at once, each with its own memory. The Spin host starts another one when each has sixteen
 * requests in progress. Cases depend only on whether there are several: instances share what one fetched from
 * a provider.
 * @param {string} runtime
 */
export const instancesOn = (runtime) => (runtime === 'spin' ? 2 : 1);
export const instances = instancesOn(runtime);

/**
 * The HTTP server in front of the BFF, and how it answers requests that it does not forward.
 * - statuses: its answers; 0 if it closes the connection
 * - rejects: those for a request that it cannot parse
 * - isOwnError: whether a 500 is its own
 * - resolvesDots: whether it resolves dot segments, as browsers do
 * - prefersChunks: whether it ignores the length of a chunked body
 */
export const frontServer = {
  statuses: [0, 400, 404, 405, 408, 413, 414, 417, 431, 501, 505],
  rejects: [0, 501, 505],
  prefersChunks: true,
  ...(runtime === 'spin'
    ? // The Spin host has no route for a target without a path.
      {
        resolvesDots: false,
        isOwnError: (/** @type {Answer} */ { target, text }) =>
          /^(?:CONNECT |[A-Z]+ [^/ ]+ )/.test(target) && text === '',
      }
    : // Nor has workerd. And wrangler's proxy answers 500 if the connection to it broke during a body.
      {
        resolvesDots: true,
        isOwnError: (/** @type {Answer} */ { target, text }) =>
          /^(?:CONNECT |[A-Z]+ \* )/.test(target) || text.startsWith('Error: Network connection lost.\n'),
      }),
};

/** The statuses of its redirects. */
export const redirects = [302, 303];
/** The media type of its errors for scripts. */
export const errorType = /^application\/problem\+json/;
/** An error without the parts that differ each time. @param {Answer} answer */
export const withoutItsRequest = ({ text }) => ({ ...JSON.parse(text), request_id: undefined, instance: undefined });
/** Headers that may or may not be present. */
export const headersThatVary = ['date', 'x-request-id', 'cf-ray'];

/** How long an ended session may still be accepted, as configured here. */
export const revocationBoundSeconds = 1;
/** The tolerated difference between its clock and a provider's. */
export const toleranceSeconds = 60;
/** How often a refresh token is sent again after a lost answer. */
export const refreshRepeats = 1;

/** The headers by which a script shows that it is not another site's form. */
export const csrf = { 'X-CSRF': '1' };

export const path = {
  home: '/',
  session: '/auth/session',
  logout: '/auth/logout',
  stream: '/stream',
  event: '/events/chat',
  login: (/** @type {string} */ provider, /** @type {string | undefined} */ returnTo = undefined) =>
    `/auth/${provider}/login${returnTo === undefined ? '' : `?return_to=${encodeURIComponent(returnTo)}`}`,
  /** Begins to link an account to the current session; disconnect unlinks it. */
  connect: (/** @type {string} */ provider) => `/auth/${provider}/login?connect=1`,
  disconnect: (/** @type {string} */ provider) => `/auth/${provider}/disconnect`,
  callback: (/** @type {string} */ provider) => `/auth/${provider}/callback`,
  returnParameter: 'return_to',
  backchannelLogout: (/** @type {string} */ provider) => `/auth/${provider}/backchannel-logout`,
  frontchannelLogout: (/** @type {string} */ provider) => `/auth/${provider}/frontchannel-logout`,
  webhook: '/auth/github/webhook',
  handoff: '/auth/handoff',
  ownSession: (/** @type {string} */ id) => `/auth/sessions/${id}`,
  deliver: '/internal/deliver',
  endSession: (/** @type {string} */ provider) => `/auth/${provider}/end-session`,
  loggedOut: (/** @type {string} */ provider) => `/auth/${provider}/logged-out`,
};

/**
 * An API behind the BFF, with paths as its stub sees them. Below `prefix`, the rules allow `GET own` and all methods
 * below `family`, but not `secret`. Links and images may request what is below `navigable`.
 */
export const api = {
  prefix: '/bff/corp',
  provider: 'corp',
  own: '/v1.0/me',
  family: '/files',
  secret: '/admin/secret',
  navigable: '/pictures',
};
/**
 * Whether an answer asks for a new sign-in with the API's provider, while the session goes on.
 * @param {Answer} answer
 */
export const signInNeeded = ({ status, text }) => status === 401 && JSON.parse(text).code === 'provider-sign-in-needed';
/** The same API for users of a provider that binds its tokens to a key. */
export const boundApi = { prefix: '/bff/bound', provider: 'bound', own: '/v1.0/me' };
/** The same API with limits that a test can wait for. */
export const limitedApi = {
  prefix: '/bff/limited',
  provider: 'corp',
  own: '/v1.0/me',
  bodyLimitKib: 256,
  timeoutSeconds: 2,
};
/** APIs that each get tokens restricted to them and bound to a key. */
export const restrictedApis = ['billing', 'mail'].map((name) => ({
  prefix: `/bff/${name}`,
  provider: 'narrow',
  own: '/v1.0/me',
  token: { scopes: [`${name}.read`], resource: `https://${name}.example/` },
}));
/** An API that is called with the token of a GitHub App's installation, not with the user's. */
export const appApi = {
  prefix: '/bff/docs',
  own: '/v1.0/docs',
  installation: { id: 7, permissions: { contents: 'read' }, repositories: ['docs'] },
};
/** Headers of an API that describe its answer. The BFF drops all others. */
export const forwardedHeaders = [
  'content-type',
  'content-language',
  'content-range',
  'content-disposition',
  'etag',
  'last-modified',
  'link',
  'retry-after',
  'x-ratelimit-remaining',
];
/** A second API, which gets another provider's tokens. */
export const otherApi = { prefix: '/bff/github', provider: 'github', own: '/user' };

/** Answers without user data, which may be cached: the page and its assets. @param {Answer} answer */
export const isPublic = ({ target, status, text }) =>
  status === 200 && (target.startsWith('/assets/') || text.includes('src="/assets/page.js"'));

/** The signed-in user, from the answer of `path.session`. @param {Answer} answer @returns {string | undefined} */
export function user({ status, text }) {
  const session = status === 200 ? JSON.parse(text) : {};
  return session.authenticated ? session.user.id : undefined;
}

/**
 * The reason, if a log entry reports a rejection.
 * @param {Record<string, unknown>} entry @returns {string | undefined}
 */
export function rejection({ event, reason }) {
  return event === 'reject' ? String(reason) : undefined;
}

/** The request id of a log entry and of an answer. @param {Record<string, unknown>} entry */
export const requestOf = (entry) => entry.request_id;
/** @param {Answer} answer */
export const requestAnswered = ({ headers }) => headers['x-request-id'];

/**
 * The log's names for the reasons of a rejected sign-in, by the cases' names. A rejection for a reason that has nothing
 * to do with the attack must not count as passed. @type {Readonly<Record<string, RegExp>>}
 */
export const reasons = {
  'no state': /^state-(?:missing-or-repeated|malformed)$/,
  'unknown sign-in': /^no-sign-in-of-this-state-/,
  'rejected by provider': /^invalid-grant$/,
  'unknown key of a logout': /^logout-token-of-an-unknown-key$/,
  'cookie of another sign-in': /^sign-in-cookie-does-not-open$/,
  'state or sign-in used before': /^(?:state-used-before|no-sign-in-of-this-state-.*)$/,
  'state used before': /^state-used-before$/,
  'no code': /^code-missing$/,
  error: /^provider-reported-an-error$/,
  'repeated parameter': /^(?:parameter-repeated|state-missing-or-repeated)$/,
  issuer: /^answer-of-another-issuer$/,
  'no issuer': /^issuer-missing$/,
  signature:
    /^(?:no-id-token|id-token-(?:malformed|of-another-algorithm-or-type|signed-with-an-unknown-key|signature-does-not-verify))$/,
  'unknown key': /^id-token-signed-with-an-unknown-key$/,
  nonce: /^id-token-(?:nonce-does-not-match|malformed)$/,
  'age of authentication': /^id-token-(?:of-a-user-who-signed-in-too-long-ago|malformed)$/,
  'token times': /^id-token-(?:outside-its-time|from-before-the-sign-in-began|malformed)$/,
  'issuer or audience': /^id-token-(?:of-another-issuer-or-audience|malformed)$/,
  tenant: /^id-token-(?:of-another-tenant-or-version|of-another-issuer-or-audience|without-an-identity|malformed)$/,
  'no token response': /^not-a-token-response$/,
  'not JSON': /^not-json$/,
  'too long': /^too-long-or-broken-off$/,
  'token type': /^(?:token-of-another-type-than-asked-for|not-a-token-response)$/,
  'token unfit for a header': /^token-that-no-header-can-hold$/,
  outage: /^identity-provider-unavailable$|^[a-z-]+-unavailable$/,
};

/**
 * The configuration problems in a log entry, each beginning with its key.
 * @param {Record<string, unknown>} entry @returns {string[]}
 */
export function configurationProblems({ event, problems }) {
  return event === 'config' && Array.isArray(problems) ? problems.map(String) : [];
}

/** The page of a rejected sign-in without the parts that differ each time. @param {string} html */
export function fixedPage(html) {
  return html.replace(/\b[0-9a-f]{16}\b/g, '·');
}

/** How many providers there are that no case has used yet, so that the BFF has cached nothing of them. */
const UNUSED = 12;

/**
 * Registers the BFF's configured providers with the stub.
 * @param {import('../provider/stub.mjs').ProviderStub} provider
 */
export function register(provider) {
  const entra = provider.entra({
    id: 'entra',
    tenant: '6d1c2f0a-3b4c-4d5e-8f60-718293a4b5c6',
    clientId: '0d6e3f1c-8b7a-4c5d-9e2f-4a1b6c8d7e90',
    clientSecret: 'entra-secret-of-the-security-suite-1',
  });
  const github = provider.github({
    id: 'github',
    clientId: 'Iv1.security',
    clientSecret: 'github-secret-of-the-security-suite-1',
  });
  const oidc = (/** @type {string} */ id) => registerOpenId(provider, id);
  return {
    oidc: oidc('corp'),
    entra,
    github,
    recent: oidc('recent'),
    bound: oidc('bound'),
    narrow: oidc('narrow'),
    unused: registerUnusedRealms(provider),
  };
}

/** @param {import('../provider/stub.mjs').ProviderStub} provider @param {string} id */
const registerOpenId = (provider, id) =>
  provider.oidc({
    id,
    base: `/realm/${id}`,
    clientId: `client-of-${id}`,
    clientSecret: `secret-of-${id}-in-the-security-suite`,
  });

let generation = 0;

/**
 * Replaces the unused providers by new ones. The coordinator remembers the earlier ones for a minute.
 * @param {import('../provider/stub.mjs').ProviderStub} provider
 */
export function registerUnusedRealms(provider) {
  const name = (/** @type {number} */ index) => `unused-${generation}-${index}`;
  for (let index = 0; index < UNUSED; index++) provider.realms.delete(name(index));
  generation++;
  return Array.from({ length: UNUSED }, (_, index) => registerOpenId(provider, name(index)));
}

/**
 * Settings of single providers, on top of those that all have.
 * @type {Readonly<Record<string, Record<string, unknown>>>}
 */
export const extraSettings = { recent: { max_age_seconds: 60 }, bound: { dpop: true }, narrow: { dpop: true } };

export const start = async (/** @type {import('./causeway-edge.mjs').Surroundings} */ surroundings) =>
  (await import('./causeway-edge.mjs')).start(surroundings);
