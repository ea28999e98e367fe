// Which messages the user has not seen: the line above the first of them, and their number. Up to where in the stream
// the user has read is kept by the browser, so that the line is there after a reload, too.

import { element } from '../dom.js';
import { compare } from '../position.js';

/** @typedef {import('../conversation.js').Message} Message */

/** How often the page was hidden. While it is, no frame is drawn, and the messages come all at once afterwards. */
let absences = 0;
globalThis.document?.addEventListener('visibilitychange', () => {
  if (document.hidden) absences += 1;
});

/**
 * @param {() => string} place of the conversation: edge, channel and user
 * @param {(message: Message) => HTMLElement | undefined} itemOf
 * @param {(count: number) => void} onCount
 */
export function createUnread(place, itemOf, onCount) {
  const line = element('div', { part: 'unread' });
  let key = '';
  /** The newest message that was read. @type {import('../position.js').Placed | undefined} */
  let read;
  let isFirst = true;
  /** Whether the user has seen what is below the line. */
  let isSeen = true;
  /** The message below the line. @type {Message | undefined} */
  let marked;
  let knownAbsences = absences;
  let shownCount = 0;

  /** @param {number} count */
  function show(count) {
    if (count !== shownCount) onCount(count);
    shownCount = count;
  }

  return {
    /**
     * @param {readonly Message[]} messages
     * @param {boolean} isVisible whether the user sees the newest message
     * @param {string} label
     */
    settle(messages, isVisible, label) {
      const newest = messages.findLast(isOfStream);
      if (!newest) {
        // Another user's conversation may follow.
        isFirst = true;
        isSeen = true;
        marked = undefined;
        key = '';
        line.remove();
        show(0);
        return;
      }
      line.textContent = label;
      if (!key) {
        key = `chat-widget-read ${place()}`;
        // This user has never read here: nothing counts as new.
        read = load(key) ?? save(key, newest);
      }
      const unread = unreadOf(messages, read ?? newest);
      const [first] = unread;
      const wasAway = isFirst || knownAbsences !== absences;
      if (first && isSeen && (wasAway || !isVisible)) {
        marked = first;
        isSeen = false;
      }
      const item = marked && itemOf(marked);
      if (item && item !== line.parentNode) item.prepend(line);
      isFirst = false;
      if (isVisible) {
        knownAbsences = absences;
        isSeen = true;
        if (!read || newest.cursor !== read.cursor || newest.time !== read.time) read = save(key, newest);
      }
      show(isVisible ? 0 : unread.length);
    },
  };
}

/** Whether it has a place in the stream. @param {Message} message */
const isOfStream = ({ role, state }) => role !== 'gap' && /^(done|streaming|stalled)$/.test(state);

/**
 * @param {readonly Message[]} messages
 * @param {import('../position.js').Placed} read
 */
function unreadOf(messages, read) {
  const begin = messages.findLastIndex((message) => isOfStream(message) && compare(message, read) <= 0);
  return messages.slice(begin + 1).filter(({ role }) => role === 'assistant');
}

/**
 * @param {string} key
 * @returns {import('../position.js').Placed | undefined}
 */
function load(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? '') ?? undefined;
  } catch {
    return undefined;
  }
}

/**
 * @param {string} key
 * @param {Message} message
 * @returns {import('../position.js').Placed}
 */
function save(key, { cursor, time }) {
  const read = { cursor, time };
  try {
    localStorage.setItem(key, JSON.stringify(read));
  } catch {
    // Storage is blocked. It is known until the page is left.
  }
  return read;
}
