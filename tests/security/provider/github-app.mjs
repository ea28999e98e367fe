// GitHub's side of a GitHub App: it issues tokens for the app's installations to the holder of the app's key.

import { createPublicKey, generateKeyPairSync, randomBytes, verify } from 'node:crypto';

import { json } from './recorded.mjs';

/** @typedef {import('./recorded.mjs').Recorded} Recorded */
/** @typedef {import('./recorded.mjs').Reply} Reply */

const LIFE_MS = 3_600_000;
/** The longest lifetime that GitHub allows for an app's JWT. */
const MAX_JWT_SECONDS = 600;

export class GitHubApp {
  id = 'Iv1.app-of-the-security-suite';
  /**
   * The issued tokens, and what they are for.
   * @type {{ token: string, installation: number, permissions: unknown, repositories: unknown }[]}
   */
  minted = [];
  /** The reasons of rejected requests. @type {string[]} */
  rejected = [];

  /** @param {{ secret: (value: string, what: string) => string }} home */
  constructor(home) {
    this.home = home;
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    this.pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
    this.publicKey = createPublicKey(privateKey);
    // A leak of the key in any form would hold a line of it. The last line is short.
    for (const line of this.pem.split('\n')) if (line.length === 64) home.secret(line, 'key of the GitHub App');
  }

  /**
   * GitHub's answer, if the request is for an installation's token.
   * @param {Recorded} request @returns {Reply | undefined}
   */
  answer({ method, path, headers, body }) {
    const installation = Number(path.match(/^\/app\/installations\/(\d+)\/access_tokens$/)?.[1] ?? 0);
    if (!installation) return undefined;
    const flaw = method === 'POST' ? this.#flaw(headers.authorization?.replace(/^Bearer /, '') ?? '') : 'method';
    if (flaw) {
      this.rejected.push(flaw);
      return json({ message: flaw }, 401);
    }
    const { permissions, repositories } = JSON.parse(body);
    // GitHub's tokens have this length and dots since 2026.
    const token = this.home.secret(
      `ghs_${[96, 192, 96].map((bytes) => randomBytes(bytes).toString('base64url')).join('.')}`,
      'installation token',
    );
    this.minted.push({ token, installation, permissions, repositories });
    return json({ token, expires_at: new Date(Date.now() + LIFE_MS).toISOString(), permissions }, 201);
  }

  /** The flaw of a JWT, by this clock, or an empty text. @param {string} jwt */
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
