// The window of a sign-in that leaves the page where it is. departure.js sends it to the identity provider.
//
// Browsers allow a new window only directly after a click, so it is opened before anything is awaited or loaded.

import { KEY, POPUP } from './handoff-keys.js';
import { failure } from './request.js';
import { storeInTab, takeFromTab } from './tab-storage.js';
import { randomVerifier } from './verifier.js';

/** @typedef {ReturnType<typeof openPopup>} Popup */

const POLL_MS = 500;

/**
 * @param {string} origin of the edge
 * @throws {Error} `popup-blocked`
 */
export function openPopup(origin) {
  const verifier = randomVerifier();
  // The new window gets a copy of the tab's storage.
  storeInTab(POPUP, 1);
  storeInTab(KEY, [verifier, origin, location.hash]);
  const popup = open('', POPUP, 'popup,width=500,height=700');
  takeFromTab(POPUP);
  takeFromTab(KEY);
  if (!popup) throw failure('popup-blocked');
  const { promise: closed, resolve: end } = Promise.withResolvers();
  const channel = new BroadcastChannel(POPUP);
  channel.onmessage = () => end(undefined);
  // The user may have closed the window. One whose page cut its ties to this page looks closed, but has the focus.
  const timer = setInterval(() => popup.closed && document.hasFocus() && end(undefined), POLL_MS);
  void closed.then(() => {
    clearInterval(timer);
    channel.close();
  });
  return {
    verifier,
    /** Resolved once the user is back in this window. */
    closed,
    /** The pages that it shows next can't navigate this one. */
    release: () => (popup.opener = null),
    close: () => popup.close(),
  };
}
