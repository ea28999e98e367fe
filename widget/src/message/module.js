// The bundle `message.js`: what a message has besides plain text, and its style. Loaded with the stream. Until then,
// and if that fails, messages are plain text. A bundle of its own: names of what it gets and gives are not shortened.

import { load } from '../client/bundle.js';
import { button, element, notLoaded } from '../dom.js';
import { createActions } from './action.js';
import { attachmentList } from './attachment.js';
import css from './style.css';
import { showMarkdown } from './render.js';
import { MESSAGE_STRINGS } from './strings.js';
import { createReader } from './reader.js';
import { createUnread } from './unread.js';

/**
 * @typedef {import('../conversation.js').Message} Message
 * @typedef {import('../strings.js').Strings} Strings
 * @typedef {NonNullable<ReturnType<typeof createExtras>>} Extras
 */

/** @type {CSSStyleSheet | undefined} */
let sheet;

/**
 * The first message of a day has that above it.
 * @param {number} time
 * @param {number | undefined} before time of the message before it
 * @param {HTMLElement} item
 * @param {string | undefined} language
 */
function showDay(time, before, item, language) {
  const date = new Date(time);
  const existing = item.querySelector('.day');
  if (before !== undefined && new Date(before).toDateString() === date.toDateString()) {
    existing?.remove();
    return;
  }
  const day = existing ?? element('div', { part: 'day' });
  day.textContent = date.toLocaleDateString(language, { weekday: 'long', day: 'numeric', month: 'long' });
  item.prepend(day);
}

/**
 * @param {HTMLElement} scroller
 * @param {HTMLElement} list in it
 * @param {() => void} scrollToEnd
 * @param {() => void} stick stays with the newest message
 * @param {() => boolean} isAtEnd whether the newest message is in view
 * @param {() => void} refresh
 * @param {() => string} place of the conversation: edge, channel and user
 * @param {(event: { type: string, data: unknown }) => Promise<unknown>} send
 * @param {import('../window/earlier.js').Ask} older asks for earlier messages
 */
