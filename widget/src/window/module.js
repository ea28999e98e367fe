// The bundle `window.js`: the part of a long conversation that is in the document. Loaded when the user scrolls back.
//
// The part moves along as the user scrolls, and is bounded: what is far from view leaves the document. Rows nearer than
// that are there, but not laid out (`content-visibility`). No height is guessed, and nothing takes the place of what is
// not there: the scroll bar is that of the part. A bundle of its own: names of what it gets and gives are not
// shortened.

import { element } from '../dom.js';
import { createAnchor } from './anchor.js';
import { createEarlier } from './earlier.js';

/** How many of the newest messages are shown while the user is at the end. */
const FEWEST_SHOWN = 300;
const MOST_SHOWN = 600;
/** How many come at once: few enough for one frame. */
const STEP = 50;
const NEAR_PX = 1_000;

/** @typedef {import('../conversation.js').Message} Message */
/** @typedef {ReturnType<typeof createWindow>} Window */
/**
 * @typedef {object} Surroundings
 * @property {HTMLElement} scroller
 * @property {HTMLElement} list in it
 * @property {() => boolean} isAtEnd whether the newest message is in view
 * @property {() => void} scrollToEnd
 * @property {() => void} refresh shows the messages
 * @property {(message: Message) => HTMLElement | undefined} itemOf
 * @property {(item: Element) => Message | undefined} messageOf
 * @property {(item: Element) => void} leadTo makes that message's buttons the next stop of the tab key
 * @property {import('./earlier.js').Ask} ask for earlier messages
 */

