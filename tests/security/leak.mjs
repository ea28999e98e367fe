// The leak scan: no value that was secret in a run may be in anything a browser got or an operator can read.

import { parseSetCookie, setCookies } from '../support/browser.mjs';

/** @typedef {import('./bff.mjs').Bff} Bff */

/** Of a cookie's value; a shorter one is sealed by nobody. */
const SHORTEST_COOKIE = 32;

/** A JSON Web Token's header, which many have in common. */
const JWT_HEADER = /^[\w-]+\.(?=[\w-]+\.)/;

/** What a secret can look like: as it is, escaped for a URL, in hex, and in base64 of either alphabet at each of three offsets. @param {string} value */
export function forms(value) {
  const secret = value.startsWith('eyJ') ? value.replace(JWT_HEADER, '') : value;
  const hex = Buffer.from(secret).toString('hex');
  const found = new Set([
    secret,
    encodeURIComponent(secret),
    JSON.stringify(secret).slice(1, -1),
    hex,
    hex.toUpperCase(),
  ]);
  for (const offset of [0, 1, 2]) {
    const padded = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]);
    // The first and last characters depend on what stands around the secret.
    const cut = (/** @type {string} */ text) =>
      text.slice(offset ? offset + 1 : 0, Math.floor((padded.length * 8) / 6));
    found.add(cut(padded.toString('base64'))).add(cut(padded.toString('base64url')));
  }
  return [...found];
}

/** @typedef {{ what: string, forms: readonly string[] }} Secret */

/** So much of a form gives its secret away; of a shorter form it takes all. */
const WINDOW = 24;
/** What each form is cut into, and looked for first: whatever has a window of it in one piece has one of these. No secret is shorter. */
const GRAM = WINDOW / 2;
/** Where so many forms have the same piece it is of no secret; each is found by others. */
const MOST_ALIKE = 8;
/** Of the rolling hash that tells where a piece may end. */
const FACTOR = 31;
const FACTOR_OF_FIRST = Array.from({ length: GRAM }).reduce(
  (/** @type {number} */ power) => Math.imul(power, FACTOR),
  1,
);
const HASHES = 1 << 22;

/** @param {string} text @param {number} from */
function hashOfGram(text, from) {
  let hash = 0;
  for (let at = from; at < from + GRAM; at++) hash = (Math.imul(hash, FACTOR) + text.charCodeAt(at)) | 0;
  return hash;
}

/** How many characters around a place in one text are those around a place in another. @param {string} one @param {number} at @param {string} other @param {number} there */
function common(one, at, other, there) {
  let before = 0;
  while (
    at - before > 0 &&
    there - before > 0 &&
    one.charCodeAt(at - before - 1) === other.charCodeAt(there - before - 1)
  )
    before++;
  let after = 0;
  while (
    at + after < one.length &&
    there + after < other.length &&
    one.charCodeAt(at + after) === other.charCodeAt(there + after)
  )
    after++;
  return before + after;
}

/**
 * Makes what lists which secrets a text gives away, whole or in part. A run has thousands of secrets, of which there are
 * millions of pieces, and megabytes of text, so each text is gone through once for all of them, and the pieces are numbers.
 * @param {readonly Secret[]} secrets @returns {(text: string) => string[]}
 */
export function finder(secrets) {
  const all = secrets.flatMap((secret) => secret.forms.map((form) => ({ form, secret })));
  const count = all.reduce((sum, { form }) => sum + Math.floor(form.length / GRAM), 0);
  // A piece's form, place in it and hash, and the piece before it of the same last bits.
  const [owner, place, hashes, earlier] = [
    new Int32Array(count),
    new Int32Array(count),
    new Int32Array(count),
    new Int32Array(count),
  ];
  const latest = new Int32Array(HASHES).fill(-1);
  let piece = 0;
  for (const [index, { form, secret }] of all.entries()) {
    if (form.length < GRAM) throw new Error(`${secret.what} is too short to be looked for`);
    for (let from = 0; from + GRAM <= form.length; from += GRAM) {
      const hash = hashOfGram(form, from);
      const bits = hash & (HASHES - 1);
      let alike = 0;
      for (let other = latest[bits] ?? -1; other >= 0 && alike < MOST_ALIKE; other = earlier[other] ?? -1)
        if (hashes[other] === hash) alike++;
      if (alike === MOST_ALIKE) continue;
      [owner[piece], place[piece], hashes[piece], earlier[piece]] = [index, from, hash, latest[bits] ?? -1];
      latest[bits] = piece++;
    }
  }
  return (text) => {
    /** @type {Set<Secret>} */
    const given = new Set();
    let hash = 0;
    for (let end = 0; end < text.length; end++) {
      const first = end - GRAM;
      hash =
        (Math.imul(hash, FACTOR) +
          text.charCodeAt(end) -
          (first < 0 ? 0 : Math.imul(text.charCodeAt(first), FACTOR_OF_FIRST))) |
        0;
      if (first < -1) continue;
      for (let found = latest[hash & (HASHES - 1)] ?? -1; found >= 0; found = earlier[found] ?? -1) {
        const one = hashes[found] === hash ? all[owner[found] ?? -1] : undefined;
        if (
          one &&
          !given.has(one.secret) &&
          common(one.form, place[found] ?? 0, text, first + 1) >= Math.min(WINDOW, one.form.length)
        )
          given.add(one.secret);
      }
    }
    return [...given].map(({ what, forms: [value = ''] }) => `${what} ${value.slice(0, 6)}…`);
  };
}

