// Who is signed in: asks the edge, again and again until it has answered once, and whenever that may have changed in
// another window. core.js decides what an answer means.

import { backoffMs } from './backoff.js';
import { load } from './bundle.js';
import { arrived, endArrival } from './handoff.js';
import { jsonOf } from './request.js';

/** @typedef {import('./types.js').SessionInfo} SessionInfo */

/**
 * @param {string} origin of the edge
 * @param {import('./request.js').Request} request
 * @param {(info: SessionInfo) => unknown} onInfo the edge has answered
 * @param {() => void} onUnreachable it has not, and nothing is known yet
 */
export function createSession(origin, request, onInfo, onUnreachable) {
  /** The latest check. @type {Promise<SessionInfo | undefined> | undefined} */
  let checked;
  /** @type {AbortController | undefined} */
  let checking;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let failures = 0;
  /** Listens to the page while it is watched. @type {AbortController | undefined} */
  let watching;
  /** Whether the edge has answered since then. */
  let isAnswered = false;

  /**
   * Asks the edge who is signed in. A pending request may predate the change that prompted this one, so the new request
   * replaces it, and callers that wait for the old request get the new result.
   * @returns {Promise<SessionInfo | undefined>} undefined if the edge did not respond
   */
  function check() {
    endCheck();
    checking = new AbortController();
    return (checked = askWho(checking.signal));
  }

  function endCheck() {
    clearTimeout(timer);
    checking?.abort();
    checked = undefined;
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<SessionInfo | undefined>}
   */
  async function askWho(signal) {
    const info = await fetchInfo(signal).catch(() => undefined);
    if (signal.aborted) return checked;
    if (info) {
      isAnswered = true;
      failures = 0;
      void onInfo(info);
    } else if (watching && !isAnswered) {
      timer = setTimeout(() => void check(), backoffMs(failures));
      failures += 1;
      onUnreachable();
    }
    return info;
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<SessionInfo>}
   */
  async function fetchInfo(signal) {
    const arrival = arrived();
    const isRedeemed =
      arrival && (await (await load('./arrival.js', () => import('./arrival.js'))).arrive(origin, request, arrival));
    const info = await jsonOf(await request('/auth/session', {}, signal));
    // The session cookie has reached the edge, so the browser does not block it.
    if (info.authenticated) endArrival();
    else info.problem = isRedeemed ? 'blocked' : arrival?.problem;
    return info;
  }

  return {
    check,

    /** Whether the edge has answered since the page is watched. */
    hasAnswer: () => isAnswered,

    /** What a check that is under way would tell is older than this. @param {SessionInfo} info */
    overrule(info) {
      endCheck();
      checked = Promise.resolve(info);
    },

    /** Asks now, and whenever the user may have signed in, signed out or switched accounts in another window. */
    watch() {
      const recheck = () => document.hidden || void check();
      watching = new AbortController();
      document.addEventListener('visibilitychange', recheck, watching);
      addEventListener('focus', recheck, watching);
      void check();
    },

    unwatch() {
      watching?.abort();
      watching = undefined;
      isAnswered = false;
      // Others may wait for a check that is under way.
      clearTimeout(timer);
    },
  };
}
