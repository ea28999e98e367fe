// Finds secrets in text, whole or in part and in any encoding.

/** A JSON Web Token's header, which many tokens share. */
const JWT_HEADER = /^[\w-]+\.(?=[\w-]+\.)/;

/**
 * The forms of a secret: as it is, escaped for a URL or JSON, in hex, and in base64 of either alphabet at each of three
 * offsets.
 * @param {string} value
 */
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
/**
 * Each form is cut into pieces of this length, which are searched first. Any window of a form holds a whole piece. No
 * secret is shorter.
 */
const GRAM = WINDOW / 2;
/** A piece that so many forms share is not characteristic of a secret; their other pieces are. */
const MAX_EQUAL_PIECES = 8;
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

/**
 * How many characters around a position in one text equal those around a position in another.
 * @param {string} one @param {number} at @param {string} other @param {number} there
 */
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
 * Returns a function that lists the secrets in a text, whole or in part. A run has thousands of secrets with millions
 * of pieces, and megabytes of text. So each text is read once for all secrets, and the pieces are kept as numbers.
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
      let equalPieces = 0;
      for (let other = latest[bits] ?? -1; other >= 0 && equalPieces < MAX_EQUAL_PIECES; other = earlier[other] ?? -1)
        if (hashes[other] === hash) equalPieces++;
      if (equalPieces === MAX_EQUAL_PIECES) continue;
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
