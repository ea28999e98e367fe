// The way to the identity provider, in this window or one of its own. Loaded when a user signs in or out; handoff.js
// has the way back.

import { KEY, LEAVING, POPUP } from './handoff-keys.js';
import { jsonOf } from './request.js';
import { storeInTab, takeFromTab } from './tab-storage.js';

/**
 * @typedef {import('./types.js').LoginOptions} LoginOptions
 * @typedef {import('./types.js').SessionInfo} SessionInfo
 */

const POLL_MS = 500;

/**
 * Where a sign-in begins.
 * @param {string} origin of the edge
 * @param {string} provider
 * @param {LoginOptions} [options]
 */
export function loginUrl(origin, provider, { prompt, returnTo = location.href } = {}) {
  const url = returning(origin, returnTo, `/auth/${encodeURIComponent(provider)}/login`);
  return prompt ? `${url}&prompt=${encodeURIComponent(prompt)}` : url;
}

/**
 * Goes to the identity provider, or opens a window there.
 * @param {string} origin of the edge
 * @param {() => Promise<SessionInfo | undefined>} check asks the edge who is signed in
 * @param {boolean | undefined} handsOff whether the edge hands sessions to pages of other sites
 * @param {string} provider
 * @param {LoginOptions} [options]
 * @returns {Promise<SessionInfo | undefined>} with `popup`, who is signed in once that window is closed. Undefined if
 *   the page is left, and if the edge does not respond
 */
export async function login(origin, check, handsOff, provider, options = {}) {
  let url = loginUrl(origin, provider, options);
  const verifier =
    handsOff && location.origin !== origin ? base64url(crypto.getRandomValues(new Uint8Array(32))) : undefined;
  // The page needs the verifier when it is loaded again, and a new window copies it from this one.
  if (verifier) storeInTab(KEY, [verifier, origin, location.hash]);
  // Before anything is awaited: browsers allow a new window only directly after a click.
  const closed = options.popup ? openPopup() : undefined;
  if (verifier) {
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
    url += `&handoff=${base64url(new Uint8Array(digest))}`;
  }
  // The edge asks for confirmation if it does not know the page a sign-in comes from, and the page's own policy may
  // withhold its origin. Only a link can overrule that.
  const link = document.createElement('a');
  link.href = url;
  link.referrerPolicy = 'strict-origin';
  if (closed) link.target = POPUP;
  if (!closed) storeInTab(LEAVING, 1);
  link.click();
  return closed?.then(check);
}

/**
 * Ends the session, and lets the browser sign out of the provider, too, if that is possible.
 * @param {string} origin of the edge
 * @param {import('./request.js').Request} request
 * @param {() => unknown} onSignedOut deletes what is kept of the user
 */
export async function logout(origin, request, onSignedOut) {
  const response = await request('/auth/logout', { method: 'POST' });
  const { status } = response;
  const { end_session: path } = status === 204 || status === 401 ? {} : await jsonOf(response);
  // First, since the page may be left next.
  await onSignedOut();
  // Providers do not allow themselves to be framed.
  if (path?.startsWith('/') && top === window) location.assign(returning(origin, location.href, path));
}

/**
 * @param {string} origin of the edge
 * @param {string} page
 * @param {string} path of the edge
 */
function returning(origin, page, path) {
  const { href, origin: site, pathname, search } = new URL(page, location.href);
  // For pages of its own origin the edge takes a path, without a fragment.
  return `${origin}${path}?return_to=${encodeURIComponent(site === origin ? pathname + search : href)}`;
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (char) => ({ '+': '-', '/': '_' })[char] ?? '');
}

/**
 * Opens an empty window for a sign-in.
 * @returns {Promise<void> | undefined} resolved once the user is back in this window; undefined if it was blocked
 */
function openPopup() {
  storeInTab(POPUP, 1);
  const popup = open('', POPUP, 'popup,width=500,height=700');
  takeFromTab(POPUP);
  if (!popup) return undefined;
  takeFromTab(KEY);
  return new Promise((resolve) => {
    const channel = new BroadcastChannel(POPUP);
    const end = () => {
      clearInterval(timer);
      channel.close();
      resolve();
    };
    channel.onmessage = end;
    // The user may have closed the window. One whose page cut its ties to this page looks closed, but has the focus.
    const timer = setInterval(() => popup.closed && document.hasFocus() && end(), POLL_MS);
  });
}
