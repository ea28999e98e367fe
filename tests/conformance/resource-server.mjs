// An API that accepts the provider's access tokens. It introspects each token, and requires a DPoP proof for those that
// are bound to a key (RFC 9449 §7); each proof is accepted once.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

import { EmbeddedJWK, calculateJwkThumbprint, decodeProtectedHeader, jwtVerify } from 'jose';

import { listen } from '../support/listen.mjs';

/**
 * @typedef {{ token: string, scheme: string, proof: string | undefined, status: number, audience: unknown,
 * scope: unknown }} Call
 */

export const RESOURCE_CLIENT = 'resource';

export class ResourceServer {
  /** @type {Call[]} */
  calls = [];
  origin = '';
  /** @type {Set<string>} */
  #proofs = new Set();

  /** @param {string} issuer @param {string} secret of {@link RESOURCE_CLIENT} there */
  static async start(issuer, secret) {
    const resource = new ResourceServer(issuer, secret);
    resource.origin = `http://localhost:${await listen(resource.server)}`;
    return resource;
  }

  /** @param {string} issuer @param {string} secret */
  constructor(issuer, secret) {
    this.introspection = `${issuer}/token/introspection`;
    this.credentials = `Basic ${Buffer.from(`${RESOURCE_CLIENT}:${secret}`).toString('base64')}`;
    this.server = createServer((incoming, outgoing) => {
      void this.#answer(incoming).then(
        ([status, body, headers]) =>
          void outgoing.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body)),
        (error) => void outgoing.writeHead(500).end(String(error)),
      );
    });
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }

  /**
   * @param {import('node:http').IncomingMessage} incoming @returns {Promise<[number, object, Record<string, string>]>}
   */
  async #answer(incoming) {
    const [, scheme = '', token = ''] = /^(\S+) (\S+)$/.exec(incoming.headers.authorization ?? '') ?? [];
    const proof = /** @type {string | undefined} */ (incoming.headers.dpop);
    const call = { token, scheme, proof, status: 401, audience: undefined, scope: undefined };
    this.calls.push(call);
    const asked = await fetch(this.introspection, {
      method: 'POST',
      headers: { Authorization: this.credentials },
      body: new URLSearchParams({ token, token_type_hint: 'access_token' }),
    });
    const known = await asked.json();
    Object.assign(call, { audience: known.aud, scope: known.scope });
    const error = known.active ? await this.#misuse(known, call, incoming) : 'invalid_token';
    if (error) return [401, { error }, { 'WWW-Authenticate': `${known.cnf ? 'DPoP' : 'Bearer'} error="${error}"` }];
    call.status = 200;
    return [200, { user: known.sub, client: known.client_id, scheme }, {}];
  }

  /**
   * Why an active token is rejected in this request.
   * @param {any} known @param {Call} call @param {import('node:http').IncomingMessage} incoming
   */
  async #misuse(known, { token, scheme, proof }, incoming) {
    const bound = known.cnf?.jkt;
    if (!bound) return scheme.toLowerCase() === 'bearer' && proof === undefined ? undefined : 'invalid_token';
    if (scheme.toLowerCase() !== 'dpop' || proof === undefined) return 'invalid_token';
    try {
      const { payload } = await jwtVerify(proof, EmbeddedJWK, {
        typ: 'dpop+jwt',
        maxTokenAge: '60 s',
        algorithms: ['ES256'],
      });
      const thumbprint = await calculateJwkThumbprint(
        /** @type {import('jose').JWK} */ (decodeProtectedHeader(proof).jwk),
      );
      const target = new URL(incoming.url ?? '/', this.origin);
      const isValid =
        thumbprint === bound &&
        payload.htm === incoming.method &&
        payload.htu === `${target.origin}${target.pathname}` &&
        payload.ath === createHash('sha256').update(token).digest('base64url') &&
        typeof payload.jti === 'string' &&
        !this.#proofs.has(payload.jti);
      this.#proofs.add(String(payload.jti));
      return isValid ? undefined : 'invalid_dpop_proof';
    } catch {
      return 'invalid_dpop_proof';
    }
  }
}