export function createExtras(scroller, list, scrollToEnd, stick, isAtEnd, refresh, place, send, older) {
  const root = list.getRootNode();
  // Another channel or edge was set meanwhile, and another list took its place.
  if (!(root instanceof ShadowRoot)) return undefined;
  const { host } = root;
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
  }
  if (!root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets.push(sheet);
  const region = element('div', { class: 'sr-only', role: 'status' });
  const latest = button('latest');
  latest.hidden = true;
  latest.onclick = () => {
    scrollToEnd();
    // The button goes.
    scroller.focus();
  };
  const reading = element('div', { class: 'sr-only', role: 'status' });
  const reader = createReader(reading);
  scroller.after(latest, region, reading);

  /** @type {Partial<Strings> | undefined} */
  let given;
  let strings = MESSAGE_STRINGS;
  /** @type {readonly Message[]} */
  let messages = [];
  /** @type {WeakMap<Message, HTMLElement>} */
  const items = new WeakMap();
  /** @type {WeakMap<Element, Message>} */
  const shown = new WeakMap();
  /** Where the Markdown of a bubble is shown. @type {WeakMap<HTMLElement, HTMLElement>} */
  const places = new WeakMap();
  /**
   * What the list of files of a bubble was made from, and it.
   * @type {WeakMap<HTMLElement, [unknown, string, HTMLElement?]>}
   */
  const files = new WeakMap();
  /** The answer that the form of a bubble is shown with; true: none. @type {WeakMap<HTMLElement, unknown>} */
  const asked = new WeakMap();
  /** Undefined: there was none yet. @type {typeof import('../form/module.js') | undefined} */
  let forms;
  /** Undefined: the user has not scrolled back. @type {import('../window/module.js').Window | undefined} */
  let part;
  /** @type {Promise<void> | undefined} */
  let loading;
  /** Whether there was ever more than is shown. */
  let isPart = false;

  /** The texts that a form is shown with. @type {WeakMap<HTMLElement, Strings>} */
  const told = new WeakMap();

  const actions = createActions(
    list,
    (item) => shown.get(item),
    () => strings,
    (text) => {
      region.textContent = text;
    },
    send,
  );
  const unread = createUnread(place, (message) => items.get(message), showCount);

  // Code, forms and files make a message grow after it was added.
  new ResizeObserver(() => {
    stick();
    settleUnread();
  }).observe(list);
  scroller.addEventListener('scroll', () => {
    latest.hidden = isAtEnd();
    settleUnread();
    if (!isAtEnd()) void loadWindow();
  });
  // What has too few messages to scroll may have earlier ones, too.
  for (const type of ['wheel', 'touchmove', 'keydown'])
    scroller.addEventListener(type, onInput, { passive: type !== 'keydown' });

  /** @param {Event} event */
  function onInput(event) {
    const { target, key, altKey, ctrlKey, metaKey, shiftKey } = /** @type {KeyboardEvent} */ (event);
    const isPlain = target === scroller && !altKey && !ctrlKey && !metaKey && !shiftKey;
    const plain = isPlain ? key : undefined;
    if (part) {
      if (part.onInput(plain)) event.preventDefault();
    } else if (messages[0] && (plain || scroller.scrollHeight <= scroller.clientHeight))
      void loadWindow().then(() => part?.onInput(plain));
  }

  function loadWindow() {
    return (loading ??= load('./window.js', () => import('../window/module.js')).then(
      ({ createWindow }) => {
        part = createWindow({
          scroller,
          list,
          isAtEnd,
          scrollToEnd,
          refresh,
          itemOf: (message) => items.get(message),
          messageOf: (item) => shown.get(item),
          leadTo: actions.leadTo,
          ask: older,
        });
        refresh();
        if (!isAtEnd()) part.browse();
      },
      () => {
        // The user may scroll again.
        loading = undefined;
      },
    ));
  }

  /** Tells assistive technology which of all the messages are shown. @param {number} start */
  function number(start) {
    const rows = list.children;
    isPart ||= rows.length < messages.length;
    if (!isPart) return;
    const size = String(messages.length);
    for (const [i, row] of [...rows].entries()) {
      const position = String(start + i + 1);
      if (row.getAttribute('aria-posinset') !== position) row.setAttribute('aria-posinset', position);
      if (row.getAttribute('aria-setsize') !== size) row.setAttribute('aria-setsize', size);
    }
  }

  /** @param {number} count */
  function showCount(count) {
    if (count) latest.dataset.unread = count > 99 ? '99+' : String(count);
    else delete latest.dataset.unread;
    host.dispatchEvent(new CustomEvent('chat-unread', { detail: { count }, bubbles: true, composed: true }));
  }

  function settleUnread() {
    const isVisible = !document.hidden && scroller.checkVisibility() && isAtEnd();
    unread.settle(messages, isVisible, strings.unread);
  }

  /**
   * @param {Message} message
   * @param {HTMLElement} bubble
   * @param {string | undefined} language
   */
  async function showForm(message, bubble, language) {
    const bundle = await load('./form.js', () => import('../form/module.js')).catch(() => undefined);
    // Removed meanwhile.
    if (!asked.has(bubble)) return;
    forms = bundle;
    if (forms) forms.renderInBubble(bubble, message, { strings: given, locale: language, onSubmit: send });
    else bubble.append(notLoaded(given ?? {}, () => void showForm(message, bubble, language)));
  }

  return {
    /**
     * Before the rows change.
     * @param {readonly Message[]} all
     * @returns {[number, number] | undefined} first to be shown, and the one after the last; undefined: the newest
     */
    range: (all) => part?.range(all),

    /**
     * Shows a message that is new or has changed.
     * @param {Message} message
     * @param {Message | undefined} before it
     * @param {HTMLElement} item
     * @param {HTMLElement} bubble
     * @param {Text} content its text, which is up to date
     * @param {Strings} texts
     * @param {string | undefined} language
     */
    draw(message, before, item, bubble, content, texts, language) {
      const { role, text, state, form, answer = true, attachments } = message;
      if (texts !== given) {
        given = texts;
        strings = { ...MESSAGE_STRINGS, ...texts };
      }
      items.set(message, item);
      shown.set(item, message);
      showDay(message.time, before?.time, item, language);
      if (role === 'assistant') {
        const markdown = places.get(bubble) ?? element('div', { class: 'rich' });
        places.set(bubble, markdown);
        const isRich = showMarkdown(markdown, text, state === 'streaming', strings);
        if (isRich && content.parentNode) content.replaceWith(markdown);
        else if (!isRich && markdown.parentNode) markdown.replaceWith(content);
      }
      const [source, label, old] = files.get(bubble) ?? [];
      if (source !== attachments || label !== strings.files) {
        old?.remove();
        const node = attachmentList(attachments, strings.files, language);
        files.set(bubble, [attachments, strings.files, node]);
        if (node) bubble.append(node);
      }
      if (form && (asked.get(bubble) !== answer || told.get(bubble) !== texts)) {
        asked.set(bubble, answer);
        told.set(bubble, texts);
        void showForm(message, bubble, language);
      }
      if (text && (state === 'done' || state === 'sent')) actions.add(item, message);
    },

    /** @param {Message} message @param {string} author what assistants are called */
    readOut: (message, author) => reader.read(author, message),

    /** A message goes. @param {HTMLElement} bubble */
    drop(bubble) {
      asked.delete(bubble);
      forms?.removeFromBubble(bubble);
    },

    /** The list is up to date. @param {readonly Message[]} current @param {number} start the first that is shown */
    settle(current, start) {
      messages = current;
      if (!current[0]) reader.reset();
      latest.setAttribute('aria-label', strings.latest);
      number(start);
      part?.settle(strings);
      actions.settle();
      settleUnread();
    },
  };
}
