// The leak scan: no secret of a run may be in anything that a browser received or an operator can read.

import { parseSetCookie, setCookies } from '../support/browser.mjs';

/** @typedef {import('./bff.mjs').Bff} Bff */

/** Of a cookie's value. A sealed value is longer. */
const SHORTEST_COOKIE = 32;

/** A JSON Web Token's header, which many tokens share. */
const JWT_HEADER = /^[\w-]+\.(?=[\w-]+\.)/;

/** The forms of a secret: as it is, escaped for a URL or JSON, in hex, and in base64 of either alphabet at each of three offsets. @param {string} value */
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
    // The first and last characters depend on the bytes around the secret.
    const cut = (/** @type {string} */ text) =>
      text.slice(offset ? offset + 1 : 0, Math.floor((padded.length * 8) / 6));
    found.add(cut(padded.toString('base64'))).add(cut(padded.toString('base64url')));
  }
  return [...found];
}

/** @typedef {{ what: string, forms: readonly string[] }} Secret */

/** This many characters of a form count as a leak; of a shorter form, all. */
const WINDOW = 24;
/** Each form is cut into pieces of this length, which are searched first. Any window of a form holds a whole piece. No secret is shorter. */
const GRAM = WINDOW / 2;
/** A piece that so many forms share is not characteristic of a secret; their other pieces are. */
const MAX_ALIKE = 8;
/** The base of the rolling hash, which shows where a piece may end. */
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

/** How many characters around a position in one text equal those around a position in another. @param {string} one @param {number} at @param {string} other @param {number} there */
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
 * Returns a function that lists the secrets in a text, whole or in part. A run has thousands of secrets with millions of
 * pieces, and megabytes of text. So each text is read once for all secrets, and the pieces are kept as numbers.
 * @param {readonly Secret[]} secrets @returns {(text: string) => string[]}
 */
export function finder(secrets) {
  const all = secrets.flatMap((secret) => secret.forms.map((form) => ({ form, secret })));
  const count = all.reduce((sum, { form }) => sum + Math.floor(form.length / GRAM), 0);
  // Of each piece: its form, its position there, its hash, and the previous piece whose hash has the same last bits.
  const [owner, place, hashes, earlier] = [
    new Int32Array(count),
    new Int32Array(count),
    new Int32Array(count),
    new Int32Array(count),
  ];
  const latest = new Int32Array(HASHES).fill(-1);
  let piece = 0;
  for (const [index, { form, secret }] of all.entries()) {
    if (form.length < GRAM) throw new Error(`${secret.what} is too short to search for`);
    for (let from = 0; from + GRAM <= form.length; from += GRAM) {
      const hash = hashOfGram(form, from);
      const bits = hash & (HASHES - 1);
      let alike = 0;
      for (let other = latest[bits] ?? -1; other >= 0 && alike < MAX_ALIKE; other = earlier[other] ?? -1)
        if (hashes[other] === hash) alike++;
      if (alike === MAX_ALIKE) continue;
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

/** The only place of an answer where a token belongs: the hint in the redirect to the provider's logout. */
export const ID_TOKEN_HINT = /\bid_token_hint=[^&"\s]*/g;

/** The keys that a BFF binds tokens to. Their values are known to the BFF only, so they are searched by form. */
export const PRIVATE_KEY = /\\*"d\\*"\s*:\s*\\*"[\w-]{43}(?![\w-])|-----BEGIN [A-Z ]*PRIVATE KEY/;

/** What a scan must have searched at least, in a run of all cases and in a run of a few. */
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
  // A browser receives its cookies, an operator must not see them.
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
    const received = `${JSON.stringify(headers)}\n${mayHold ? answer.text.replace(mayHold, '') : answer.text}`;
    for (const leak of find(received)) leaks.push(`${answer.target.slice(0, 120)} (${answer.status}): ${leak}`);
  }
  // A token in a URL would be in every log on its way (M24).
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
      detail: 'needs a BFF whose log can be read: the answers alone prove too little',
    };
  const least = LEAST[isWhole ? 'whole' : 'part'];
  const scarce = Object.entries(amount).filter(
    ([what, number]) => number < least[/** @type {keyof typeof least} */ (what)],
  );
  return scarce.length
    ? {
        ...result,
        outcome: 'failed',
        detail: `too little was searched: ${scarce.map(([what, number]) => `${number} ${what}`)}`,
      }
    : { ...result, outcome: 'passed' };
}
