// The edge's HTTP surface as far as the widget uses it. The only module that knows paths, headers and status codes.

import { retryAfterMs } from './backoff.js';
import { begin, seen, take } from './handoff.js';

/**
 * @typedef {{ id: string, name: string }} Provider
 * @typedef {{ id: string, name: string, email?: string | null }} User
 * @typedef {{ authenticated: boolean, user?: User, providers: Provider[], handoff?: boolean, isBlocked?: boolean }} SessionInfo
 *   isBlocked: the browser was given a session and does not show it
 *
 * @typedef {{ kind: 'accepted', id: string }
 *   | { kind: 'rejected', title?: string }
 *   | { kind: 'denied' }
 *   | { kind: 'retry', afterMs?: number }} Outcome what became of a POST; denied: the session is over, or another's
 */

const TIMEOUT_MS = 20_000;
const CSRF = { 'X-CSRF': '1' };
const JSON_CSRF = { ...CSRF, 'Content-Type': 'application/json' };

export class Edge {
  /** @type {import('./handoff.js').Handoff | undefined} where sessions are handed to the page */
  #handoff;

  /**
   * @param {string} origin
   * @param {string} channel
   */
  constructor(origin, channel) {
    this.origin = origin;
    this.channel = channel;
    this.streamUrl = `${origin}/stream`;
  }

  /**
   * @param {string} provider
   * @param {URL | Location} page where to come back to
   */
  loginUrl(provider, page) {
    const url = this.#andBack(`/auth/${encodeURIComponent(provider)}/login`, page);
    return this.#handoff ? `${url}&handoff=${this.#handoff.challenge}` : url;
  }

  /** The person leaves for the provider, and what they come back with is for this page. */
  leave() {
    this.#handoff?.keep();
  }

  /**
   * @param {string} path
   * @param {URL | Location} page
   */
  #andBack(path, { origin, pathname, search, hash }) {
    // On its own origin the edge takes a path and no fragment.
    const back = origin === this.origin ? pathname + search : origin + pathname + search + hash;
    return `${this.origin}${path}?return_to=${encodeURIComponent(back)}`;
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<SessionInfo | undefined>} rejects, or is undefined, when the edge cannot be asked
   */
  async session(signal) {
    // A new question takes the place of this one; what is taken is taken.
    const isTaken = await take(this.origin, (body) =>
      this.#fetch('/auth/handoff', { method: 'POST', headers: JSON_CSRF, body }),
    );
    const response = await this.#fetch('/auth/session', { headers: CSRF }, signal);
    if (!response.ok) return undefined;
    const info = await response.json();
    if (info.handoff && location.origin !== this.origin) this.#handoff ??= await begin(this.origin);
    if (info.authenticated) seen();
    else info.isBlocked = isTaken;
    return info;
  }

  /**
   * @param {URL | Location} page where to come back to
   * @param {AbortSignal} signal
   * @returns {Promise<{ next?: string } | undefined>} undefined while the session may live on; `next` is where the
   * browser goes to sign out of the provider, too
   */
  async logout(page, signal) {
    const response = await this.#fetch('/auth/logout', { method: 'POST', headers: CSRF }, signal).catch(
      () => undefined,
    );
    if (!response?.ok && response?.status !== 401) return undefined;
    const { end_session: path } = response.status === 200 ? await response.json().catch(() => ({})) : {};
    return path?.startsWith('/') ? { next: this.#andBack(path, page) } : {};
  }

  /**
   * @param {string} text
   * @param {string} key the same for every try of one message
   * @param {string} user whose message it is: the edge takes it from nobody else's session
   * @param {AbortSignal} signal
   * @returns {Promise<Outcome>}
   */
  async say(text, key, user, signal) {
    try {
      const response = await this.#fetch(
        `/events/${encodeURIComponent(this.channel)}`,
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
      const answer = await response.json().catch(() => ({}));
      if (!response.ok) return { kind: 'rejected', title: answer.title };
      return { kind: 'accepted', id: answer.id ?? key };
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
    return fetch(this.origin + path, {
      ...init,
      credentials: 'include',
      cache: 'no-store',
      // The edge never redirects a programme; a middlebox's login page must not pass for an answer.
      redirect: 'error',
      signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
    });
  }
}
