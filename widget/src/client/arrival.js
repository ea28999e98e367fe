// The end of a sign-in that was handed off, or done in a window of its own: redeems the code, closes the window.

import { POPUP } from './handoff-keys.js';

/** @type {Promise<boolean> | undefined} shared by all clients of the page */
let redemption;

/**
 * Exchanges the code in the page's address for a session.
 * @param {string} edge
 * @param {import('./request.js').Request} request
 * @param {import('./handoff.js').Arrival} arrival
 * @returns {Promise<boolean> | undefined} whether that worked; undefined without a code for this edge
 */
export function redeem(edge, request, { code, stored: [verifier, origin] }) {
  if (!code || origin !== edge) return undefined;
  const body = JSON.stringify({ code, verifier });
  // Never aborted or retried: sending a code twice ends its session.
  return (redemption ??= request('/auth/handoff', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body,
  }).then(
    ({ ok }) => ok,
    () => false,
  ));
}

/** Tells the opener that the sign-in is over. */
export function closePopup() {
  const channel = new BroadcastChannel(POPUP);
  channel.postMessage('');
  channel.close();
  close();
}
