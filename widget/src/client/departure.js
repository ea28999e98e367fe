// The way to the identity provider, in this window or one of its own. Loaded when a user signs in or out; handoff.js
// has the way back.

import { KEY, LEAVING, POPUP } from './handoff-keys.js';
import { answered, failure, jsonOf } from './request.js';
import { storeInTab } from './tab-storage.js';
import { base64url, randomVerifier } from './verifier.js';

/**
 * @typedef {import('./types.js').LoginOptions} LoginOptions
 * @typedef {import('./types.js').SessionInfo} SessionInfo
 */

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
 * Goes to the identity provider, here or in a window that was opened for it.
 * @param {string} origin of the edge
 * @param {() => Promise<SessionInfo | undefined>} check asks the edge who is signed in
 * @param {boolean | undefined} handsOff whether the edge hands sessions to pages of other sites
 * @param {string} provider
 * @param {LoginOptions} [options]
 * @param {import('./popup.js').Popup} [popup] the window
 * @returns {Promise<SessionInfo | undefined>} with `popup`, who is signed in once that window is closed. Undefined if
 *   the page is left, and if the edge does not respond
 */
export async function login(origin, check, handsOff, provider, options = {}, popup) {
  let url = loginUrl(origin, provider, options);
  if (handsOff && location.origin !== origin) {
    const verifier = popup?.verifier ?? randomVerifier();
    // The page needs it when it is loaded again. A new window has a copy.
    if (!popup) storeInTab(KEY, [verifier, origin, location.hash]);
    const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
    url += `&handoff=${base64url(new Uint8Array(digest))}`;
  }
  return leave(url, check, popup);
}

/**
 * Connects an account to the session, on the same way.
 * @param {string} origin of the edge
 * @param {() => Promise<SessionInfo | undefined>} check asks the edge who is signed in
 * @param {boolean | undefined} handsOff whether the edge hands sessions to pages of other sites
 * @param {string} provider
 * @param {LoginOptions} [options]
 * @param {import('./popup.js').Popup} [popup] the window
 * @returns {Promise<SessionInfo | undefined>} as `login`
 */
export async function connect(origin, check, handsOff, provider, options, popup) {
  // A navigation does not carry the session's cookie, which only this page has.
  if (handsOff && location.origin !== origin) throw failure('other-page');
  return leave(`${loginUrl(origin, provider, options)}&connect=1`, check, popup);
}

/**
 * @param {string} url
 * @param {() => Promise<SessionInfo | undefined>} check
 * @param {import('./popup.js').Popup | undefined} popup
 */
async function leave(url, check, popup) {
  // The edge asks for confirmation if it does not know the page a sign-in comes from, and the page's own policy may
  // withhold its origin. Only a link can overrule that.
  const link = document.createElement('a');
  link.href = url;
  link.referrerPolicy = 'strict-origin';
  if (popup) link.target = POPUP;
  else storeInTab(LEAVING, 1);
  link.click();
  popup?.release();
  return popup?.closed.then(check);
}

/**
 * Whether a switch is on, such as an attribute. Frameworks write what they have: '', true, or 'false'.
 * @param {unknown} value
 */
export const isOn = (value) => ![null, undefined, false, 'false'].some((off) => off === value);

/**
 * Ends the session, and lets the browser sign out of the provider, too, if that is possible.
 * @param {string} origin of the edge
 * @param {import('./request.js').Request} request
 * @param {() => unknown} onSignedOut deletes what is kept of the user
 * @param {unknown} [stay] whether the page is not to be left
 */
export async function logout(origin, request, onSignedOut, stay) {
  const response = await answered(request)('/auth/logout', { method: 'POST' });
  const { status } = response;
  const { end_session: path } = status === 204 || status === 401 ? {} : await jsonOf(response);
  // First, since the page may be left next.
  await onSignedOut();
  // Providers do not allow themselves to be framed.
  if (path?.startsWith('/') && top === window && !isOn(stay)) location.assign(returning(origin, location.href, path));
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
