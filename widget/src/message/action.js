// What a user can do with a message: copy it, or a block of code in it, and delete what they have written, if the page
// allows that (`deletable`). Of all the messages' buttons one is a stop of the tab key, and the arrow keys lead from it
// to the others: nobody should have to tab through thousands.

import { button, element } from '../dom.js';

/** @typedef {import('../conversation.js').Message} Message */

const COPIED_MS = 2_000;
const CONFIRM_MS = 5_000;
/** If the backend deletes nothing, the message is shown as before. */
const DELETE_MS = 10_000;

/**
 * @param {HTMLElement} list of messages
 * @param {(item: Element) => Message | undefined} messageOf
 * @param {() => import('./strings.js').MessageStrings} strings
 * @param {(text: string) => void} say to screen readers
 * @param {(event: { type: string, data: unknown }) => Promise<unknown>} send
 */
export function createActions(list, messageOf, strings, say, send) {
  const root = /** @type {ShadowRoot} */ (list.getRootNode());
  /** The button that the tab key leads to. @type {HTMLElement | undefined} */
  let stop;

  /** @param {HTMLElement} next */
  function moveStop(next) {
    if (stop) stop.tabIndex = -1;
    next.tabIndex = 0;
    stop = next;
  }

  /**
   * @param {HTMLElement} node
   * @param {string} text
   * @param {Element} source of the text
   */
  async function copy(node, text, source) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A frame may not be allowed to. The user then copies what is selected.
      getSelection()?.selectAllChildren(source);
      return;
    }
    say(strings().copied);
    const isText = node.matches('.copy');
    if (isText) node.textContent = strings().copied;
    node.classList.add('copied');
    setTimeout(() => {
      if (isText) node.textContent = strings().copy;
      node.classList.remove('copied');
    }, COPIED_MS);
  }

  /** The first click asks, the second deletes. @param {HTMLElement} node @param {Element} item */
  async function remove(node, item) {
    if (!node.classList.contains('confirm')) {
      node.classList.add('confirm');
      label(node, strings().confirmDelete);
      setTimeout(() => {
        node.classList.remove('confirm');
        label(node, strings().deleteMessage);
      }, CONFIRM_MS);
      return;
    }
    item.classList.add('deleting');
    try {
      await send({ type: 'delete', data: { id: messageOf(item)?.id } });
      await new Promise((resolve) => {
        setTimeout(resolve, DELETE_MS);
      });
    } catch {
      say(strings().notDeleted);
    }
    item.classList.remove('deleting');
  }

  list.addEventListener('click', ({ target }) => {
    const node = target instanceof Element ? target.closest('button') : null;
    const item = node?.closest('.message');
    const bubble = item?.querySelector('.bubble');
    if (!node || !item || !bubble) return;
    const code = node.closest('.code')?.querySelector('code');
    if (node.matches('.copy') && code) void copy(node, code.textContent ?? '', code);
    if (node.matches('.copy-message')) void copy(node, messageOf(item)?.text ?? '', bubble);
    if (node.matches('.delete-message')) void remove(node, item);
  });

  list.addEventListener('keydown', (event) => {
    const { target, key } = event;
    if (!(target instanceof HTMLElement) || !target.matches('.actions > *')) return;
    const next = /^Arrow(Up|Down)$/.test(key) ? neighbour(target, key === 'ArrowUp' ? -1 : 1) : sibling(target, key);
    if (!next) return;
    event.preventDefault();
    moveStop(next);
    next.focus();
  });

  /**
   * The same button of the message before or after, or its first one.
   * @param {HTMLElement} node
   * @param {number} step
   */
  function neighbour(node, step) {
    const all = /** @type {HTMLElement[]} */ ([...list.querySelectorAll('.actions')]);
    const next = all[all.indexOf(/** @type {HTMLElement} */ (node.parentElement)) + step];
    return /** @type {HTMLElement | null | undefined} */ (
      next?.querySelector(`.${node.getAttribute('part')}`) ?? next?.firstElementChild
    );
  }

  return {
    /**
     * Adds the buttons to a message that is complete.
     * @param {HTMLElement} item
     * @param {Message} message
     */
    add(item, { role, id }) {
      let actions = item.querySelector('.actions');
      if (!actions) item.append((actions = element('div', { part: 'actions' })));
      const names = [];
      // Browsers let pages copy in secure contexts only.
      if (navigator.clipboard) names.push('copy-message');
      if (role === 'user' && id !== null && root.host.hasAttribute('deletable')) names.push('delete-message');
      else actions.querySelector('.delete-message')?.remove();
      for (const name of names) {
        let node = /** @type {HTMLElement | null} */ (actions.querySelector(`.${name}`));
        if (!node) {
          node = button(name);
          node.tabIndex = -1;
          actions.append(node);
        }
        label(node, name === 'copy-message' ? strings().copyMessage : strings().deleteMessage);
      }
    },

    /** The tab key leads to that message next. @param {Element} item */
    leadTo(item) {
      /** @type {HTMLElement | null} */
      const first = item.querySelector('.actions > *');
      if (first) moveStop(first);
    },

    /** The list has changed: the newest message's button is the stop, unless one has the focus. */
    settle() {
      if (root.activeElement?.matches('.actions > *')) return;
      /** @type {HTMLElement | null | undefined} */
      const last = list.lastElementChild?.querySelector('.actions > *');
      if (last) moveStop(last);
    },
  };
}

/** @param {Element} node @param {string} key */
function sibling(node, key) {
  const isBefore = key === (getComputedStyle(node).direction === 'rtl' ? 'ArrowRight' : 'ArrowLeft');
  if (!isBefore && !/^Arrow(Left|Right)$/.test(key)) return undefined;
  return /** @type {HTMLElement | null} */ (isBefore ? node.previousElementSibling : node.nextElementSibling);
}

/** @param {Element} node @param {string} text */
function label(node, text) {
  node.setAttribute('aria-label', text);
  node.setAttribute('title', text);
}
