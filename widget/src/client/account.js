// What a user does with their accounts and sessions, besides signing in and out.

import { jsonOf, problemOf } from './request.js';

/**
 * @typedef {import('./types.js').OwnSession} OwnSession
 */

/** @param {import('./request.js').Request} ask fails as `unavailable` if there is no answer */
export const accounts = (ask) => ({
  /**
   * The user's live sessions, newest first.
   * @returns {Promise<OwnSession[]>}
   */
  sessions: async () => (await jsonOf(await ask('/auth/sessions'))).sessions,

  /**
   * Ends a session of the user.
   * @param {string} [id] default: all but this one
   * @returns {Promise<void>}
   */
  endSession: (id) => done(ask(`/auth/sessions${id ? `/${encodeURIComponent(id)}` : ''}`, { method: 'DELETE' })),

  /**
   * Disconnects an account from the session. Not the one that the user signed in with: its user is the session's.
   * @param {string} provider
   * @returns {Promise<void>}
   */
  disconnect: (provider) => done(ask(`/auth/${encodeURIComponent(provider)}/disconnect`, { method: 'POST' })),
});

/** @param {Promise<Response>} request */
async function done(request) {
  const response = await request;
  if (!response.ok) throw await problemOf(response);
}