/** @param {Surroundings} surroundings */
export function createWindow({ scroller, list, isAtEnd, scrollToEnd, refresh, itemOf, messageOf, leadTo, ask }) {
  const root = /** @type {ShadowRoot} */ (list.getRootNode());
  const notice = element('p', { part: 'older' });
  notice.hidden = true;
  scroller.after(notice);
  const limit = element('p', { part: 'limit' });
  limit.hidden = true;
  list.before(limit);

  const anchor = createAnchor(scroller, list);
  const earlier = createEarlier(
    ask,
    (isAsking) => {
      notice.hidden = !isAsking;
    },
    // They are drawn with the next frame.
    () => {
      more = -STEP;
    },
  );

  /** @type {readonly Message[]} */
  let messages = [];
  /** Which of them are shown: from, and up to the one before. */
  let start = 0;
  let end = 0;
  /** How many more are to be shown: above if negative. */
  let more = 0;
  /** Whether the oldest are to be shown. */
  let isHome = false;

  /** How far from view the part ends, at the least. */
  const margin = () => Math.max(NEAR_PX, scroller.clientHeight);

  /** Shows more where the user comes near the end of the part. */
  function browse() {
    const { scrollTop, scrollHeight, clientHeight } = scroller;
    const isNearTop = scrollTop < margin();
    const isNearBottom = scrollHeight - scrollTop - clientHeight < margin();
    if (isNearTop && start > 0) more = -STEP;
    else if (isNearBottom && end < messages.length) more = STEP;
    // Some may have come that are not drawn yet.
    if (more) refresh();
    else if (isNearTop) earlier.load();
  }

  scroller.addEventListener('scroll', () => {
    if (!isAtEnd()) browse();
  });

  /**
   * Where the part begins and ends now that the conversation has changed. It stays where it is in it.
   * @param {readonly Message[]} next
   * @returns {[number, number]}
   */
  function moved(next) {
    const { length } = next;
    const newest = Math.max(0, length - FEWEST_SHOWN);
    const first = messages[start];
    const last = messages[end - 1];
    if (isHome) return [0, Math.min(length, FEWEST_SHOWN)];
    if (!first || !last) return [newest, length];
    // One that is gone has been followed by what is in its place now.
    const place = next.indexOf(first);
    const from = place < 0 ? Math.min(start, newest) : place;
    if (isAtEnd()) return [isSelecting() ? Math.min(from, newest) : newest, length];
    const hasNewest = end >= messages.length;
    const to = next.indexOf(last) + 1 || end - start + from;
    return [from, Math.max(Math.min(hasNewest ? length : to, length), Math.min(length, from + FEWEST_SHOWN))];
  }

  /**
   * Takes out what is far from view, on the side that the user does not go to.
   * @param {readonly Message[]} next
   * @param {number} from
   * @param {number} to
   * @returns {[number, number]}
   */
  function trimmed(next, from, to) {
    if (to - from <= MOST_SHOWN || isSelecting()) return [from, to];
    const { top, bottom } = scroller.getBoundingClientRect();
    // Twice as far as what is near, so that it does not come back at once.
    const far = 2 * margin();
    const rectOf = (/** @type {number} */ index) => {
      const message = next[index];
      const item = message && itemOf(message);
      return item?.parentNode === list ? item.getBoundingClientRect() : undefined;
    };
    if (more > 0) {
      const rect = rectOf(to - MOST_SHOWN - 1);
      return rect && rect.bottom > top - far ? [from, to] : [to - MOST_SHOWN, to];
    }
    const rect = rectOf(from + MOST_SHOWN);
    return rect && rect.top < bottom + far ? [from, to] : [from, from + MOST_SHOWN];
  }

  /** Whether text of the list is selected: what leaves the document would be lost to the selection. */
  function isSelecting() {
    const selection = getSelection();
    if (selection?.type !== 'Range') return false;
    const { anchorNode } = selection;
    if (!anchorNode || list.contains(anchorNode)) return true;
    // Of a selection within a shadow root some browsers tell only what the root is in.
    /** @type {Node | null} */
    let node = list;
    while (node && node !== anchorNode) node = node instanceof ShadowRoot ? node.host : node.parentNode;
    return node !== null;
  }

  /**
   * The focus stays in the log when the row that has it is not shown any more.
   * @param {readonly Message[]} next
   * @param {number} from
   * @param {number} to
   */
  function keepFocus(next, from, to) {
    const item = root.activeElement?.closest('.messages > *');
    const message = item && messageOf(item);
    const index = message ? next.indexOf(message) : -1;
    if (index >= 0 && (index < from || index >= to)) scroller.focus({ preventScroll: true });
  }

  return {
    browse,

    /**
     * The user turns the wheel, moves a finger, or presses a key. Home and End lead to the ends of the conversation,
     * not of the part, and Tab to what is in view.
     * @param {string} [key] pressed in the log
     * @returns {boolean} whether it has done what the key is for
     */
    onInput(key) {
      if (scroller.scrollHeight <= scroller.clientHeight) earlier.load();
      const row = key === 'Tab' && !isAtEnd() && anchor.firstInView();
      if (row) leadTo(row);
      if (key === 'Home' && start > 0) {
        isHome = true;
        refresh();
        scroller.scrollTop = 0;
        return true;
      }
      const isFar = key === 'End' && end < messages.length;
      if (isFar) scrollToEnd();
      return isFar;
    },

    /**
     * Before the rows change.
     * @param {readonly Message[]} next all the messages
     * @returns {[number, number]} the first that is shown, and the one after the last
     */
    range(next) {
      let [from, to] = moved(next);
      if (more < 0) from = Math.max(0, from + more);
      else to = Math.min(next.length, to + more);
      [from, to] = trimmed(next, from, to);
      // The one before the first row decides about the day above it.
      const isSame = next[from] === messages[start] && next[from - 1] === messages[start - 1];
      if (isSame || isHome || isAtEnd()) anchor.drop();
      else anchor.take();
      keepFocus(next, from, to);
      // The conversation changes in place.
      messages = [...next];
      [start, end] = [from, to];
      more = 0;
      isHome = false;
      return [start, end];
    },

    /** After the rows have changed. @param {import('../message/strings.js').MessageStrings} strings */
    settle({ loadingOlder, olderLimit }) {
      notice.textContent = loadingOlder;
      limit.textContent = olderLimit;
      limit.hidden = start > 0 || !earlier.isFull();
      if (!messages[0]) earlier.reset();
      anchor.restore();
    },
  };
}
