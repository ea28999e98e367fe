// The way back from the identity provider. Sign-ins are handed off to pages of other sites than the edge's, and may be
// done in a window of their own. departure.js has the way there, arrival.js does what is left to do.
//
// Browsers keep the cookies that the edge sets during a top-level navigation apart from those that requests of an
// embedding page carry. So the page gets its session by a request of its own: it posts a code that came in its address
// together with a verifier that stayed in the tab, as in PKCE. A code can be used once.
//
// A page may load several bundles that have this module, such as the widget and the client. The first one takes the
// code from the address, so they share what it found.

import { KEY, LEAVING, POPUP } from './handoff-keys.js';
import { takeFromTab } from './tab-storage.js';

/**
 * @typedef {object} Arrival
 * @property {string} [code]
 * @property {string[]} stored verifier, edge and the page's own fragment, as stored before the sign-in
 * @property {boolean} isPopup whether this window was opened for the sign-in
 * @property {'cancelled' | 'failed'} [problem] why nobody is signed in, if that is so; undefined if the user did not
 *   leave this page to sign in
 * @property {Promise<boolean>} [redemption] whether the code was exchanged for a session
 */

const page = /** @type {{ causewayArrival?: { arrival?: Arrival } }} */ (globalThis);
// A server that renders the page has no location, and many pages.
/** @type {{ arrival?: Arrival }} */
const shared = globalThis.location ? (page.causewayArrival ??= { arrival: arrive() }) : {};

/** Set if this page was loaded by the end of a sign-in, until it is known to be over. */
export const arrived = () => shared.arrival;

/**
 * Takes what the edge has put behind the page's own fragment: a code, or the error of a cancelled sign-in.
 * @returns {Arrival | undefined}
 */
function arrive() {
  const { hash } = location;
  const [entry, error, code] = /[#&]causeway(_error)?=(.+)/.exec(hash) ?? [];
  const isPopup = takeFromTab(POPUP) !== null;
  const hasLeft = takeFromTab(LEAVING) !== null;
  if (!entry && !isPopup && !hasLeft) return undefined;
  const stored = takeFromTab(KEY) ?? [];
  const problem = error ? 'cancelled' : hasLeft ? 'failed' : undefined;
  // Whether or not the code works, it must be neither bookmarked nor shown.
  if (entry) {
    const fragment = stored[2] ?? hash.replace(entry, '');
    history.replaceState(null, '', location.pathname + location.search + fragment);
  }
  return { code: error ? undefined : code, stored, isPopup, problem };
}

/** The user is signed in. */
export function endArrival() {
  shared.arrival = undefined;
}
