// The message list. Updates the DOM to match the conversation with as few changes as possible, and stays scrolled to
// the newest message unless the user has scrolled away. Shows plain text; the bundle message.js has the rest and the
// style.

import { load } from './client/bundle.js';
import { button, element, notLoaded } from './dom.js';

/** @typedef {import('./conversation.js').Message} Message */
/**
 * @typedef {object} Row
 * @property {HTMLLIElement} item
 * @property {HTMLElement} author for screen readers; of a gap, what is shown
 * @property {HTMLElement} bubble
 * @property {Text} content
 * @property {HTMLElement} meta
 * @property {Message} message
 * @property {string} seen which changes the row was last rendered from
 * @property {string} rendered what its state and time were last rendered from
 */

const NEAR_END_PX = 80;
const GROUP_MS = 120_000;
/** How many messages are shown at first. window.js shows others as the user scrolls. */
const LIMIT = 300;

/**
 * @param {import('./texts.js').Texts} texts
 * @param {import('./view.js').Actions} actions
 */
export function createMessageList(texts, actions) {
  const list = element('ol', { part: 'messages' });
  const empty = element(
    'div',
    { class: 'empty' },
    texts.bind(element('strong', {}), 'emptyTitle'),
    texts.bind(element('span', {}), 'emptyText'),
  );
  // No live region, which would read out every piece of a streamed answer. message.js does that better.
  const log = { part: 'log', role: 'group', tabindex: '0' };
  const scroller = texts.bind(element('div', log, empty, list), 'heading', 'aria-label');
  const body = element('div', { class: 'body' }, scroller);
  /** @type {Map<string, Row>} */
  const rows = new Map();
  let isAtEnd = true;
  /** Whether the newest message has a row. */
  let hasNewest = true;
  /** Whether unsent messages are being sent, or wait for a connection. */
  let isOnline = false;
  /** @type {readonly Message[]} */
  let shown = [];
  /** Undefined: not loaded yet. @type {import('./message/module.js').Extras | undefined} */
  let extras;
  let isLoading = false;
  /** What is still to be read out. @type {Message[]} */
  const unheard = [];

  scroller.onscroll = () => {
    isAtEnd = hasNewest && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END_PX;
  };
  // A growing composer shrinks the list.
  new ResizeObserver(stick).observe(scroller);

  function scrollToEnd() {
    isAtEnd = true;
    if (!hasNewest) update(shown, isOnline);
    scroller.scrollTop = scroller.scrollHeight;
  }

  /** Stays with the newest message, unless the user has scrolled away from it. */
  function stick() {
    if (isAtEnd) scrollToEnd();
  }

  function loadExtras() {
    isLoading = true;
    void load('./message.js', () => import('./message/module.js')).then(
      ({ createExtras }) => {
        const { place, onForm, older } = actions;
        extras = createExtras(
          scroller,
          list,
          scrollToEnd,
          stick,
          () => isAtEnd,
          () => update(shown, isOnline),
          place,
          onForm,
          older,
        );
        update(shown, isOnline);
        readOut();
      },
      () => scroller.append(notLoaded(texts.strings, loadExtras)),
    );
  }

  /** @param {Message} [message] that is complete now */
  function readOut(message) {
    if (message) unheard.push(message);
    if (extras) for (const next of unheard.splice(0)) extras.readOut(next, texts.strings.assistant);
  }

  /** @param {Message} message */
  function rowOf(message) {
    const { key, role } = message;
    let row = rows.get(key);
    if (!row) {
      const isGap = role === 'gap';
      const content = document.createTextNode('');
      const author = element('span', { class: isGap ? '' : 'sr-only' });
      const bubble = element('div', { part: 'bubble', dir: 'auto' }, content);
      const meta = element('div', { part: 'meta' });
      const item = isGap
        ? element('li', { part: 'gap' }, author)
        : element('li', { part: `message ${role}` }, author, bubble, meta);
      row = { item, author, bubble, content, meta, message, seen: '', rendered: '' };
      rows.set(key, row);
    }
    return row;
  }

  /**
   * @param {Row} row
   * @param {Message} message
   * @param {Message | undefined} before
   * @param {Message | undefined} after
   */
  function render(row, message, before, after) {
    const { content } = row;
    const { text, time, state, role, problem } = message;
    // A growing text is appended to, so the user's selection in it survives.
    if (text.startsWith(content.data)) content.appendData(text.slice(content.length));
    else content.data = text;

    const { strings, version } = texts;
    const isJoined = before?.role === role && time - before.time < GROUP_MS;
    const isSettled = state === 'done' || state === 'sent';
    const endsGroup = !isSettled || after?.role !== role || after.time - time > GROUP_MS;
    // Nothing but unsent messages depends on the connection, and a button that is replaced loses the focus.
    const isSending = state === 'sending' && isOnline;
    const rendered = [state, endsGroup, isJoined, time, problem, isSending, version].join();
    if (rendered === row.rendered) return;
    row.rendered = rendered;
    row.item.dataset.state = state;
    row.item.classList.toggle('joined', isJoined);
    row.author.textContent = role === 'gap' ? strings.gap : `${role === 'user' ? strings.you : strings.assistant}: `;
    row.meta.hidden = !endsGroup;
    row.meta.replaceChildren(...metaOf(message));
  }

  /**
   * @param {Message} message
   * @returns {(Node | string)[]}
   */
  function metaOf({ key, text, state, problem, time }) {
    const { strings } = texts;

    /** @param {'retry' | 'cancel'} action its name is also that of its text and part */
    const actionOf = (action) => {
      const node = button(action);
      node.append(strings[action]);
      node.onclick = () => actions[action](key, text);
      return [' · ', node];
    };

    if (state === 'sending') return [isOnline ? strings.sending : strings.waiting, ...actionOf('cancel')];
    if (state === 'stalled') return [strings.stalled];
    if (state === 'streaming') return [];
    if (state === 'failed')
      return [strings.failed + (problem ? `: ${problem}` : ''), ...actionOf('retry'), ...actionOf('cancel')];
    return [texts.clock?.format(time) + (state === 'sent' ? ` · ${strings.sent}` : '')];
  }

  /**
   * @param {readonly Message[]} all
   * @param {boolean} isConnected
   */
  function update(all, isConnected) {
    isOnline = isConnected;
    shown = all;
    const [start, end] = extras?.range(all) ?? [Math.max(0, all.length - LIMIT), all.length];
    const messages = all.slice(start, end);
    hasNewest = end === all.length;
    isAtEnd &&= hasNewest;
    empty.hidden = messages.length > 0;
    // Not for those who have not signed in.
    if ((isConnected || messages[0]) && !isLoading) loadExtras();
    // Before others come, so that those that stay need not move.
    const kept = new Set(messages.map(({ key }) => key));
    for (const [key, { item, bubble, message }] of rows) {
      if (kept.has(key)) continue;
      item.remove();
      // What the user has filled in is there when they scroll back.
      if (message.form && all.includes(message)) continue;
      rows.delete(key);
      extras?.drop(bubble);
    }
    let next = list.firstChild;
    messages.forEach((message, i) => {
      const { role, change } = message;
      const row = rowOf(message);
      const [before, after] = [all[start + i - 1], all[start + i + 1]];
      // There may be thousands, and most are as they were.
      const seen = `${before?.change} ${change} ${after?.change} ${texts.version} ${isOnline} ${!extras}`;
      if (seen !== row.seen) {
        row.seen = seen;
        render(row, message, before, after);
        if (role !== 'gap')
          extras?.draw(message, before, row.item, row.bubble, row.content, texts.strings, texts.language);
      }
      if (row.item === next) next = next.nextSibling;
      else list.insertBefore(row.item, next);
    });
    stick();
    extras?.settle(all, start);
  }

  return {
    body,
    scrollToEnd,
    stick,
    update,
    readOut,
  };
}
