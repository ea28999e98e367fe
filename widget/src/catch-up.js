// Asks the edge for the channel's earlier events, and puts them in their places: those that are missing after a gap, or
// those before all that is shown. Loaded when either is needed. A bundle of its own, so names of what it gets and gives
// are not shortened.

import { createRequest } from './client/request.js';
import { MAX_CHARACTERS, MAX_MESSAGES } from './conversation.js';

/** @typedef {import('./conversation.js').Message} Message */

const MAX_EVENTS = 200;

/**
 * @param {string} origin of the edge
 * @param {string} channel
 * @param {string | undefined} user id of the one whose conversation this is
 * @param {() => Promise<import('./client/types.js').SessionInfo | undefined>} check asks the edge who is signed in
 * @param {(event: unknown, now: number) => unknown} record
 * @param {() => readonly Message[]} all the messages, which are sorted in place
 * @param {string} [before] position that the events end at, empty for the newest; without it, the gap is filled
 * @returns {Promise<import('./window/earlier.js').Page>}
 */
export async function ask(origin, channel, user, check, record, all, before) {
  const query = new URLSearchParams({ limit: String(MAX_EVENTS), ...(before && { before }) });
  const path = `/events/${encodeURIComponent(channel)}/history?${query}`;
  const response = await createRequest(origin)(path);
  if (!response.ok) throw new Error(`history: ${response.status}`);
  /** @type {import('./client/client.js').HistoryPage} */
  const page = await response.json();
  // Another user may have signed in, and these be theirs.
  if ((await check())?.user?.id !== user) return { before: null, isNew: false };
  const messages = /** @type {() => Message[]} */ (all);
  if (before === undefined) {
    insert(page.events, page.complete, record, messages);
    return { before: null, isNew: false };
  }
  // There is no room for more: it would push out what is newer.
  if (!hasRoom(all(), page.events)) return { before: null, isNew: false, isFull: true };
  return { before: page.before, isNew: insertOlder(page.events, record, messages) };
}

/** @param {readonly Message[]} messages @param {unknown[]} events */
function hasRoom(messages, events) {
  const characters = messages.reduce((sum, { text }) => sum + text.length, JSON.stringify(events).length);
  return messages.length + events.length <= MAX_MESSAGES && characters <= MAX_CHARACTERS;
}

/** What was deleted in each conversation: older pages may have it. @type {WeakMap<object, Set<unknown>>} */
const deletions = new WeakMap();

/**
 * Pages come one before the other, so each deletion is seen before what it deletes.
 * @param {import('./client/feed.js').CausewayEvent[]} events
 * @param {(event: unknown, now: number) => unknown} record
 * @param {() => Message[]} all
 * @returns {boolean} whether any was not there
 */
export function insertOlder(events, record, all) {
  const { length } = all();
  const deleted = deletions.get(all) ?? new Set();
  deletions.set(all, deleted);
  const kept = events.toReversed().filter(({ type, echo, id, data }) => {
    const named = Object(data).id;
    if (type === 'delete' && !echo) deleted.add(named);
    return !deleted.has((!echo && named) || id);
  });
  for (const event of kept.reverse()) record(event, Date.now());
  all().sort((a, b) => placeOf(a) - placeOf(b));
  return all().length > length;
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
