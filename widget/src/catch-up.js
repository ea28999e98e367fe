// After a gap: asks the edge for the channel's latest events, and puts those that are missing in their places. Loaded
// when there is a gap, which is rare. A bundle of its own, so names of what it gets are not shortened.

import { createRequest } from './client/request.js';

/** @typedef {import('./conversation.js').Message} Message */

const MAX_EVENTS = 200;

/**
 * @param {string} origin of the edge
 * @param {string} channel
 * @param {string | undefined} user id of the one whose conversation this is
 * @param {() => Promise<import('./client/types.js').SessionInfo | undefined>} ask asks the edge who is signed in
 * @param {(event: unknown, now: number) => unknown} record
 * @param {() => readonly Message[]} all the messages, which are sorted in place
 */
export async function fillGap(origin, channel, user, ask, record, all) {
  const path = `/events/${encodeURIComponent(channel)}/history?limit=${MAX_EVENTS}`;
  const response = await createRequest(origin)(path).catch(() => undefined);
  if (!response?.ok) return;
  /** @type {import('./client/client.js').HistoryPage} */
  const { events, complete } = await response.json();
  // Another user may have signed in, and these be theirs.
  if ((await ask())?.user?.id !== user) return;
  insert(events, complete, record, /** @type {() => Message[]} */ (all));
}

/**
 * @param {import('./client/feed.js').CausewayEvent[]} events
 * @param {boolean} isComplete
 * @param {(event: unknown, now: number) => unknown} record
 * @param {() => Message[]} all
 */
export function insert(events, isComplete, record, all) {
  const gapIndex = all().findLastIndex(({ role }) => role === 'gap');
  const gap = all()[gapIndex];
  if (!gap) return;
  const older = new Set(all().slice(0, gapIndex));
  for (const event of events) record(event, Date.now());
  const messages = all();
  const isThere = messages.includes(gap);
  if (isThere) messages.splice(messages.indexOf(gap), 1);
  messages.sort((a, b) => placeOf(a) - placeOf(b));
  // With all that came before it: there is no room for more.
  if (!isThere) return;
  // Nothing is missing if the page begins with what was there before.
  const times = events.map(({ time }) => Date.parse(time)).filter((time) => !Number.isNaN(time));
  const begin = Math.min(...times);
  const reachesBack = messages.some((message) => older.has(message) && message.time >= begin);
  if (isComplete && reachesBack) return;
  const index = messages.findIndex((message) => !older.has(message) || message.time >= begin);
  messages.splice(index < 0 ? messages.length : index, 0, gap);
}

/** Messages that are not accepted yet come last, in their order. @param {Message} message */
function placeOf({ state, time }) {
  return state === 'sending' || state === 'failed' ? Number.MAX_SAFE_INTEGER : time;
}
