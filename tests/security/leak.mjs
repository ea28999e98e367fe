// The leak scan: no value that was secret in a run may be in anything a browser got or an operator can read.

import { parseCookie, setCookies } from './browser.mjs';

/** @typedef {import('./bff.mjs').Bff} Bff */

/** Of a cookie's value; a shorter one is sealed by nobody. */
const SHORTEST_COOKIE = 32;

/** What a secret can look like: as it is, escaped for a URL, in hex, and in base64 of either alphabet at each of three offsets. @param {string} secret */
export function forms(secret) {
  const hex = Buffer.from(secret).toString('hex');
  const found = new Set([secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), hex, hex.toUpperCase()]);
  for (const offset of [0, 1, 2]) {
    const padded = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]);
    // The first and last characters depend on what stands around the secret.
    const cut = (/** @type {string} */ text) => text.slice(offset ? offset + 1 : 0, Math.floor((padded.length * 8) / 6));
    found.add(cut(padded.toString('base64'))).add(cut(padded.toString('base64url')));
  }
  return [...found];
}

/** @typedef {{ what: string, forms: readonly string[] }} Secret */

/** How much of each form is looked for first; no secret is shorter. */
const HEAD = 12;
/** Of the rolling hash that tells where a head may begin. */
const FACTOR = 31;
const FACTOR_OF_FIRST = Array.from({ length: HEAD }).reduce((/** @type {number} */ power) => Math.imul(power, FACTOR), 1);
const HASHES = 1 << 22;

/**
 * Makes what lists which secrets a text gives away. A run has thousands of secrets and megabytes of text, so each text is
 * gone through once for all of them.
 * @param {readonly Secret[]} secrets @returns {(text: string) => string[]}
 */
export function finder(secrets) {
  /** @type {Map<string, { form: string, secret: Secret }[]>} */
  const byHead = new Map();
  const mayBegin = new Uint8Array(HASHES);
  for (const secret of secrets) {
    for (const form of secret.forms) {
      if (form.length < HEAD) throw new Error(`${secret.what} is too short to be looked for`);
      const head = form.slice(0, HEAD);
      byHead.set(head, [...byHead.get(head) ?? [], { form, secret }]);
      let hash = 0;
      for (let at = 0; at < HEAD; at++) hash = (Math.imul(hash, FACTOR) + head.charCodeAt(at)) | 0;
      mayBegin[hash & (HASHES - 1)] = 1;
    }
  }
  return (text) => {
    /** @type {Set<Secret>} */
    const given = new Set();
    let hash = 0;
    for (let end = 0; end < text.length; end++) {
      const first = end - HEAD;
      hash = (Math.imul(hash, FACTOR) + text.charCodeAt(end) - (first < 0 ? 0 : Math.imul(text.charCodeAt(first), FACTOR_OF_FIRST))) | 0;
      if (first < -1 || !mayBegin[hash & (HASHES - 1)]) continue;
      for (const { form, secret } of byHead.get(text.slice(first + 1, end + 1)) ?? []) if (text.startsWith(form, first + 1)) given.add(secret);
    }
    return [...given].map(({ what, forms: [value = ''] }) => `${what} ${value.slice(0, 6)}…`);
  };
}

/** The one place of an answer where a token belongs: the hint in the redirect to the provider's own logout. */
export const ID_TOKEN_HINT = /\bid_token_hint=[^&"\s]*/g;

/** What nobody outside of a BFF knows the value of: the keys that it binds tokens to. */
const PRIVATE_KEY = /"d"\s*:\s*"[A-Za-z0-9_-]{43}"|-----BEGIN [A-Z ]*PRIVATE KEY/;

/** What there is to look at in a run of every case, at the very least; and in one of a few. */
const LEAST = { whole: { answers: 3_000, lines: 1_000, secrets: 1_500, cookies: 200 }, part: { answers: 1, lines: 1, secrets: 1, cookies: 0 } };

/**
 * @param {Bff} bff @param {import('./provider/stub.mjs').ProviderStub} provider @param {boolean} isWhole whether every case was run
 * @returns {import('./case.mjs').Result}
 */
export function leakResult(bff, provider, isWhole) {
  const secrets = [
    ...[...provider.secrets].map(([value, what]) => ({ what, forms: forms(value) })),
    ...(bff.running?.secrets ?? []).map((value) => ({ what: 'key of the BFF', forms: forms(value) })),
  ];
  // A browser is given its cookies; nobody else is.
  const cookies = new Set(bff.traffic.flatMap(({ answer }) => setCookies(answer)).map(parseCookie).flatMap(({ name, value }) => (bff.profile.isOwnCookie(name) && value.length >= SHORTEST_COOKIE ? [value] : [])));
  const withKeys = (/** @type {(text: string) => string[]} */ find) => (/** @type {string} */ text) => [...find(text), ...(PRIVATE_KEY.test(text) ? ['a private key'] : [])];
  const find = withKeys(finder(secrets));
  const findInLog = withKeys(finder([...secrets, ...[...cookies].map((value) => ({ what: 'cookie', forms: forms(value) }))]));
  const logouts = [...provider.realms.values()].flatMap((realm) => (realm.paths.logout ? [realm.url('logout')] : []));
  /** @type {string[]} */
  const leaks = [];
  for (const { answer, mayHold } of bff.traffic) {
    const { location } = answer.headers;
    const isHint = logouts.some((logout) => location?.startsWith(`${logout}?`));
    const headers = { ...answer.headers, ...(isHint && { location: location?.replace(ID_TOKEN_HINT, '') }) };
    const said = `${JSON.stringify(headers)}\n${mayHold ? answer.text.replace(mayHold, '') : answer.text}`;
    for (const leak of find(said)) leaks.push(`${answer.target.slice(0, 120)} (${answer.status}): ${leak}`);
  }
  // A token in an address is in every log on its way (M24).
  for (const { path, query } of [bff.upstream, bff.otherUpstream, bff.bridge].flatMap(({ seen }) => seen).concat(provider.strays)) {
    for (const leak of find(`${path}?${query}`)) leaks.push(`address of a request to an API, ${path.slice(0, 120)}: ${leak}`);
  }
  const log = bff.running?.log() ?? '';
  for (const [number, line] of log.split('\n').entries()) {
    for (const leak of findInLog(line)) leaks.push(`log line ${number + 1}: ${leak}: ${line.slice(0, 160)}`);
  }
  const amount = { answers: bff.traffic.length, lines: log.split('\n').filter((line) => line.trim()).length, secrets: secrets.length, cookies: cookies.size };
  const title = `${amount.answers} answers and ${amount.lines} log lines searched for ${amount.secrets} secrets, the log for ${amount.cookies} cookies, too`;
  console.log(`scan   S133  ${title}`);
  const result = { id: 'S133', title, where: 'leak scan' };
  if (leaks.length) return { ...result, outcome: 'failed', detail: leaks.slice(0, 20).join('\n') };
  if (!bff.running) return { ...result, outcome: 'cannot run', detail: 'needs a BFF whose log can be read: the answers alone hold nothing' };
  const least = LEAST[isWhole ? 'whole' : 'part'];
  const scarce = Object.entries(amount).filter(([what, number]) => number < least[/** @type {keyof typeof least} */ (what)]);
  return scarce.length ? { ...result, outcome: 'failed', detail: `too little to look at: ${scarce.map(([what, number]) => `${number} ${what}`)}` } : { ...result, outcome: 'passed' };
}
