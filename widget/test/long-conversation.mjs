// A long conversation for tests and measurements: messages of every kind, and a page that scrolls through them.

const START = Date.UTC(2026, 0, 2, 8);
const STEP_MS = 7 * 60_000;

/** @param {number} index @returns {string} text of that message, which begins with its number */
function textOf(index) {
  const name = `No. ${index}`;
  switch (index % 10) {
    case 2:
      return `${name} is long. ${'It has one sentence after the other, as answers of assistants have. '.repeat(9)}`;
    case 4:
      return `${name} with **code**:\n\n\`\`\`js\nfor (const lane of lanes) {\n  await report(lane, ${index});\n}\n\`\`\`\n\nThat is all.`;
    case 6:
      return `${name} has a table:\n\n| Lane | Shipments | On time |\n|---|--:|--:|\n${`| Gdańsk – Rotterdam | ${index} | 98.1 % |\n`.repeat(2 + (index % 4))}`;
    case 8:
      return `${name} has a list:\n\n1. Customs cleared it\n2. The *ferry* leaves at 14:00\n   - from Oslo\n3. [Map](https://track.example/${index})`;
    default:
      return `${name}, short`;
  }
}

/** @param {number} index */
export const eventOf = (index) => ({
  id: `m${index}`,
  type: 'message',
  channel: 'chat',
  time: new Date(START + index * STEP_MS).toISOString(),
  ...(index % 3 === 1 && { echo: /** @type {const} */ (true) }),
  data: { text: textOf(index) },
});

/**
 * @param {import('./stub-edge.mjs').StubEdge} edge
 * @param {number} from
 * @param {number} to the one after the last
 */
export function publish(edge, from, to) {
  for (let index = from; index < to; index += 1) {
    const { id, type, time, echo, data } = eventOf(index);
    edge.publish(type, data, id, echo, time);
  }
}

/**
 * @typedef {object} Ride what was seen on the way
 * @property {number} frames
 * @property {number[]} frameMs milliseconds from each to the next
 * @property {number} longestTaskMs
 * @property {number} mostRows in the document at once
 * @property {number} mostNodes in the list at once
 * @property {number} mostAdded rows added in one frame
 * @property {string[]} jumps where what was in the middle of the view did not stay where it was scrolled to
 * @property {string[]} holes where the numbers of the rows did not follow each other
 * @property {boolean} hasArrived
 */

/**
 * Runs in the page: scrolls by a step in each frame, until that message is in view.
 * @param {{ step: number, target: number, maxFrames: number }} ride
 * @returns {Promise<Ride>}
 */
export async function ride({ step, target, maxFrames }) {
  const root = /** @type {ShadowRoot} */ (document.querySelector('chat-widget')?.shadowRoot);
  const log = /** @type {HTMLElement} */ (root.querySelector('.log'));
  const list = /** @type {HTMLElement} */ (root.querySelector('.messages'));
  const numberOf = (/** @type {Element | null} */ row) =>
    Number(/No\. (\d+)/.exec(row?.querySelector('.bubble')?.textContent ?? '')?.[1] ?? NaN);
  /** @type {Ride} */
  const seen = {
    frames: 0,
    frameMs: [],
    longestTaskMs: 0,
    mostRows: 0,
    mostNodes: 0,
    mostAdded: 0,
    jumps: [],
    holes: [],
    hasArrived: false,
  };
  const tasks = new PerformanceObserver((entries) => {
    for (const { duration } of entries.getEntries()) seen.longestTaskMs = Math.max(seen.longestTaskMs, duration);
  });
  // Firefox knows no long tasks, and says so by a warning.
  if (PerformanceObserver.supportedEntryTypes.includes('longtask')) tasks.observe({ type: 'longtask' });
  let added = 0;
  const rows = new MutationObserver((records) => {
    for (const { addedNodes } of records) added += addedNodes.length;
  });
  rows.observe(list, { childList: true });

  /** @type {Element | null | undefined} */
  let row;
  let top = 0;
  let before = 0;
  while (seen.frames < maxFrames) {
    const now = await new Promise(requestAnimationFrame);
    seen.frames += 1;
    if (before) seen.frameMs.push(now - before);
    before = now;
    const moved = row?.isConnected ? row.getBoundingClientRect().top - top : 0;
    if (Math.abs(moved) > 2) seen.jumps.push(`No. ${numberOf(row ?? null)} by ${moved}`);
    seen.mostRows = Math.max(seen.mostRows, list.childElementCount);
    seen.mostAdded = Math.max(seen.mostAdded, added);
    if (added) {
      const [first, last] = [numberOf(list.firstElementChild), numberOf(list.lastElementChild)];
      // What has no number was streamed.
      if (Math.abs(last - first + 1 - list.childElementCount) > 0) seen.holes.push(`${first} to ${last}`);
      seen.mostNodes = Math.max(seen.mostNodes, list.querySelectorAll('*').length);
    }
    added = 0;
    const box = log.getBoundingClientRect();
    const edge = step < 0 ? list.firstElementChild : list.lastElementChild;
    const isShown =
      edge &&
      (step < 0 ? edge.getBoundingClientRect().top >= box.top : edge.getBoundingClientRect().bottom <= box.bottom);
    if (isShown && numberOf(edge) === target) {
      seen.hasArrived = true;
      break;
    }
    log.scrollTop += step;
    row = root.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2)?.closest('.messages > *');
    top = row?.getBoundingClientRect().top ?? 0;
  }
  tasks.disconnect();
  rows.disconnect();
  return seen;
}
