// Asks the edge for the channel's earlier events, and puts them in their places: those that are missing after a gap, or
// those before all that is shown. Loaded when either is needed. A bundle of its own, so names of what it gets and gives
// are not shortened.

import { createRequest } from './client/request.js';
import { MAX_CHARACTERS, MAX_MESSAGES } from './conversation.js';
import { compare, follows } from './position.js';

/**
 * @typedef {import('./conversation.js').Message} Message
 * @typedef {import('./client/client.js').HistoryPage} HistoryPage
 * @typedef {(event: unknown, now: number, cursor?: string) => unknown} Keep
 * @typedef {() => readonly Message[]} All all the messages, which are sorted in place
 * @typedef {Map<unknown, string | undefined>} Deleted places of deletions, by what they delete
 * @typedef {() => Promise<import('./client/types.js').SessionInfo | undefined>} Check asks the edge who is signed in
 */

const MAX_EVENTS = 200;
/** Waits between attempts to fill a gap. At random less, so that those who were cut off together ask one by one. */
const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 60_000;

/**
 * @param {string} origin of the edge
 * @param {string} channel
 * @param {() => string | undefined} user id of the one whose conversation this is, as long as it is shown
 * @param {Check} check
 * @param {Keep} record
 * @param {All} all
 * @param {() => void} onChange
 * @param {Deleted} deleted
 */
export function createCatchUp(origin, channel, user, check, record, all, onChange, deleted) {
  let isFilling = false;

  /**
   * @param {string} [before]
   * @returns {Promise<HistoryPage | undefined>} undefined if it is not for this user, or there will never be one.
   *   Rejects if there may be one later
   */
  async function read(before) {
    const query = new URLSearchParams({ limit: String(MAX_EVENTS), ...(before && { before }) });
    const path = `/events/${encodeURIComponent(channel)}/history?${query}`;
    const response = await createRequest(origin)(path);
    const { ok, status } = response;
    if (status === 400 || status === 404) return undefined;
    // Without a user, nothing more is asked for.
    if (status === 401) await check();
    if (!ok) throw new Error(`history: ${status}`);
    const page = await response.json();
    const info = await check();
    if (!info) throw new Error('it is unknown whose these are');
    // Another user may have signed in, and these be theirs.
    return info.user && info.user.id === user() ? page : undefined;
  }

  /** What tells the last gap from later ones, and from itself after more went missing there. */
  const gapNow = () => {
    const gap = all().findLast(({ role }) => role === 'gap');
    return gap && `${gap.key} ${gap.change}`;
  };

  /** @returns {Promise<unknown>} whether all is done that can be done */
  async function tryFill() {
    const gap = gapNow();
    if (!gap) return true;
    const page = await read();
    // Told meanwhile, another gap may be behind what the page has.
    if (page && gapNow() !== gap) return false;
    const isOver = !page || insert(page, record, all, deleted);
    onChange();
    return isOver;
  }

  return {
    /**
     * Asks for earlier messages than those that are there.
     * @param {string} before position that they end at, empty for the newest
     * @returns {Promise<import('./window/earlier.js').Page>}
     */
    async older(before) {
      const gap = gapNow();
      const page = await read(before);
      // With the next frame, also if all that is new is that there is no room.
      onChange();
      if (!page) return { before: null, isNew: false };
      // There is no room for more: it would push out what is newer.
      if (!hasRoom(all(), page.events)) return { before: null, isNew: false, isFull: true };
      if (gapNow() !== gap) page.complete = false;
      return { before: page.before, isNew: insertOlder(page, before, record, all, deleted) };
    },

    /** Puts what has just come to its place: later pages may be there already. */
    place() {
      if (isBehind(all())) sort(/** @type {Message[]} */ (all()));
    },

    /** Asks for what is missing in a gap, again and again until there is an answer. */
    async fill() {
      if (isFilling) return;
      isFilling = true;
      for (let waitMs = FIRST_WAIT_MS; user(); waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
        if (await tryFill().catch(() => false)) break;
        await new Promise((resolve) => {
          setTimeout(resolve, waitMs * (0.5 + Math.random() / 2));
        });
      }
      isFilling = false;
    },
  };
}

/** @param {readonly Message[]} messages @param {unknown[]} events */
function hasRoom(messages, events) {
  const characters = messages.reduce((sum, { text }) => sum + text.length, JSON.stringify(events).length);
  return messages.length + events.length <= MAX_MESSAGES && characters <= MAX_CHARACTERS;
}

