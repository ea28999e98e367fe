// Keeps what the user reads in its place while messages come and go above it. Most browsers do that themselves
// (`overflow-anchor`), but not at the very top, and not where they lack it.

/** What comes into view gets its real height with one of the next frames. */
const FRAMES = 4;

/**
 * @param {HTMLElement} scroller
 * @param {HTMLElement} list in it
 */
export function createAnchor(scroller, list) {
  const isDoneByBrowser = CSS.supports('overflow-anchor', 'auto');
  /** What stays where it is, and where that was. @type {[Element, number] | undefined} */
  let held;

  /** The first row in view. The rows come one below the other. */
  function firstInView() {
    const { top } = scroller.getBoundingClientRect();
    const rows = list.children;
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const isAbove = (rows[middle]?.getBoundingClientRect().bottom ?? 0) <= top;
      if (isAbove) low = middle + 1;
      else high = middle;
    }
    return rows[low];
  }

  /**
   * @param {Element} node
   * @param {number} top
   * @param {number} frames
   */
  function hold(node, top, frames) {
    if (!node.isConnected) return;
    const drift = node.getBoundingClientRect().top - top;
    if (Math.abs(drift) >= 1) scroller.scrollTop += drift;
    if (isDoneByBrowser || !frames) return;
    const { scrollTop } = scroller;
    // By as much as the user scrolls until then, it may move.
    requestAnimationFrame(() => hold(node, top + scrollTop - scroller.scrollTop, frames - 1));
  }

  return {
    firstInView,

    /** Before the change. */
    take() {
      const row = firstInView();
      // Not the whole message: the day above it may go.
      const node = row?.querySelector('.bubble') ?? row;
      held = node && [node, node.getBoundingClientRect().top];
    },

    /** After it. */
    restore() {
      if (held) hold(...held, FRAMES);
      held = undefined;
    },

    /** Nothing is to be held. */
    drop() {
      held = undefined;
    },
  };
}
