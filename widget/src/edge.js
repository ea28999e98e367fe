// The edge's HTTP surface as far as the widget uses it. The only module that knows paths, headers and status codes.

/**
 * @typedef {{ id: string, name: string }} Provider
 * @typedef {{ id: string, name: string, email?: string | null }} User
 * @typedef {{ authenticated: boolean, user?: User, providers: Provider[] }} SessionInfo
 *
 * @typedef {{ kind: 'accepted', id: string }
 *   | { kind: 'rejected', title?: string }
 *   | { kind: 'signed-out' }
 *   | { kind: 'retry', afterMs?: number }} Outcome what became of a POST
 */

const TIMEOUT_MS = 20_000;
const MAX_RETRY_AFTER_MS = 120_000;
const CSRF = { 'X-CSRF': '1' };

export class Edge {
  /**
   * @param {string} origin
   * @param {string} channel
   */
  constructor(origin, channel) {
    this.origin = origin;
    this.channel = channel;
  }

  get streamUrl() {
    return `${this.origin}/stream`;
  }

  /**
   * @param {string} provider
   * @param {URL | Location} page where to come back to
   */
  loginUrl(provider, page) {
    const path = page.pathname + page.search;
    const back = page.origin === this.origin ? path : page.origin + path;
    return `${this.origin}/auth/${encodeURIComponent(provider)}/login?return_to=${encodeURIComponent(back)}`;
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<SessionInfo>} rejects when the edge cannot be asked
   */
  async session(signal) {
    const response = await this.#fetch('/auth/session', signal, { headers: CSRF });
    if (!response.ok) throw new Error(`session: ${response.status}`);
    const info = await response.json();
    return { ...info, providers: Array.isArray(info.providers) ? info.providers : [] };
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} whether the session is gone
   */
  async logout(signal) {
    const response = await this.#fetch('/auth/logout', signal, { method: 'POST', headers: CSRF }).catch(() => null);
    return response !== null && (response.ok || response.status === 401);
  }

  /**
   * @param {string} text
   * @param {string} key the same for every try of one message
   * @param {AbortSignal} signal
   * @returns {Promise<Outcome>}
   */
  async say(text, key, signal) {
    try {
      const response = await this.#fetch(`/events/${encodeURIComponent(this.channel)}`, signal, {
        method: 'POST',
        headers: { ...CSRF, 'Content-Type': 'application/json', 'Idempotency-Key': key },
        body: JSON.stringify({ type: 'message', data: { text } }),
      });
      const { status } = response;
      if (status === 401) return { kind: 'signed-out' };
      if (status === 408 || status === 425 || status === 429 || status >= 500) {
        return { kind: 'retry', afterMs: retryAfterMs(response.headers.get('Retry-After'), Date.now()) };
      }
      const answer = await response.json().catch(() => ({}));
      if (!response.ok) return { kind: 'rejected', title: answer.title };
      return { kind: 'accepted', id: String(answer.id ?? key) };
    } catch {
      return { kind: 'retry' };
    }
  }

  /**
   * @param {string} path
   * @param {AbortSignal} signal
   * @param {RequestInit} init
   */
  #fetch(path, signal, init) {
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

/**
 * @param {string | null} header seconds or an HTTP date
 * @param {number} now
 * @returns {number | undefined}
 */
export function retryAfterMs(header, now) {
  if (!header) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - now;
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
