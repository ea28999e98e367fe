// Every case, and which kinds of test must cover it. A run reports a case as missing if one of these kinds has no test.
// Other kinds may cover it as well.

import { spinIsInstalled } from '../../scripts/stack/part/edge-spin.mjs';

/** @type {Readonly<Record<string, string>>} */
export const CATALOGUE = Object.freeze({
  S1: 'callback without state and without a sign-in in progress',
  S2: 'callback in a browser that did not begin the sign-in',
  S3: 'callback replayed',
  S4: "one provider's sign-in finished at another's callback",
  S5: 'callback that names a wrong issuer',
  S6: 'callback that names no issuer though the provider always does',
  S7: 'callback with a parameter twice',
  S9: 'mix-up: a code of the honest provider is not sent to the attacker',
  S10: "an attacker's code injected into the victim's callback",
  S11: 'provider that would downgrade PKCE',
  S12: 'markup in the error of a callback',
  S14: 'nonce missing, wrong or of another sign-in',
  S15: 'parameters of the authorization request injected at login',
  S16: 'authentication older than requested',
  S17: 'sign-ins forced a hundred times',
  S18: 'concurrent sign-ins in two tabs',
  S19: 'callback reached again by the back button',
  S21: 'session fixation',
  S22: 'sign-in as another user',
  S23: 'forged Host and forwarding headers',
  S24: 'first page after a sign-in that came from another site',
  S25: 'token endpoint that redirects',
  S26: 'token endpoint with an invalid token response',
  S28: 'return address: slashes and backslashes',
  S29: 'return address: white space and controls',
  S30: 'return address: encoded separators',
  S31: 'return address: schemes',
  S32: 'return address: users, suffixes and look-alike hosts',
  S33: 'return address: Unicode',
  S34: 'return address: line breaks',
  S35: 'return address: fragments, queries and ports',
  S36: 'return address: given twice, and the whole corpus',
  S37: 'ID token without a signature',
  S38: 'ID token signed with the public key as a secret',
  S39: 'ID token signed with an empty secret',
  S41: 'key id that looks like a path or a query',
  S42: 'flood of unknown key ids',
  S43: 'ID token that brings its own key',
  S45: 'ID token without a key id',
  S47: 'token times of wrong types',
  S48: 'token times just inside and just outside the tolerance',
  S49: 'audience and authorized party',
  S50: 'issuer that is almost right',
  S51: 'Entra: other tenants, versions and keys',
  S52: 'keys rotated between login and callback',
  S53: 'forged provider metadata',
  S54: 'userinfo of another user',
  S55: 'refreshed ID token of another user',
  S56: 'tokens of other kinds in place of an ID token',
  S58: 'same e-mail address, another user',
  S59: 'e-mail addresses that would pass an allow-list',
  S60: 'second cookie of the same name',
  S62: 'cookie damaged at each byte',
  S63: 'sealed value in place of another',
  S64: 'key rotation',
  S65: 'sealed value without an expiry',
  S66: 'nonces never repeat',
  S67: 'cookie that claims to come in many parts',
  S68: 'cookies and sessions in caches',
  S70: 'too many cookies',
  S71: 'session older than its maximum age',
  S72: 'records swapped in the store',
  S74: 'form post of another site',
  S75: 'multipart post of another site',
  S76: 'JSON as text/plain',
  S77: 'post without a body',
  S79: 'CSRF header missing, wrong or twice',
  S80: 'Sec-Fetch-Site of other sites',
  S81: 'other, null or absent Origin',
  S83: 'GET where only POST is allowed',
  S84: 'preflight of another origin',
  S85: 'EventSource of another site',
  S86: 'WebSocket of another site',
  S87: 'logout by an image',
  S88: 'pages in a frame',
  S89: "widget's event from another site",
  S90: 'spellings of another path',
  S91: 'request targets that name another host',
  S92: 'query and fragment do not choose the route',
  S93: 'prefixes and case of paths',
  S94: "client's identity and forwarding headers",
  S96: 'malformed framing of a request',
  S98: 'API that redirects',
  S99: 'API that sets cookies and policies',
  S100: 'API that answers 401',
  S101: 'tokens go to their own API only',
  S103: 'API that echoes the token',
  S104: 'API at a private address',
  S105: 'bodies that are slow or too large',
  S106: 'a hundred requests with an expired token',
  S107: 'rotation with reuse detection, adversarial schedules',
  S108: 'answer of a refresh lost',
  S109: 'crash between answer and write',
  S111: 'stale store returns a spent token',
  S112: 'new session not yet seen by a store',
  S113: 'outages end no sessions',
  S114: 'sign-out during a refresh',
  S116: "no user gets another user's token",
  S117: 'clock skew',
  S118: 'lifetimes shorter than a store can keep',
  S119: 'stores that are down',
  S120: 'refresh without a new refresh token, with fewer scopes',
  S121: 'forged logout tokens',
  S123: 'logout token for a whole user',
  S125: 'flood of logout tokens',
  S126: 'forged front-channel logout',
  S127: 'state after logout at the provider',
  S128: 'provider does not revoke',
  S129: 'signed out everywhere within the bound',
  S130: 'open streams end with their session',
  S131: "cursor of another user's stream",
  S132: "GitHub's revocation webhook",
  S133: 'no secret in any answer, log line or metric',
  S134: 'wrong configuration closes everything',
  S135: 'unknown keys, weak secrets and plain HTTP close every route',
  S136: 'malformed headers, cookies and escapes',
  S137: 'DPoP nonces and proofs',
  S138: 'pushed authorization requests that expire',
  S139: 'event that names another user as its subject',
  S140: 'records of other tenants',
  S141: 'messages of other frames',
  S142: 'markup in a message',
  S144: 'no randomness, no clock',
  S145: 'cookie without the prefix',
  S146: 'tokens cannot be checked',
  S147: "client's own bearer token",
  S149: 'unknown or invalid keys are rejected, and cause no trap',
  S151: 'two writers create the same session',
  S152: 'compare-and-set of each store',
  S153: 'stream cut by the platform',
  S154: 'widget where third-party cookies are blocked',
  S155: 'embedded mode',
  S156: 'logout that is older than a session',
  S157: 'the same key twice, several keys under one id',
  S158: 'answer of a foreign issuer clears nothing',
  S159: 'session cookie that does not open',
  S160: 'prefetches by older headers begin no sign-in',
  S161: 'encoded spellings of a path that no rule allows',
  S162: 'request headers that no service may name',
  S163: 'addresses in an API answer that lead elsewhere',
  S164: 'requests without the CSRF header for what a rule marks as navigable',
  S165: 'keys, secrets and allow-lists that change while an isolate lives',
  S166: "channel, cursor or position of another user's records",
  S167: 'unsigned or wrongly signed records of a channel that demands signatures',
  S168: "echo of a user's words with claimed attributes",
});

