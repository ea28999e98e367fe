// The end of a sign-in that was handed off, or done in a window of its own: redeems the code, closes the window.

import { POPUP } from './handoff-keys.js';

/**
 * Exchanges the code in the page's address for a session, if there is one for this edge. Never does so again: sending a
 * code twice ends its session.
 * @param {string} edge
 * @param {import('./request.js').Request} request
 * @param {import('./handoff.js').Arrival} arrival
 * @returns {Promise<boolean | undefined>} whether that worked
 */
export async function arrive(edge, request, arrival) {
  const {
    code,
    stored: [verifier, origin],
    isPopup,
  } = arrival;
  const isMine = code && origin === edge;
  // Shared by all clients of the page.
  if (isMine) arrival.redemption ??= redeem(request, JSON.stringify({ code, verifier }));
  const isRedeemed = isMine ? await arrival.redemption : undefined;
  // Another client of the page may still need the code.
  if (isPopup && (isMine || !code)) closePopup();
  return isRedeemed;
}

/**
 * @param {import('./request.js').Request} request
 * @param {string} body
 */
async function redeem(request, body) {
  try {
    const headers = { 'Content-Type': 'application/json' };
    return (await request('/auth/handoff', { method: 'POST', headers, body })).ok;
  } catch {
    return false;
  }
}

/** Tells the opener that the sign-in is over. */
function closePopup() {
  const channel = new BroadcastChannel(POPUP);
  channel.postMessage('');
  channel.close();
  close();
}