/** Whether the latest message is later than it should be. @param {readonly Message[]} messages */
export function isBehind(messages) {
  const isPlaced = (/** @type {Message} */ { cursor, role }) => Boolean(cursor) && role !== 'gap';
  const last = messages.findLastIndex(isPlaced);
  const before = messages.findLast((message, i) => i < last && isPlaced(message));
  // Clocks do not count: the stream comes in its order.
  return compare({ cursor: before?.cursor }, { cursor: messages[last]?.cursor }) > 0;
}

/** Of each conversation, whether the pages so far left nothing out. @type {WeakMap<object, boolean>} */
const whole = new WeakMap();

/**
 * Pages come one before the other, so each deletion is seen before what it deletes.
 * @param {HistoryPage} page
 * @param {string} asked position that it ends at
 * @param {Keep} record
 * @param {All} all
 * @param {Deleted} deleted
 * @returns {boolean} whether any was not there
 */
export function insertOlder(page, asked, record, all, deleted) {
  const { length } = all();
  const isWhole = page.complete && (!asked || (whole.get(all) ?? true));
  whole.set(all, isWhole);
  add(page, record, all, deleted);
  // Pages that begin before the gap, and were asked for after it, reach over it.
  if (isWhole) closeGaps(page, all, ({ cursor }) => !asked || compare({ cursor: asked }, { cursor }) > 0);
  return all().length > length;
}

/**
 * @param {HistoryPage} page the newest
 * @param {Keep} record
 * @param {All} all
 * @param {Deleted} deleted
 * @returns {boolean} whether it has all that it will have
 */
export function insert(page, record, all, deleted) {
  const gap = all().findLast(({ role }) => role === 'gap');
  if (!gap) return true;
  const after = all().slice(all().indexOf(gap) + 1);
  const next = after.find(({ cursor, state }) => cursor && state === 'done');
  add(page, record, all, deleted);
  // What is read from Kafka may be some seconds old.
  const last = page.ids?.at(-1);
  if (last && next && compare({ cursor: last }, { cursor: next.cursor }) < 0) return false;
  if (page.complete && page.events[0]) closeGaps(page, all, () => true);
  return true;
}

/**
 * Removes the gaps that a page reaches over.
 * @param {HistoryPage} page
 * @param {All} all
 * @param {(gap: Message) => boolean} isBelow whether what comes after the gap is there
 */
function closeGaps({ before }, all, isBelow) {
  const messages = /** @type {Message[]} */ (all());
  for (const gap of messages.filter(({ role }) => role === 'gap'))
    if (isBelow(gap) && (before === null || follows(before, gap.cursor))) messages.splice(messages.indexOf(gap), 1);
}

/**
 * Records the events of a page, and puts the messages in their order.
 * @param {HistoryPage} page
 * @param {Keep} record
 * @param {All} all
 * @param {Deleted} deleted
 */
function add({ events, ids = [] }, record, all, deleted) {
  const latest = new Map(all().map((message) => [message.id, message.latest ?? message.cursor]));
  for (const [i, event] of events.entries()) {
    const cursor = ids[i];
    const { type, echo, id, data } = event;
    const named = (!echo && Object(data).id) || id;
    const newer = latest.get(named);
    // A message may have been written again since. A deletion has no place.
    const isOld = type !== 'delete' && newer && cursor && compare({ cursor }, { cursor: newer }) < 0;
    const isGone = deleted.has(named) && !(compare({ cursor }, { cursor: deleted.get(named) }) > 0);
    if (!isOld && !isGone) record(event, Date.now(), cursor);
  }
  sort(/** @type {Message[]} */ (all()));
}

/**
 * The order is that of the stream. What has no place there stays behind what it is behind, and what was not accepted
 * yet, and has none, comes last.
 * @param {Message[]} messages
 */
function sort(messages) {
  /** @type {Message[]} */
  const unsent = [];
  /** Messages that have a place, each with those behind it. @type {Message[][]} */
  const groups = [];
  /** @type {Message[]} */
  const first = [];
  for (const message of messages) {
    const { state, role, cursor } = message;
    if ((state === 'sending' || state === 'failed') && !cursor) unsent.push(message);
    else if (cursor || (state === 'done' && role !== 'gap')) groups.push([message]);
    else (groups.at(-1) ?? first).push(message);
  }
  groups.sort(([a = {}], [b = {}]) => compare(a, b));
  messages.splice(0, messages.length, ...first, ...groups.flat(), ...unsent);
}
