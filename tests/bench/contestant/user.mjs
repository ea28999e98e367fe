// Users of the stub providers, and their sign-ins at the edge.

import { EdgeBrowser } from '../../support/edge-browser.mjs';
import { signIn, signedIn } from '../../support/sign-in.mjs';
import { inBatches } from '../measure/batch.mjs';

/** @typedef {import('../../../scripts/stack/stack.mjs').Stack} Stack */

/** Signed in at once. */
export const BATCH = 20;

/** @param {number} count @returns {string[]} logins */
export const loginsOf = (count) => Array.from({ length: count }, (_, index) => `user-${index}`);

/** What the stub providers know of them. @param {readonly string[]} logins */
export const profiles = (logins) => logins.map((login) => ({ login, name: login, email: `${login}@causeway.example` }));

/**
 * Signs users in, for event streams.
 * @param {Stack} stack @param {readonly string[]} logins
 */
export function signInListeners(stack, logins) {
  return inBatches(logins, BATCH, async (login) => {
    const { browser, user } = await signedIn(stack, 'github', login);
    const headers = { ...browser.scriptHeaders(), Cookie: browser.cookieHeader ?? '', Accept: 'text/event-stream' };
    return { id: String(user.id), headers };
  });
}

/**
 * Signs users in, for events.
 * @param {Stack} stack @param {readonly string[]} logins @returns {Promise<Record<string, string>[]>} their headers
 */
export function signInSpeakers(stack, logins) {
  return inBatches(logins, BATCH, async (login) => {
    const browser = new EdgeBrowser(stack);
    await signIn(browser, 'github', login);
    return { ...browser.scriptHeaders('POST'), Cookie: browser.cookieHeader ?? '' };
  });
}
