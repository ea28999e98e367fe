// Into a page of another site than the edge's. What the edge sets while the whole window is on it, browsers keep apart
// from what requests of that page carry. So the page takes its session itself: with a code that came in its address and
// a verifier that stayed here (as in PKCE), once.

import { leaveNote, takeNote } from './note.js';

/** @typedef {{ challenge: string, keep: () => void }} Handoff keep: for the way back, when the person leaves */

const KEY = 'chat-widget-handoff';

const [, code] = /^#causeway=(.+)/.exec(location.hash) ?? [];
/** @type {string[]} verifier, edge and the page's own fragment, from before */
let kept = (code && takeNote(KEY)) || [];
// Whether the code works or not, it is neither to be bookmarked nor to be shown.
if (code) history.replaceState(null, '', location.pathname + location.search + (kept[2] ?? ''));

/** @type {Promise<boolean> | undefined} one for all widgets of the page */
let taking;

/**
 * Takes the session that the page came back with from the provider.
 * @param {string} edge
 * @param {(body: string) => Promise<Response>} post
 * @returns {Promise<boolean> | undefined} whether one was taken, of which nothing was seen yet
 */
export function take(edge, post) {
  const [verifier, origin] = kept;
  if (origin !== edge) return undefined;
  // Not tried again: a code that is sent twice ends its session.
  return (taking ??= post(JSON.stringify({ code, verifier })).then(
    ({ ok }) => ok,
    () => false,
  ));
}

/** The session is there: cookies are let through. */
export function seen() {
  kept = [];
}

/**
 * @param {string} edge
 * @returns {Promise<Handoff>}
 */
export async function begin(edge) {
  const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)));
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier));
  return { challenge: base64url(new Uint8Array(digest)), keep: () => leaveNote(KEY, [verifier, edge, location.hash]) };
}

/** @param {Uint8Array} bytes */
function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (char) => ({ '+': '-', '/': '_' })[char] ?? '');
}
