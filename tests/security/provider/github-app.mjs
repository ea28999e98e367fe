// A GitHub App as GitHub sees it: who holds its key is given tokens for its installations, and nobody else.

import { createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto';

import { json } from './recorded.mjs';

/** @typedef {import('./recorded.mjs').Recorded} Recorded */
/** @typedef {import('./recorded.mjs').Reply} Reply */

const LIFE_MS = 3_600_000;
/** The longest that GitHub lets a JWT of an app be good for, in seconds. */
const MAX_JWT_SECONDS = 600;

export class GitHubApp {
  id = 'Iv1.app-of-the-security-suite';
  /** Tokens it was given, and for what. @type {{ token: string, installation: number, permissions: unknown, repositories: unknown }[]} */
  minted = [];
  /** Why it was refused one. @type {string[]} */
  refused = [];

  /** @param {{ secret: (value: string, what: string) => string }} home */
  constructor(home) {
    this.home = home;
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
    this.publicKey = createPublicKey(privateKey);
    // In whatever form it is repeated, a line of it will be there; the last one is short.
    for (const line of this.pem.split('\n')) if (line.length === 64) home.secret(line, 'key of the GitHub App');
  }

  /** What GitHub answers, if it is about an installation. @param {Recorded} request @returns {Reply | undefined} */
  answer({ method, path, headers, body }) {
    const installation = Number(path.match(/^\/app\/installations\/(\d+)\/access_tokens$/)?.[1] ?? 0);
    if (!installation) return undefined;
    const flaw = method === 'POST' ? this.#flaw(headers.authorization?.replace(/^Bearer /, '') ?? '') : 'method';
    if (flaw) {
      this.refused.push(flaw);
      return json({ message: flaw }, 401);
    }
    const { permissions, repositories } = JSON.parse(body);
    // As long as GitHub's are since 2026, and with their dots.
    const token = this.home.secret(
      `ghs_${[96, 192, 96].map((bytes) => randomBytes(bytes).toString('base64url')).join('.')}`,
      'installation token',
    );
    this.minted.push({ token, installation, permissions, repositories });
    return json({ token, expires_at: new Date(Date.now() + LIFE_MS).toISOString(), permissions }, 201);
  }

  /** What is wrong with a JWT, by this clock. @param {string} jwt */
  #flaw(jwt) {
    this.home.secret(jwt, 'JWT of the GitHub App');
    const [head = '', claims = '', signature = ''] = jwt.split('.');
    if (!verify('RSA-SHA256', Buffer.from(`${head}.${claims}`), this.publicKey, Buffer.from(signature, 'base64url')))
      return 'signature';
    const read = (/** @type {string} */ part) => JSON.parse(Buffer.from(part, 'base64url').toString());
    const { iss, iat, exp } = read(claims);
    const now = Date.now() / 1000;
    if (read(head).alg !== 'RS256' || iss !== this.id) return 'issuer';
    return iat > now || exp <= now || exp - iat > MAX_JWT_SECONDS ? 'time' : '';
  }
}
