// What the edge says about accounts.

/**
 * @typedef {{ id: string, name: string }} Provider
 * @typedef {{ id: string, name: string, email?: string | null }} User
 * @typedef {{ provider: string, own?: boolean, sign_in_needed?: boolean }} Connection own: that the session began with
 *
 * @typedef {object} SessionInfo
 * @property {boolean} authenticated
 * @property {User} [user]
 * @property {Provider[]} providers that a user can sign in with
 * @property {Connection[]} [connections] accounts of the session
 * @property {number} [expires_in] seconds
 * @property {boolean} [handoff] the edge hands sessions to pages of other sites by a code
 * @property {'blocked' | 'cancelled' | 'failed'} [problem] why the last sign-in has no effect. blocked: a session was
 *   handed to this page, but the browser does not send its cookie; cancelled: by the user
 * @property {boolean} [expired] nobody is signed in since the time of the session is over. Nobody ended it
 *
 * @typedef {{ id: string, label: string, created_at: string, expires_at: string, current: boolean }} OwnSession
 *
 * @typedef {object} LoginOptions
 * @property {boolean} [popup] in a window of its own; the page stays. Must be called by a click, or browsers block it
 * @property {string} [prompt] such as `select_account`: what the provider asks even a user that it recognizes
 * @property {string} [returnTo] address of a page; default: this one
 */

export {};
