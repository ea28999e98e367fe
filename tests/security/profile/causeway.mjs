// What the suite must know of Causeway to attack it; another BFF is attacked by writing such a module for it.
//
// `CAUSEWAY_SECURITY_PROFILE` or `--profile` names the module. With `--base-url` the BFF runs already and `start` is not
// called; cases that need its log or another configuration then say that they were not run.

/** @typedef {import('../../support/exchange.mjs').Answer} Answer */

export const name = 'causeway';

/** What a signed-in browser holds, and how any cookie of the BFF is told from others'. */
export const sessionCookie = '__Host-Http-session';
/** What comes back from a provider, and must travel with that navigation. Every other cookie stays on the site. */
export const returningCookies = /^__Host-Http-log(?:in-|ged-out$)/;
export const isOwnCookie = (/** @type {string} */ cookie) => cookie.startsWith('__Host-Http-');

/** What the BFF runs on, also where the suite did not start it. */
const runtime = process.env.CAUSEWAY_TARGET || 'workers';

/**
 * How many serve at once, each with a memory of its own. The Spin host starts another one when sixteen requests are under
 * way in each of those there are. How many there are is no matter: what one asks of a provider the others know. That there
 * are several is. @param {string} runtime
 */
export const instancesOn = (runtime) => (runtime === 'spin' ? 2 : 1);
export const instances = instancesOn(runtime);

/**
 * What stands before the BFF, and what it does by itself with a request that it does not hand on.
 * - statuses: what it answers; 0 if it hangs up    - refuses: those of them by which it says that it cannot read a request
 * - fails: whether a 500 is its own                - resolves: whether it reads an address as browsers do, so that without its dots it is another one
 * - takesChunks: whether it takes the chunks' word for a body that has a length, too
 */
export const front = {
  statuses: [0, 400, 404, 405, 408, 413, 414, 417, 431, 501, 505],
  refuses: [0, 501, 505],
  takesChunks: true,
  ...(runtime === 'spin'
    ? // The host has no route for a target without a path.
      {
        resolves: false,
        fails: (/** @type {Answer} */ { target, text }) => /^(?:CONNECT |[A-Z]+ [^/ ]+ )/.test(target) && text === '',
      }
    : // So does workerd; and wrangler's proxy says that the connection to it broke in the middle of a body.
      {
        resolves: true,
        fails: (/** @type {Answer} */ { target, text }) =>
          /^(?:CONNECT |[A-Z]+ \* )/.test(target) || text.startsWith('Error: Network connection lost.\n'),
      }),
};

/** By what a browser is sent on. */
export const redirects = [302, 303];
/** Of what the BFF says of an error to a script. */
export const errorType = /^application\/problem\+json/;
/** An error without what differs each time. @param {Answer} answer */
export const withoutItsRequest = ({ text }) => ({ ...JSON.parse(text), request_id: undefined, instance: undefined });
/** Headers whose presence tells nothing. */
export const headersThatVary = ['date', 'x-request-id', 'cf-ray'];

/** How long a session that ended may go on to be believed, as it is configured here. */
export const revocationBoundSeconds = 1;
/** How far its clock and a provider's may be apart. */
export const toleranceSeconds = 60;
/** How often a refresh token is sent again if its answer was lost. */
export const refreshRepeats = 1;

/** What a script must send so that it is believed to be of an allowed page. */
export const csrf = { 'X-CSRF': '1' };

