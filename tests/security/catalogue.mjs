// Every case there must be, and which kinds of test must claim it. One that a kind is missing of is missing, and a run
// says so; more may stand for it than must.

/** @type {Readonly<Record<string, string>>} */
export const CATALOGUE = Object.freeze({
  S1: 'callback without state and without a sign-in under way',
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
  S16: 'authentication older than asked for',
  S17: 'sign-ins forced a hundred times',
  S18: 'two tabs that sign in at once',
  S19: 'callback reached again by the back button',
  S21: 'session fixed before the sign-in',
  S22: 'sign-in as somebody else',
  S23: 'Host and forwarding headers that lie',
  S24: 'first page after a sign-in that came from another site',
  S25: 'token endpoint that redirects',
  S26: 'token endpoint that answers what is no token response',
  S28: 'return address: slashes and backslashes',
  S29: 'return address: white space and controls',
  S30: 'return address: encoded separators',
  S31: 'return address: schemes',
  S32: 'return address: users, suffixes and look-alike hosts',
  S33: 'return address: Unicode',
  S34: 'return address: line breaks',
  S35: 'return address: fragments, queries and ports',
  S36: 'return address: given twice, and all others',
  S37: 'ID token without a signature',
  S38: 'ID token signed with the public key as a secret',
  S39: 'ID token signed with an empty secret',
  S41: 'key id that looks like a path or a query',
  S42: 'flood of unknown key ids',
  S43: 'ID token that brings its own key',
  S45: 'ID token without a key id',
  S47: 'times of wrong types',
  S48: 'times just inside and just outside the tolerance',
  S49: 'audience and authorized party',
  S50: 'issuer almost right',
  S51: 'Entra: tenants, versions and keys of others',
  S52: 'keys rotated between login and callback',
  S53: 'metadata that lies',
  S54: 'userinfo of somebody else',
  S55: 'refreshed ID token of somebody else',
  S56: 'tokens of other kinds in place of an ID token',
  S58: 'same e-mail address, other person',
  S59: 'e-mail addresses that trick an allow-list',
  S60: 'second cookie of the same name',
  S62: 'cookie damaged at each byte',
  S63: 'sealed value in the place of another',
  S64: 'key rotation',
  S65: 'sealed value without an end',
  S66: 'nonces never repeat',
  S67: 'cookie that claims to come in many parts',
  S68: 'cookies and sessions in caches',
  S70: 'more cookies than fit',
  S71: 'session older than it may become',
  S72: 'records swapped in the store',
  S74: 'form post of another site',
  S75: 'multipart post of another site',
  S76: 'JSON as text/plain',
  S77: 'post without a body',
  S79: 'header against CSRF missing, wrong or twice',
  S80: 'Sec-Fetch-Site of others',
  S81: 'foreign, null or absent Origin',
  S83: 'GET where only POST is allowed',
  S84: 'preflight of a foreign origin',
  S85: 'EventSource of another site',
  S86: 'WebSocket of another site',
  S87: 'logout by an image',
  S88: 'pages in a frame',
  S89: "widget's event from another site",
  S90: 'paths that mean another path',
  S91: 'targets that mean another host',
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
  S113: 'outages do not end sessions',
  S114: 'sign-out while a refresh is under way',
  S116: "nobody gets another's token",
  S117: 'clocks that differ',
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
  S131: "position in another user's stream",
  S132: "GitHub's revocation webhook",
  S133: 'no secret in any answer, log line or metric',
  S134: 'wrong configuration closes everything',
  S135: 'unknown keys, weak secrets and plain HTTP refuse the start',
  S136: 'malformed headers, cookies and escapes',
  S137: 'DPoP nonces and proofs',
  S138: 'pushed authorization requests that expire',
  S139: 'event that claims to be of somebody else',
  S140: 'records of other tenants',
  S141: 'messages of foreign frames',
  S142: 'markup in a message',
  S144: 'no randomness, no clock',
  S145: 'cookie without the prefix',
  S146: 'tokens cannot be checked',
  S147: "client's own bearer token",
  S149: 'unknown or invalid keys are refusals, not traps',
  S151: 'two writers create the same session',
  S152: 'compare-and-set of each store',
  S153: 'stream cut by the platform',
  S154: 'widget where third-party cookies are blocked',
  S155: 'embedded mode',
});

/** @param {string} ids */
const list = (ids) => new Set(ids.split(' '));

/** What no request of one client brings about. */
const WITHOUT_HTTP = list('S65 S66 S71 S72 S109 S111 S112 S117 S118 S130 S131 S140 S141 S142 S144 S153 S154 S155');
/** What only the whole edge can show, or is tested by the unit tests of a neighbour: return addresses are one function's (S28). */
const WITHOUT_NATIVE = list('S24 S29 S30 S31 S32 S33 S34 S35 S36 S67 S68 S98 S103 S136 S147 S149 S152');
/** What the journeys through the real stack must show, too. */
const JOURNEYS = list('S90 S91 S94 S96 S98 S99 S105 S109 S130 S131 S132 S133 S135 S139 S140 S153 S155');

/** What a kind of test cannot show on a runtime, and why. @type {Readonly<Record<string, { kind: import('./case.mjs').Kind, runtime: string, why: string }>>} */
const EXCEPTIONS = Object.freeze({
  S119: {
    kind: 'http',
    runtime: 'workers',
    why: 'no HTTP case on Workers: Durable Objects cannot be taken down on one machine',
  },
  S135: {
    kind: 'journey',
    runtime: 'spin',
    why: 'no journey on Spin, where a variable that nobody declared does not reach the edge',
  },
});

/** What a case that passes does not show. @type {Readonly<Record<string, string>>} */
const LIMITS = Object.freeze({
  S62: 'that no refusal takes longer than another is not measured',
});

/** @type {readonly import('./case.mjs').Kind[]} */
const KINDS = ['http', 'native', 'journey'];

/** Which kinds of test must claim a case. @param {string} id @param {string} runtime @returns {import('./case.mjs').Kind[]} */
export function needed(id, runtime) {
  const wanted = { http: !WITHOUT_HTTP.has(id), native: !WITHOUT_NATIVE.has(id), journey: JOURNEYS.has(id) };
  const exception = EXCEPTIONS[id];
  return KINDS.filter((kind) => wanted[kind] && (exception?.runtime !== runtime || exception.kind !== kind));
}

/** What must be known of a case to read its result. @param {string} id @param {string} runtime @returns {string | undefined} */
export function note(id, runtime) {
  const exception = EXCEPTIONS[id];
  return exception?.runtime === runtime ? exception.why : LIMITS[id];
}
