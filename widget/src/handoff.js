// Session hand-off to a page of another site than the edge's. Browsers keep the cookies that the edge sets during a
// top-level navigation apart from those that requests of an embedding page carry. So the page gets its session by a
// request of its own: it posts a code that came in its address together with a verifier that stayed in the tab, as in
// PKCE. A code can be used once.

import { storeInTab, takeFromTab } from './tab-storage.js';

/** @typedef {{ challenge: string, storeVerifier: () => void }} Handoff */

const KEY = 'chat-widget-handoff';

const { hash } = location;
// The edge puts a code, or the error of a cancelled sign-in, behind what the page has in its fragment.
const [entry, error, code] = /[#&]causeway(_error)?=(.+)/.exec(hash) ?? [];
/** @type {string[]} verifier, edge and the page's own fragment, as stored before the sign-in */
let stored = (entry && takeFromTab(KEY)) || [];
// Whether or not the code works, it must be neither bookmarked nor shown.
if (entry) history.replaceState(null, '', location.pathname + location.search + (stored[2] ?? hash.replace(entry, '')));

/** Whether the user cancelled the sign-in that led back to this page, and has not signed in since. */
export let isCancelled = error !== undefined;

/** @type {Promise<boolean> | undefined} shared by all widgets of the page */
let redemption;

/**
 * Exchanges the code in the page's address for a session.
 * @param {string} edge
 * @param {(body: string) => Promise<Response>} post
 * @returns {Promise<boolean> | undefined} whether that worked; undefined without a code for this edge, or once a
 * request
 *   has carried the session cookie
 */
export function redeemCode(edge, post) {
  const [verifier, origin] = stored;
  if (error || origin !== edge) return undefined;
  // Never retried: sending a code twice ends its session.
  return (redemption ??= post(JSON.stringify({ code, verifier })).then(
    ({ ok }) => ok,
    () => false,
  ));
}

/** The session cookie has reached the edge, so the browser does not block it. */
export function confirmCookie() {
  stored = [];
  isCancelled = false;
}

/**
 * @param {string} edge
 * @returns {Promise<Handoff>}
 */
export async function createHandoff(edge) {
  const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)));
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  return {
    challenge: base64url(new Uint8Array(digest)),
    storeVerifier: () => storeInTab(KEY, [verifier, edge, location.hash]),
  };
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (char) => ({ '+': '-', '/': '_' })[char] ?? '');
}
