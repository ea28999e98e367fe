// The widget's face: header, message list, composer, sign-in panel. Holds no decision of its own; it shows what it is
// told and reports what a person does.

import { Announcer } from './announcer.js';
import { Composer } from './composer.js';
import { element, icon } from './dom.js';
import { Log } from './log.js';

/**
 * @typedef {object} Actions
 * @property {(text: string) => boolean} send
 * @property {(key: string) => void} retry
 * @property {() => void} signOut
 * @property {() => void} signIn the person leaves for the identity provider
 *
 * @typedef {{ title: string, text: string, links: { href: () => string, text: string, isElsewhere?: boolean }[] }} Door
 *   isElsewhere: opens in a window of its own, and this one stays
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
  #frame = 0;
  #door = '';
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
    this.log = new Log(strings, language, actions.retry);
    this.composer = new Composer(strings, actions.send);
    this.announcer = new Announcer(strings.newMessages);
    this.#signOut = element('button', { type: 'button', part: 'sign-out' }, strings.signOut);
    this.#signOut.onclick = () => actions.signOut();
    this.#body = element('div', { class: 'body' }, this.log.scroller, this.log.latest);
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

  /** Nobody knows yet who is there. */
  showNothing() {
    this.#arrange(false, false);
  }

  /** @param {string} name of who is signed in */
  showChat(name) {
    this.#door = '';
    // No frame is drawn while the window is hidden: what another left must not stand under this name until then.
    this.log.update([]);
    this.#name.textContent = this.#name.title = name;
    this.#arrange(true, false);
  }

  /** @param {Door} door */
  showDoor({ title, text, links }) {
    const door = JSON.stringify([title, text, links]);
    if (door === this.#door) return;
    this.#door = door;
    const hadFocus = this.#root.activeElement !== null;
    this.#panel.replaceChildren(
      element('span', { part: 'mark' }, icon(BUBBLE)),
      element('h3', {}, title),
      element('p', {}, text),
      ...links.map(({ href, text: label, isElsewhere }) => {
        // From a page that it cannot tell the edge asks first; and pages may keep their address to themselves.
        const link = element('a', { href: href(), part: 'sign-in-link', referrerpolicy: 'strict-origin' }, label);
        if (isElsewhere) link.target = '_blank';
        else
          link.onclick = () => {
            link.href = href();
            this.#actions.signIn();
          };
        return link;
      }),
    );
    this.#arrange(false, true);
    // What had the focus is gone; without this the keyboard would start over at the top of the page.
    if (hadFocus) this.#panel.focus();
  }

  /** @param {string} text what the person at the keyboard should know before writing on; empty for nothing */
  showNote(text) {
    this.#note.textContent = text;
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
    this.log.online = state === 'online';
    this.showMessages(this.#messages);
  }

  /**
   * At most once a frame, however many records arrive.
   * @param {readonly import('./conversation.js').Message[]} messages
   */
  showMessages(messages) {
    this.#messages = messages;
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.log.update(this.#messages);
    });
  }

  /**
   * @param {boolean} chat
   * @param {boolean} door
   */
  #arrange(chat, door) {
    this.#body.hidden = this.composer.form.hidden = this.#name.hidden = this.#signOut.hidden = !chat;
    this.#panel.hidden = !door;
    this.showNote('');
  }
}
