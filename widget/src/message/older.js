// Earlier messages: shown, and then asked for, when the user scrolls up to where the list begins. What the user looks
// at stays where it is. Once the user is back at the end, only the newest ones are shown again, so that a long
// conversation costs little.

import { element } from '../dom.js';

const NEAR_BEGIN_PX = 600;
/** A page may have nothing new: it repeats what the stream brought, or has other records only. */
const MAX_PAGES = 5;
const FEWEST_SHOWN = 300;
const MORE_SHOWN = 200;
const PAUSE_MS = 3_000;

/**
 * @param {HTMLElement} scroller
 * @param {HTMLElement} list
 * @param {() => boolean} isAtEnd
 * @param {() => void} refresh shows the messages
 * @param {(before: string) => Promise<{ before: string | null, isNew: boolean }>} ask
 */
export function createOlder(scroller, list, isAtEnd, refresh, ask) {
  const notice = element('p', { part: 'older' });
  notice.hidden = true;
  scroller.after(notice);
  /** Position that the next page ends at; null: there is none. @type {string | null} */
  let before = '';
  let isAsking = false;
  let limit = FEWEST_SHOWN;
  let count = 0;
  /** Grows when another conversation begins. */
  let version = 0;
  /** What stays where it is, and where that was. @type {[Element, number] | undefined} */
  let anchor;

  async function load() {
    isAsking = true;
    notice.hidden = false;
    const own = version;
    try {
      for (let page = 0; page < MAX_PAGES && before !== null; page += 1) {
        const answer = await ask(before);
        if (own !== version) return;
        before = answer.before;
        if (answer.isNew) break;
      }
      // The new messages are drawn with the next frame.
      showMore();
    } catch {
      // The user may scroll again.
      await new Promise((resolve) => {
        setTimeout(resolve, PAUSE_MS);
      });
    } finally {
      if (own === version) {
        isAsking = false;
        notice.hidden = true;
      }
    }
  }

  function showMore() {
    limit += MORE_SHOWN;
    // Not the whole message: the day above it may go.
    const first = list.querySelector('.bubble');
    if (first) anchor = [first, first.getBoundingClientRect().top];
  }

  scroller.addEventListener('scroll', () => {
    if (scroller.scrollTop > NEAR_BEGIN_PX || isAtEnd() || isAsking) return;
    if (limit < count) {
      showMore();
      refresh();
    } else if (before !== null) void load();
  });

  return {
    limit: () => limit,

    /** The list has changed. @param {number} length of the conversation @param {string} label */
    settle(length, label) {
      notice.textContent = label;
      count = length;
      if (isAtEnd()) limit = FEWEST_SHOWN;
      if (!length) {
        version += 1;
        before = '';
        anchor = undefined;
        isAsking = false;
        notice.hidden = true;
      }
      if (!anchor) return;
      const [node, top] = anchor;
      anchor = undefined;
      // Some browsers do this by themselves, but not at the very top.
      scroller.style.overflowAnchor = 'none';
      let frames = 4;
      const hold = () => {
        scroller.scrollTop += node.getBoundingClientRect().top - top;
        frames -= 1;
        // What comes into view gets its real height with the next frame. Later it is the browser's task.
        if (frames) requestAnimationFrame(hold);
      };
      hold();
      scroller.style.overflowAnchor = '';
    },
  };
}
