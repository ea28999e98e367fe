// Which messages the user has not seen: the line above the first of them, and their number. Until when the user has
// read is kept by the browser, so that the line is there after a reload, too.

import { element } from '../dom.js';

/** @typedef {import('../conversation.js').Message} Message */

/** How often the page was hidden. While it is, no frame is drawn, and the messages come all at once afterwards. */
let absences = 0;
globalThis.document?.addEventListener('visibilitychange', () => {
  if (document.hidden) absences += 1;
});

/**
 * @param {string} place of the conversation: edge and channel
 * @param {(message: Message) => HTMLElement | undefined} itemOf
 * @param {(count: number) => void} onCount
 */
export function createUnread(place, itemOf, onCount) {
  const key = `chat-widget-read ${place}`;
  const line = element('div', { part: 'unread' });
  let readUntil = load(key);
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
        line.remove();
        show(0);
        return;
      }
      line.textContent = label;
      // Nobody has read here before: nothing counts as new.
      if (!readUntil) save(key, (readUntil = newest.time));
      const unread = unreadOf(messages, readUntil);
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
        if (newest.time > readUntil) save(key, (readUntil = newest.time));
      }
      show(isVisible ? 0 : unread.length);
    },
  };
}

/** Whether its time is the server's. @param {Message} message */
const isOfStream = ({ role, state }) => role !== 'gap' && /^(done|streaming|stalled)$/.test(state);

/**
 * @param {readonly Message[]} messages
 * @param {number} readUntil
 */
function unreadOf(messages, readUntil) {
  const begin = messages.findLastIndex((message) => isOfStream(message) && message.time <= readUntil);
  return messages.slice(begin + 1).filter(({ role, time }) => role === 'assistant' && time > readUntil);
}

/** @param {string} key */
function load(key) {
  try {
    return Number(localStorage.getItem(key));
  } catch {
    return 0;
  }
}

/**
 * @param {string} key
 * @param {number} time
 */
function save(key, time) {
  try {
    localStorage.setItem(key, String(time));
  } catch {
    // Storage is blocked. It is known until the page is left.
  }
}
