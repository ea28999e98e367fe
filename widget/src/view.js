// The visible widget: header, message list, composer, sign-in panel. Makes no decisions: it renders what it is given
// and reports what the user does.

import { Announcer } from './announcer.js';
import { Composer } from './composer.js';
import { element, icon } from './dom.js';
import { MessageList } from './message-list.js';

/**
 * @typedef {object} Actions
 * @property {(text: string) => boolean} send
 * @property {(key: string) => void} retry
 * @property {() => void} signOut
 * @property {() => void} signIn the user is about to go to the identity provider
 *
 * @typedef {{ href: () => string, text: string, isNewWindow?: boolean, title?: string }} Link
 *   isNewWindow: the link opens a new window, and this one stays
 *   title: of a link to another account, its provider
 *
 * @typedef {{ title: string, text: string, links: Link[] }} SignIn
 */

const BUBBLE = 'M5 5h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-7l-5 4v-4H5a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2z';

export class View {
  #actions;
  #root;
  #status = element('span', { part: 'status' });
  #name = element('span', { part: 'name' });
  #signOut;
  #note = element('p', { part: 'note', role: 'status' });
  #panel = element('div', { part: 'sign-in', tabindex: '-1' });
  #body;
  #messageList;
  #frame = 0;
  #signInShown = '';
  /** @type {readonly import('./conversation.js').Message[]} */
  #messages = [];

  /**
   * @param {ShadowRoot} root
   * @param {import('./strings.js').Strings} strings
   * @param {string | undefined} language
   * @param {Actions} actions
   */
  constructor(root, strings, language, actions) {
    this.#actions = actions;
    this.#root = root;
    this.#messageList = new MessageList(strings, language, actions.retry);
    this.composer = new Composer(strings, actions.send);
    this.announcer = new Announcer(strings.newMessages);
    this.#signOut = element('button', { type: 'button', part: 'sign-out' }, strings.signOut);
    this.#signOut.onclick = () => actions.signOut();
    this.#body = element('div', { class: 'body' }, this.#messageList.scroller, this.#messageList.latest);
    this.shell = element(
      'section',
      { part: 'shell', 'aria-label': strings.heading },
      element(
        'header',
        { part: 'header' },
        element('span', { part: 'mark' }, icon(BUBBLE)),
        element(
          'div',
          { class: 'title' },
          element('h2', { part: 'heading' }, strings.heading),
          element('p', {}, this.#status, this.#name),
        ),
        this.#signOut,
      ),
      this.#body,
      this.#note,
      this.composer.form,
      this.#panel,
      this.announcer.region,
    );
  }

  connect() {
    this.#root.append(this.shell);
    this.showNothing();
  }

  disconnect() {
    cancelAnimationFrame(this.#frame);
    this.announcer.disconnect();
    this.shell.remove();
  }

  /** Until it is known who is signed in. */
  showNothing() {
    this.#arrange(false, false);
  }

  /** @param {string} name of the user */
  showChat(name) {
    this.#signInShown = '';
    // Emptied at once: while the window is hidden no frame is drawn, and the previous user's messages would stay under
    // this name.
    this.#messageList.update([]);
    this.#name.textContent = this.#name.title = name;
    this.#arrange(true, false);
  }

  /** @param {SignIn} signIn */
  showSignIn({ title, text, links }) {
    const shown = JSON.stringify([title, text, links]);
    if (shown === this.#signInShown) return;
    this.#signInShown = shown;
    const hadFocus = this.#root.activeElement !== null;
    this.#panel.replaceChildren(
      element('span', { part: 'mark' }, icon(BUBBLE)),
      element('h3', {}, title),
      element('p', {}, text),
      ...links.map(({ href, text: label, isNewWindow, title: hint = '' }) => {
        // The edge asks for confirmation if it does not know the page a sign-in comes from, and the page's own policy
        // may withhold its origin.
        const part = hint ? 'other-account' : 'sign-in-link';
        const link = element('a', { href: href(), part, referrerpolicy: 'strict-origin', title: hint }, label);
        if (isNewWindow) link.target = '_blank';
        else
          link.onclick = () => {
            link.href = href();
            this.#actions.signIn();
          };
        return link;
      }),
    );
    this.#arrange(false, true);
    // The focused element is gone. Keyboard users would otherwise start again at the top of the page.
    if (hadFocus) this.#panel.focus();
  }

  /** @param {string} text shown above the input field; empty to remove the note */
  showNote(text) {
    this.#note.textContent = text;
  }

  showLatest() {
    this.#messageList.scrollToEnd();
  }

  /**
   * @param {string} state
   * @param {string} text
   */
  showStatus(state, text) {
    if (this.#status.textContent === text) return;
    this.#status.className = `status ${state}`;
    this.#status.textContent = text;
    this.announcer.notice(text);
    this.#messageList.online = state === 'online';
    this.showMessages(this.#messages);
  }

  /**
   * Renders at most once per frame, however many records arrive.
   * @param {readonly import('./conversation.js').Message[]} messages
   */
  showMessages(messages) {
    this.#messages = messages;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#messageList.update(this.#messages);
    });
  }

  /**
   * @param {boolean} isChat
   * @param {boolean} isSignIn
   */
  #arrange(isChat, isSignIn) {
    this.#body.hidden = this.composer.form.hidden = this.#name.hidden = this.#signOut.hidden = !isChat;
    this.#panel.hidden = !isSignIn;
    this.showNote('');
  }
}