/** The one place of an answer where a token belongs: the hint in the redirect to the provider's own logout. */
export const ID_TOKEN_HINT = /\bid_token_hint=[^&"\s]*/g;

/** What nobody outside of a BFF knows the value of: the keys that it binds tokens to. */
export const PRIVATE_KEY = /\\*"d\\*"\s*:\s*\\*"[\w-]{43}(?![\w-])|-----BEGIN [A-Z ]*PRIVATE KEY/;

/** What there is to look at in a run of every case, at the very least; and in one of a few. */
const LEAST = {
  whole: { answers: 3_000, lines: 1_000, secrets: 1_500, cookies: 200 },
  part: { answers: 1, lines: 1, secrets: 1, cookies: 0 },
};

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
  const cookies = new Set(
    bff.traffic
      .flatMap(({ answer }) => setCookies(answer))
      .map(parseSetCookie)
      .flatMap(({ name, value }) => (bff.profile.isOwnCookie(name) && value.length >= SHORTEST_COOKIE ? [value] : [])),
  );
  const withKeys = (/** @type {(text: string) => string[]} */ find) => (/** @type {string} */ text) => [
    ...find(text),
    ...(PRIVATE_KEY.test(text) ? ['a private key'] : []),
  ];
  const find = withKeys(finder(secrets));
  const findInLog = withKeys(
    finder([...secrets, ...[...cookies].map((value) => ({ what: 'cookie', forms: forms(value) }))]),
  );
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
  const asked = [...provider.realms.values()].flatMap(({ seen }) =>
    seen.filter(({ endpoint }) => endpoint !== 'logout'),
  );
  for (const { path, query } of [bff.upstream, bff.otherUpstream, bff.bridge]
    .flatMap(({ seen }) => seen)
    .concat(provider.strays, asked)) {
    for (const leak of find(`${path}?${query}`)) leaks.push(`address of a request, ${path.slice(0, 120)}: ${leak}`);
  }
  const log = bff.running?.log() ?? '';
  for (const [number, line] of log.split('\n').entries()) {
    for (const leak of findInLog(line)) leaks.push(`log line ${number + 1}: ${leak}: ${line.slice(0, 160)}`);
  }
  const amount = {
    answers: bff.traffic.length,
    lines: log.split('\n').filter((line) => line.trim()).length,
    secrets: secrets.length,
    cookies: cookies.size,
  };
  const title = `${amount.answers} answers and ${amount.lines} log lines searched for ${amount.secrets} secrets, the log for ${amount.cookies} cookies, too`;
  console.log(`scan   S133  ${title}`);
  const result = /** @type {const} */ ({ id: 'S133', title, kind: 'http', where: 'leak scan' });
  if (leaks.length) return { ...result, outcome: 'failed', detail: leaks.slice(0, 20).join('\n') };
  if (!bff.running)
    return {
      ...result,
      outcome: 'cannot run',
      detail: 'needs a BFF whose log can be read: the answers alone hold nothing',
    };
  const least = LEAST[isWhole ? 'whole' : 'part'];
  const scarce = Object.entries(amount).filter(
    ([what, number]) => number < least[/** @type {keyof typeof least} */ (what)],
  );
  return scarce.length
    ? {
        ...result,
        outcome: 'failed',
        detail: `too little to look at: ${scarce.map(([what, number]) => `${number} ${what}`)}`,
      }
    : { ...result, outcome: 'passed' };
}
