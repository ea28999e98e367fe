// Signing keys of the provider stub, and forged signatures.

import { createHmac, sign as signBytes } from 'node:crypto';

import { CompactSign, exportJWK, exportSPKI, generateKeyPair } from 'jose';

/** @typedef {Record<string, unknown>} Json */

export class SigningKey {
  /** @param {{ kid: string, alg: string, privateKey: CryptoKey, jwk: Json, pem: string }} parts */
  constructor({ kid, alg, privateKey, jwk, pem }) {
    this.kid = kid;
    this.alg = alg;
    this.privateKey = privateKey;
    /** The public key, as published in the key set. */
    this.jwk = jwk;
    /** The public key in the form that libraries which confuse keys and secrets would use as a secret. */
    this.pem = pem;
  }

  /** @param {string} kid @param {string} [alg] */
  static async make(kid, alg = 'RS256') {
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid, use: 'sig', alg };
    return new SigningKey({ kid, alg, privateKey, jwk, pem: await exportSPKI(publicKey) });
  }

  /** A valid JWS. @param {Json} header @param {Json | string} claims a string is signed as it is */
  sign(header, claims) {
    const bytes = Buffer.from(typeof claims === 'string' ? claims : JSON.stringify(claims));
    return new CompactSign(bytes).setProtectedHeader({ alg: this.alg, ...header }).sign(this.privateKey);
  }

  /** A valid RS256 signature under any header. @param {Json} header @param {Json} claims */
  async signAnyway(header, claims) {
    const { KeyObject } = await import('node:crypto');
    const input = unsigned(header, claims);
    return `${input}.${signBytes('RSA-SHA256', Buffer.from(input), KeyObject.from(this.privateKey)).toString('base64url')}`;
  }
}

/**
 * A JWS by a shared secret, as algorithm confusion makes of a public key.
 * @param {Json} header @param {Json} claims @param {string | Buffer} secret
 */
export function signWithSecret(header, claims, secret) {
  const input = unsigned(header, claims);
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

/** Header and claims without a signature and without the dot before it. @param {Json} header @param {Json} claims */
export function unsigned(header, claims) {
  return [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
}