export const path = {
  home: '/',
  session: '/auth/session',
  logout: '/auth/logout',
  stream: '/stream',
  event: '/events/chat',
  login: (/** @type {string} */ provider, /** @type {string | undefined} */ returnTo = undefined) =>
    `/auth/${provider}/login${returnTo === undefined ? '' : `?return_to=${encodeURIComponent(returnTo)}`}`,
  /** Begins to add an account to the session there is, and takes it away again. */
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
 * An API behind the BFF, as the stub of that API sees it: below `prefix`, `GET own` is allowed, and everything below
 * `GET/POST family`; `secret` exists there, but no rule allows it.
 */
export const api = {
  prefix: '/bff/corp',
  provider: 'corp',
  own: '/v1.0/me',
  family: '/files',
  secret: '/admin/secret',
};
/** Whether an answer asks for another sign-in with the API's provider, while the session lives on. @param {Answer} answer */
export const signInNeeded = ({ status, text }) => status === 401 && JSON.parse(text).code === 'provider-sign-in-needed';
/** The same API for users of a provider that binds its tokens to a key. */
export const boundApi = { prefix: '/bff/bound', provider: 'bound', own: '/v1.0/me' };
/** The same API once more, with limits that a test can wait for. */
export const limitedApi = {
  prefix: '/bff/limited',
  provider: 'corp',
  own: '/v1.0/me',
  bodyLimitKib: 256,
  timeoutSeconds: 2,
};
/** APIs that each get tokens restricted to them, bound to a key. */
export const restrictedApis = ['ledger', 'mail'].map((name) => ({
  prefix: `/bff/${name}`,
  provider: 'narrow',
  own: '/v1.0/me',
  token: { scopes: [`${name}.read`], resource: `https://${name}.example/` },
}));
/** An API that is called in the name of a GitHub App, whoever is signed in. */
export const appApi = {
  prefix: '/bff/docs',
  own: '/v1.0/docs',
  installation: { id: 7, permissions: { contents: 'read' }, repositories: ['docs'] },
};
/** What an API may say about its own answer; all else that it says ends at the BFF. */
export const passedHeaders = [
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

/** What holds nothing of anybody and may be kept: the page, and what belongs to it. @param {Answer} answer */
export const isPublic = ({ target, status, text }) =>
  status === 200 && (target.startsWith('/assets/') || text.includes('src="/assets/page.js"'));

/** Who is signed in, by the answer of `path.session`. @param {Answer} answer @returns {string | undefined} */
export function user({ status, text }) {
  const said = status === 200 ? JSON.parse(text) : {};
  return said.authenticated ? said.user.id : undefined;
}

/** The reason, if a line of the log counts a refusal. @param {Record<string, unknown>} entry @returns {string | undefined} */
export function rejection({ event, reason }) {
  return event === 'reject' ? String(reason) : undefined;
}

/** The request that a line of the log is about, if it names one, and that an answer is of. @param {Record<string, unknown>} entry */
export const requestOf = (entry) => entry.request_id;
/** @param {Answer} answer */
export const requestAnswered = ({ headers }) => headers['x-request-id'];

/**
 * What the log calls the reason of a refused sign-in, by what the cases call it: so that none counts as passed for a
 * refusal that had nothing to do with the attack. @type {Readonly<Record<string, RegExp>>}
 */
export const reasons = {
  'no state': /^state-(?:missing-or-repeated|malformed)$/,
  stranger: /^no-sign-in-of-this-state-/,
  'refused by provider': /^invalid-grant$/,
  'unknown key of a logout': /^logout-token-of-an-unknown-key$/,
  'of another': /^sign-in-cookie-does-not-open$/,
  spent: /^(?:state-used-before|no-sign-in-of-this-state-.*)$/,
  'used before': /^state-used-before$/,
  'no code': /^code-missing$/,
  error: /^provider-reported-an-error$/,
  repeated: /^(?:parameter-repeated|state-missing-or-repeated)$/,
  issuer: /^answer-of-another-issuer$/,
  'no issuer': /^issuer-missing$/,
  signature:
    /^(?:no-id-token|id-token-(?:malformed|of-another-algorithm-or-type|signed-with-an-unknown-key|signature-does-not-verify))$/,
  'unknown key': /^id-token-signed-with-an-unknown-key$/,
  nonce: /^id-token-(?:nonce-does-not-match|malformed)$/,
  age: /^id-token-(?:of-a-user-who-signed-in-too-long-ago|malformed)$/,
  time: /^id-token-(?:outside-its-time|from-before-the-sign-in-began|malformed)$/,
  party: /^id-token-(?:of-another-issuer-or-audience|malformed)$/,
  tenant: /^id-token-(?:of-another-tenant-or-version|of-another-issuer-or-audience|without-an-identity|malformed)$/,
  'no token response': /^not-a-token-response$/,
  'not JSON': /^not-json$/,
  'too long': /^too-long-or-broken-off$/,
  'type of token': /^(?:token-of-another-type-than-asked-for|not-a-token-response)$/,
  'no header value': /^token-that-no-header-can-hold$/,
  outage: /^identity-provider-unavailable$|^[a-z-]+-unavailable$/,
};

/** What a line of the log says is wrong with the configuration, each with its key first. @param {Record<string, unknown>} entry @returns {string[]} */
export function complaints({ event, problems }) {
  return event === 'config' && Array.isArray(problems) ? problems.map(String) : [];
}

/** The page of a refused sign-in without what differs each time. @param {string} html */
export function fixedPage(html) {
  return html.replace(/\b[0-9a-f]{16}\b/g, '·');
}

/** How many providers there are that no case has asked anything of yet, so that nothing is remembered of them. */
const FRESH = 12;

/** Registers with the stub what the BFF is configured for. @param {import('../provider/stub.mjs').ProviderStub} provider */
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
    fresh: moreFresh(provider),
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

/** New ones in the place of those before, of which the coordinator remembers something for a minute. @param {import('../provider/stub.mjs').ProviderStub} provider */
export function moreFresh(provider) {
  const name = (/** @type {number} */ index) => `fresh-${generation}-${index}`;
  for (let index = 0; index < FRESH; index++) provider.realms.delete(name(index));
  generation++;
  return Array.from({ length: FRESH }, (_, index) => registerOpenId(provider, name(index)));
}

/** Settings of a provider beside what every one has. @type {Readonly<Record<string, Record<string, unknown>>>} */
export const peculiar = { recent: { max_age_seconds: 60 }, bound: { dpop: true }, narrow: { dpop: true } };

export const start = async (/** @type {import('./causeway-edge.mjs').Surroundings} */ surroundings) =>
  (await import('./causeway-edge.mjs')).start(surroundings);
