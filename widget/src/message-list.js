// The message list. Updates the DOM to match the conversation with as few changes as possible, and stays scrolled to
// the newest message unless the user has scrolled away.

import { load } from './client/bundle.js';
import { button, element, notLoaded } from './dom.js';

/** @typedef {import('./conversation.js').Message} Message */
/**
 * @typedef {object} Row
 * @property {HTMLLIElement} item
 * @property {HTMLElement} day
 * @property {HTMLElement} author for screen readers; of a gap, what is shown
 * @property {HTMLElement} bubble
 * @property {Text} content
 * @property {HTMLElement} meta
 * @property {unknown} [shown] the answer that the form is shown with; true: none; undefined: there is no form
 * @property {string} rendered what the row was last rendered from, except its text
 */

const NEAR_END_PX = 80;
const GROUP_MS = 120_000;
/** Loaded when the first form arrives. */
const FORM_BUNDLE = './form.js';

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
  // No live region, which would read out every piece of a streamed answer. The announcer does that better.
  const log = { part: 'log', role: 'group', tabindex: '0' };
  const scroller = texts.bind(element('div', log, empty, list), 'heading', 'aria-label');
  const latest = texts.bind(button('latest'), 'latest', 'aria-label');
  const body = element('div', { class: 'body' }, scroller, latest);
  /** @type {Map<string, Row>} */
  const rows = new Map();
  let isAtEnd = true;
  /** Whether unsent messages are being sent, or wait for a connection. */
  let isOnline = false;

  latest.hidden = true;
  latest.onclick = () => {
    scrollToEnd();
    // The button goes.
    scroller.focus();
  };
  scroller.onscroll = () => {
    isAtEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END_PX;
    latest.hidden = isAtEnd;
  };
  // A growing composer shrinks the list.
  new ResizeObserver(stick).observe(scroller);

  function scrollToEnd() {
    isAtEnd = true;
    scroller.scrollTop = scroller.scrollHeight;
  }

  /** Stays with the newest message, unless the user has scrolled away from it. */
  function stick() {
    if (isAtEnd) scrollToEnd();
  }

  /** @param {Message} message */
  function rowOf({ key, role }) {
    let row = rows.get(key);
    if (!row) {
      const isGap = role === 'gap';
      const content = document.createTextNode('');
      const day = element('div', { class: 'day' });
      const author = element('span', { class: isGap ? '' : 'sr-only' });
      const bubble = element('div', { part: 'bubble', dir: 'auto' }, content);
      const meta = element('div', { part: 'meta' });
      const item = isGap
        ? element('li', { part: 'gap' }, author)
        : element('li', { part: `message ${role}` }, day, author, bubble, meta);
      row = { item, day, author, bubble, content, meta, rendered: '' };
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
    const { text, time, state, role, problem, form, answer = true } = message;
    // A growing text is appended to, so the user's selection in it survives.
    if (text.startsWith(content.data)) content.appendData(text.slice(content.length));
    else content.data = text;

    if (form && row.shown !== answer) {
      row.shown = answer;
      void showForm(row, message);
    }

    const date = new Date(time);
    const { strings, language, version } = texts;
    const startsDay = !before || new Date(before.time).toDateString() !== date.toDateString();
    const isJoined = !startsDay && before.role === role;
    const isSettled = state === 'done' || state === 'sent';
    const endsGroup = !isSettled || after?.role !== role || after.time - time > GROUP_MS;
    // Nothing but unsent messages depends on the connection, and a button that is replaced loses the focus.
    const isSending = state === 'sending' && isOnline;
    const rendered = [state, startsDay, endsGroup, isJoined, time, problem, isSending, version].join();
    if (rendered === row.rendered) return;
    row.rendered = rendered;
    row.item.dataset.state = state;
    row.item.classList.toggle('joined', isJoined);
    row.author.textContent = role === 'gap' ? strings.gap : `${role === 'user' ? strings.you : strings.assistant}: `;
    row.day.hidden = !startsDay;
    row.day.textContent = date.toLocaleDateString(language, { weekday: 'long', day: 'numeric', month: 'long' });
    row.meta.hidden = !endsGroup;
    row.meta.replaceChildren(...metaOf(message, date));
  }

  /**
   * @param {Row} row
   * @param {Message} message
   */
  async function showForm(row, message) {
    const bundle = await load(FORM_BUNDLE, () => import(FORM_BUNDLE)).catch(() => undefined);
    // Removed meanwhile.
    if (rows.get(message.key) !== row) return;
    const { strings, language: locale } = texts;
    if (bundle) bundle.renderInBubble(row.bubble, message, { strings, locale, onSubmit: actions.onForm });
    else row.bubble.append(notLoaded(strings, () => void showForm(row, message)));
    stick();
  }

  /**
   * @param {Message} message
   * @param {Date} date
   * @returns {(Node | string)[]}
   */
  function metaOf({ key, state, problem }, date) {
    const { strings, language } = texts;

    /** @param {'retry' | 'cancel'} action its name is also that of its text and part */
    const actionOf = (action) => {
      const node = button(action);
      node.append(strings[action]);
      node.onclick = () => actions[action](key);
      return [' · ', node];
    };

    if (state === 'sending') return [isOnline ? strings.sending : strings.waiting, ...actionOf('cancel')];
    if (state === 'stalled') return [strings.stalled];
    if (state === 'streaming') return [];
    if (state === 'failed') return [strings.failed + (problem ? `: ${problem}` : ''), ...actionOf('retry')];
    return [date.toLocaleTimeString(language, { timeStyle: 'short' }) + (state === 'sent' ? ` · ${strings.sent}` : '')];
  }

  return {
    body,
    scrollToEnd,
    stick,

    /**
     * @param {readonly Message[]} messages
     * @param {boolean} isConnected
     */
    update(messages, isConnected) {
      isOnline = isConnected;
      const removed = new Set(rows.keys());
      empty.hidden = messages.length > 0;
      let next = list.firstChild;
      messages.forEach((message, i) => {
        removed.delete(message.key);
        const row = rowOf(message);
        render(row, message, messages[i - 1], messages[i + 1]);
        if (row.item === next) next = next.nextSibling;
        else list.insertBefore(row.item, next);
      });
      for (const key of removed) {
        rows.get(key)?.item.remove();
        rows.delete(key);
      }
      stick();
    },
  };
}
