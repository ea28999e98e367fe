// HTTP client for the edge. No other module knows paths, headers or status codes.

import { retryAfterMs } from './backoff.js';
import { confirmCookie, createHandoff, redeemCode } from './handoff.js';

/**
 * @typedef {{ id: string, name: string }} Provider
 * @typedef {{ id: string, name: string, email?: string | null }} User
 * @typedef {{ authenticated: boolean, user?: User, providers: Provider[], handoff?: boolean, isBlocked?: boolean }}
 * SessionInfo
 *   isBlocked: a session was handed to this page, but the browser does not send its cookie
 *
 * @typedef {{ kind: 'accepted', id: string }
 *   | { kind: 'rejected', title?: string }
 *   | { kind: 'denied' }
 *   | { kind: 'retry', afterMs?: number }} Outcome of a POST; denied: the session has ended or is another user's
 */

const TIMEOUT_MS = 20_000;
const CSRF = { 'X-CSRF': '1' };
const JSON_CSRF = { ...CSRF, 'Content-Type': 'application/json' };

export class Edge {
  #origin;
  #channel;
  /** @type {import('./handoff.js').Handoff | undefined} set if the edge hands sessions to this page */
  #handoff;

  /**
   * @param {string} origin
   * @param {string} channel
   */
  constructor(origin, channel) {
    this.#origin = origin;
    this.#channel = channel;
    this.streamUrl = `${origin}/stream`;
  }

  /**
   * @param {string} provider
   * @param {URL | Location} page to return to
   * @param {string} more more of the query
   */
  loginUrl(provider, page, more) {
    const url = this.#returningTo(page, `/auth/${encodeURIComponent(provider)}/login`) + more;
    return this.#handoff ? `${url}&handoff=${this.#handoff.challenge}` : url;
  }

  /** Must be called before the user goes to the provider: the page needs the verifier when it is loaded again. */
  storeVerifier() {
    this.#handoff?.storeVerifier();
  }

  /**
   * @param {URL | Location} page
   * @param {string} path
   */
  #returningTo({ origin, pathname, search, hash }, path) {
    // For pages of its own origin the edge takes a path, without a fragment.
    const page = origin === this.#origin ? pathname + search : origin + pathname + search + hash;
    return `${this.#origin}${path}?return_to=${encodeURIComponent(page)}`;
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<SessionInfo | undefined>} rejects, or is undefined, if the edge is unavailable
   */
  async session(signal) {
    // Without `signal`: a newer check aborts this one, but a code can be redeemed only once.
    const isRedeemed = await redeemCode(this.#origin, (body) =>
      this.#fetch('/auth/handoff', { method: 'POST', headers: JSON_CSRF, body }),
    );
    const response = await this.#fetch('/auth/session', { headers: CSRF }, signal);
    if (!response.ok) return undefined;
    const info = await response.json();
    if (info.handoff && location.origin !== this.#origin) this.#handoff ??= await createHandoff(this.#origin);
    if (info.authenticated) confirmCookie();
    else info.isBlocked = isRedeemed;
    return info;
  }

  /**
   * @param {URL | Location} page to return to
   * @param {AbortSignal} signal
   * @returns {Promise<{ next?: string } | undefined>} undefined if the session may still exist; `next` is where the
   *   browser must go to sign out of the provider, too
   */
  async logout(page, signal) {
    const response = await this.#fetch('/auth/logout', { method: 'POST', headers: CSRF }, signal).catch(
      () => undefined,
    );
    if (!response?.ok && response?.status !== 401) return undefined;
    const { end_session: path } = response.status === 200 ? await response.json().catch(() => ({})) : {};
    return path?.startsWith('/') ? { next: this.#returningTo(page, path) } : {};
  }

  /**
   * @param {string} text
   * @param {string} key idempotency key, the same for all attempts at a message
   * @param {string} user id of the author; the edge rejects the message in any other user's session
   * @param {AbortSignal} signal
   * @returns {Promise<Outcome>}
   */
  async send(text, key, user, signal) {
    try {
      const response = await this.#fetch(
        `/events/${encodeURIComponent(this.#channel)}`,
        {
          method: 'POST',
          headers: { ...JSON_CSRF, 'Idempotency-Key': key, 'X-Causeway-User': user },
          body: JSON.stringify({ type: 'message', data: { text } }),
        },
        signal,
      );
      const { status } = response;
      if (status === 401 || status === 409) return { kind: 'denied' };
      if (status === 408 || status === 425 || status === 429 || status >= 500) {
        return { kind: 'retry', afterMs: retryAfterMs(response.headers.get('Retry-After')) };
      }
      const body = await response.json().catch(() => ({}));
      if (!response.ok) return { kind: 'rejected', title: body.title };
      return { kind: 'accepted', id: body.id ?? key };
    } catch {
      return { kind: 'retry' };
    }
  }

  /**
   * @param {string} path
   * @param {RequestInit} init
   * @param {AbortSignal} [signal]
   */
  #fetch(path, init, signal = AbortSignal.timeout(TIMEOUT_MS)) {
    return fetch(this.#origin + path, {
      ...init,
      credentials: 'include',
      cache: 'no-store',
      // The edge redirects none of these. Following a redirect could mistake a middlebox's login page for a response.
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
  }
}
