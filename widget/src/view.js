// The visible widget: header, message list, composer, sign-in panel. Makes no decisions: it renders what it is given
// and reports what the user does.

import { createAnnouncer } from './announcer.js';
import { createComposer } from './composer.js';
import { button, element } from './dom.js';
import { createMessageList } from './message-list.js';

/**
 * @typedef {object} Actions
 * @property {(text: string) => void} submit
 * @property {(key: string, text: string) => void} retry a message that failed
 * @property {(key: string) => void} cancel a message that waits
 * @property {(event: Event) => void} onAccount the user's name was pressed, or the button to sign out
 * @property {(event: { type: string, data: unknown }) => Promise<unknown>} onForm a form was filled in
 * @property {(before: string) => Promise<import('./window/earlier.js').Page>} older asks for earlier messages
 * @property {() => string} place of the conversation: edge, channel and user
 */

/**
 * @param {ShadowRoot} root
 * @param {import('./texts.js').Texts} texts
 * @param {Actions} actions
 */
export function createView(root, texts, actions) {
  const list = createMessageList(texts, actions);
  const composer = createComposer(texts, actions.submit);
  const announcer = createAnnouncer();
  const status = element('span', { part: 'status' });
  const name = button('name');
  const note = element('p', { part: 'note', role: 'status' });
  const panel = element('div', { part: 'sign-in', tabindex: '-1' });
  const signOut = texts.bind(button('sign-out'), 'signOut');
  const chat = [list.body, composer.bar, name, signOut];
  let frame = 0;
  let isOnline = false;
  /** Whether there is as much to show as a server may have rendered. */
  let isDue = false;
  /** Listens to the page while the widget is in it. @type {AbortController | undefined} */
  let watch;
  /** @type {readonly import('./conversation.js').Message[]} */
  let messages = [];

  name.dir = 'auto';
  name.onclick = signOut.onclick = actions.onAccount;
  const header = element(
    'header',
    { part: 'header' },
    element('span', { part: 'mark' }),
    element('div', {}, texts.bind(element('h2', { part: 'heading' }), 'heading'), element('p', {}, status, name)),
    signOut,
  );
  const shell = element('section', { part: 'shell' }, header, list.body, note, composer.bar, panel, announcer.region);
  texts.bind(shell, 'direction', 'dir');
  texts.bind(shell, 'heading', 'aria-label');
  arrange(false, false);

  /** Replaces what a server has rendered, or another chat before this one. */
  function appear() {
    isDue = true;
    // Nobody sees another language before the texts are there.
    if (!texts.version || shell.isConnected) return;
    root.querySelector('section')?.remove();
    // Before a launcher, which stays.
    root.prepend(shell);
    if (!root.host.hasAttribute('compact')) root.querySelector('link')?.remove();
  }

  function render() {
    frame = 0;
    if (texts.version) keepFocus(() => list.update(messages, isOnline));
  }

  /**
   * Renders at most once per frame, however many records arrive.
   * @param {readonly import('./conversation.js').Message[]} shown
   */
  function showMessages(shown) {
    messages = shown;
    // Emptied at once: while the window is hidden no frame is drawn, and the previous user's messages would stay.
    if (!shown[0]) render();
    else frame ||= requestAnimationFrame(render);
  }

  /**
   * If the focused element goes, the focus goes to where the user types or signs in. Keyboard users would otherwise
   * start again at the top of the page.
   * @param {() => void} change
   */
  function keepFocus(change) {
    const focused = root.activeElement;
    change();
    // Where a row has gone that is still in the conversation, the log has it.
    if (!focused || root.activeElement?.checkVisibility()) return;
    if (panel.hidden) composer.focus();
    else panel.focus();
  }

  /**
   * @param {boolean} isChat
   * @param {boolean} isSignIn
   * @param {boolean} [isBar] whether the messages stay above the sign-in panel
   */
  function arrange(isChat, isSignIn, isBar = false) {
    keepFocus(() => {
      for (const part of chat) part.hidden = !isChat;
      list.body.hidden &&= !isBar;
      panel.hidden = !isSignIn;
      panel.classList.toggle('bar', isBar);
      // What is there stays until there is as much to show.
      if (isChat || panel.firstChild || !root.firstChild) appear();
    });
  }

  /** Loads again what could not be loaded. */
  function retryLoading() {
    for (const node of shell.querySelectorAll('.note button')) /** @type {HTMLElement} */ (node).click();
  }

  return {
    composer,
    readOut: list.readOut,
    showMessages,
    scrollToEnd: list.scrollToEnd,

    connect() {
      if (!watch) {
        watch = new AbortController();
        addEventListener('online', retryLoading, watch);
      }
      // The element was put into the document, which makes the browser forget how far it was scrolled.
      list.stick();
    },

    disconnect() {
      watch?.abort();
      watch = undefined;
      // Another user may be signed in when the widget comes back.
      arrange(false, false);
    },

    /** @param {string} user their name */
    showChat(user) {
      name.textContent = user;
      arrange(true, false);
    },

    /**
     * @param {Element[]} nodes what the sign-in panel has
     * @param {boolean} isBar whether the messages stay above it
     */
    showSignIn(nodes, isBar) {
      keepFocus(() => panel.replaceChildren(...nodes));
      arrange(false, true, isBar);
    },

    /** @param {string} text shown above the input field; empty to remove the note */
    showNote(text) {
      note.textContent = text;
    },

    /**
     * @param {string} state
     * @param {string} text
     */
    showStatus(state, text) {
      // Where nobody is signed in, the sign-in panel follows.
      if (isDue || !/^[cs]/.test(state)) keepFocus(appear);
      // Two states may have the same text, which is then said once.
      const isNew = status.textContent !== text;
      if (!texts.version || (!isNew && status.classList.contains(state))) return;
      status.className = `status ${state}`;
      status.textContent = text;
      if (isNew) announcer.notice(text);
      isOnline = state === 'online';
      showMessages(messages);
    },
  };
}