/** @param {string} ids */
const list = (ids) => new Set(ids.split(' '));

/** Cases that no request of one client can cause. */
const WITHOUT_HTTP = list(
  'S65 S66 S71 S72 S109 S111 S112 S117 S118 S130 S131 S140 S141 S142 S144 S153 S154 S155 S165 S166 S167 S168',
);
/**
 * Cases that only the whole edge can show, or that another case's unit tests cover: one function checks return
 * addresses (S28).
 */
const WITHOUT_NATIVE = list('S24 S29 S30 S31 S32 S33 S34 S35 S36 S67 S68 S98 S103 S136 S147 S149 S152');
/** Cases that journeys through the real stack must cover, too. */
const JOURNEYS = list(
  'S90 S91 S94 S96 S98 S99 S105 S109 S130 S131 S132 S133 S135 S139 S140 S153 S155 S161 S162 S163 S165 S166 S167 S168',
);

/**
 * Cases that a kind of test cannot cover on a runtime, and why.
 * @type {Readonly<Record<string, { kind: import('./case.mjs').Kind, runtime: string, why: string }>>}
 */
const EXCEPTIONS = Object.freeze({
  S119: {
    kind: 'http',
    runtime: 'workers',
    why: 'no HTTP case on Workers: Durable Objects cannot be stopped on one machine',
  },
  S135: {
    kind: 'journey',
    runtime: 'spin',
    why: 'no journey on Spin, where an undeclared variable does not reach the edge',
  },
  ...(spinIsInstalled() && {
    S165: {
      kind: 'journey',
      runtime: 'spin',
      why: 'no journey on the Spin CLI, which reads variables that change from a remote store only',
    },
  }),
});

/** What a passed case does not prove. @type {Readonly<Record<string, string>>} */
const LIMITS = Object.freeze({
  S62: 'whether all rejections take equally long is not measured',
});

/** @type {readonly import('./case.mjs').Kind[]} */
const KINDS = ['http', 'native', 'journey'];

/**
 * Which kinds of test must cover a case.
 * @param {string} id @param {string} runtime @returns {import('./case.mjs').Kind[]}
 */
export function needed(id, runtime) {
  const wanted = { http: !WITHOUT_HTTP.has(id), native: !WITHOUT_NATIVE.has(id), journey: JOURNEYS.has(id) };
  const exception = EXCEPTIONS[id];
  return KINDS.filter((kind) => wanted[kind] && (exception?.runtime !== runtime || exception.kind !== kind));
}

/**
 * A note for the reader of a case's result.
 * @param {string} id @param {string} runtime @returns {string | undefined}
 */
export function note(id, runtime) {
  const exception = EXCEPTIONS[id];
  return exception?.runtime === runtime ? exception.why : LIMITS[id];
}
