// One request to the edge, with what every request to it needs.

const TIMEOUT_MS = 20_000;

/** @typedef {(path: string, init?: RequestInit, signal?: AbortSignal) => Promise<Response>} Request */

/**
 * @param {string} origin of the edge
 * @returns {Request}
 */
export function createRequest(origin) {
  return (path, { headers, ...init } = {}, signal) =>
    fetch(origin + path, {
      ...init,
      headers: { 'X-CSRF': '1', ...headers },
      credentials: 'include',
      cache: 'no-store',
      // The edge redirects none of these. Following a redirect could mistake a middlebox's login page for a response.
      redirect: 'error',
      signal: AbortSignal.any(/** @type {AbortSignal[]} */ ([AbortSignal.timeout(TIMEOUT_MS), signal].filter(Boolean))),
    });
}

/** @param {string} code what has gone wrong here; the edge's problem documents have others */
export const failure = (code) => Object.assign(new Error(code), { code });

/**
 * @param {Request} request
 * @returns {Request} fails as `unavailable` if there is no answer, unless it is aborted by its caller
 */
export const answered = (request) => async (path, init, signal) => {
  try {
    return await request(path, init, signal);
  } catch {
    signal?.throwIfAborted();
    throw failure('unavailable');
  }
};

/**
 * The error of an answer that is none of success. `message` is the problem document's title.
 * @param {Response} response
 * @returns {Promise<Error & { status: number, code?: string }>}
 */
export async function problemOf(response) {
  const { title, code } = await response.json().catch(() => ({}));
  return Object.assign(new Error(title ?? ''), { status: response.status, code });
}

/**
 * @param {Response} response
 * @returns {Promise<any>} its JSON
 */
export async function jsonOf(response) {
  if (!response.ok) throw await problemOf(response);
  return response.json();
}
