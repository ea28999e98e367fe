// One connected widget. Wires up session, stream, outbox, conversation and view, and decides what a change in one means
// for the others.

import { Conversation } from './conversation.js';
import { Edge } from './edge.js';
import { isCancelled } from './handoff.js';
import { Outbox } from './outbox.js';
import { Session } from './session.js';
import { Stream } from './stream.js';
import { fill } from './strings.js';
import { storeInTab, takeFromTab } from './tab-storage.js';
import { View } from './view.js';

/**
 * @typedef {'connecting' | 'online' | 'reconnecting' | 'offline' | 'signed-out' | 'ended'} Status
 *
 * @typedef {object} ChatOptions
 * @property {string} edge
 * @property {string} channel
 * @property {import('./strings.js').Strings} strings
 * @property {string | undefined} language
 * @property {(status: Status) => void} onStatus
 * @property {(message: { id: string, role: string, text: string }) => void} onMessage
 *
 * @typedef {Record<string, string>} Drafts unsent text of each user, by user id
 */

// A backend that crashes mid-answer sends no notice, so silence is the only sign.
const STALL_MS = 60_000;
const DRAFTS_KEY = 'chat-widget-sign-in';

export class Chat {
  #options;
  #edge;
  #view;
  #conversation = new Conversation();
  #session;
  #stream;
  #outbox;
  /** @type {AbortController | undefined} */
  #controller;
  /** @type {import('./edge.js').User | undefined} */
  #user;
  /** @type {import('./edge.js').Provider[]} */
  #providers = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #stallTimer;
  /** @type {Status | ''} */
  #status = '';
  /** @type {Drafts} */
  #drafts = {};
  #hasSignInFailed = false;
  #isBlocked = false;

  /**
   * @param {ShadowRoot} root
   * @param {ChatOptions} options
   */
  constructor(root, options) {
    this.#options = options;
    const edge = (this.#edge = new Edge(options.edge, options.channel));
    this.#view = new View(root, options.strings, options.language, {
      send: (text) => this.#send(text),
      retry: (key) => this.#retry(key),
      signOut: () => void this.#signOut(),
      signIn: () => {
        storeInTab(DRAFTS_KEY, this.#drafts);
        edge.storeVerifier();
      },
    });
    this.#session = new Session(
      (signal) => edge.session(signal),
      (info) => this.#onSession(info),
      () => this.#setStatus(navigator.onLine ? 'reconnecting' : 'offline'),
    );
    this.#stream = new Stream({
      url: edge.streamUrl,
      onState: (state) => this.#onStreamState(state),
      onSnapshot: () => this.#conversation.snapshot(),
      onRecord: (cursor, event) => this.#onRecord(cursor, event),
      onReset: () => this.#change(() => this.#conversation.gap(Date.now())),
      onEnd: (reason) => reason === 'signed_out' && this.#showSignedOut('signed-out'),
      check: () => this.#session.check(),
    });
    this.#outbox = new Outbox({
      send: (text, key, signal) => this.#post(text, key, signal),
      onAccepted: (key, id) => this.#change(() => this.#conversation.accepted(key, id)),
      onRejected: (key, title) => this.#change(() => this.#conversation.failed(key, title)),
      onDenied: () => void this.#session.check(),
    });
  }

  connect() {
    this.#controller = new AbortController();
    const { signal } = this.#controller;
    // The user may have signed in, signed out or switched accounts in another window.
    const recheck = () => !document.hidden && void this.#session.check();
    document.addEventListener('visibilitychange', recheck, { signal });
    addEventListener('online', recheck, { signal });
    addEventListener('focus', recheck, { signal });
    this.#view.connect();
    this.#setStatus('connecting');
    void this.#session.check();
  }

  disconnect() {
    this.#controller?.abort();
    this.#session.disconnect();
    this.#stream.disconnect();
    this.#outbox.disconnect();
    clearTimeout(this.#stallTimer);
    this.#view.disconnect();
  }

  focus() {
    this.#view.composer.focus();
  }

  /** @param {import('./edge.js').SessionInfo} info */
  #onSession({ authenticated, user, providers, isBlocked = false }) {
    this.#providers = providers;
    this.#isBlocked = isBlocked;
    if (!authenticated || !user) {
      // A user who was signed in until now did not sign out on this page.
      this.#showSignedOut(this.#user || this.#status === 'ended' ? 'ended' : 'signed-out');
      return;
    }
    const previous = this.#user;
    if (user.id !== previous?.id) {
      this.#clearUser();
      this.#user = user;
      this.#view.showChat(user.name);
      Object.assign(this.#drafts, takeFromTab(DRAFTS_KEY));
      this.#view.composer.text = this.#drafts[user.id] ?? '';
      if (previous) {
        const { switched, kept } = this.#options.strings;
        this.#view.showNote(
          fill(this.#drafts[previous.id] ? `${switched} ${kept}` : switched, {
            name: user.name,
            before: previous.name,
          }),
        );
      }
    }
    this.#stream.connect();
    this.#outbox.connect();
  }

  /**
   * Shows the sign-in panel in place of the chat.
   * @param {'signed-out' | 'ended'} status
   */
  #showSignedOut(status) {
    const { strings, edge } = this.#options;
    const previous = this.#user;
    const hasEnded = status === 'ended';
    this.#clearUser();
    // Signing out deletes the user's draft.
    if (previous && !hasEnded) delete this.#drafts[previous.id];
    /** @type {Drafts | null} */
    const stored = takeFromTab(DRAFTS_KEY);
    // Back from the provider, but not signed in. Unless told, the user would try again and again.
    if (this.#isBlocked || (stored && !isCancelled)) this.#hasSignInFailed = true;
    Object.assign(this.#drafts, stored);
    this.#setStatus(status);
    const text = hasEnded
      ? strings.endedText
      : isCancelled
        ? strings.cancelledText
        : this.#hasSignInFailed
          ? fill(strings.blockedText, { edge: new URL(edge).host })
          : strings.signInText;
    this.#view.showSignIn({
      title: hasEnded ? strings.endedTitle : strings.signInTitle,
      text: this.#providers[0] ? text : strings.noProviders,
      links: this.#isBlocked
        ? [{ href: () => `${edge}/`, text: strings.ownWindow, isNewWindow: true }]
        : this.#providers.flatMap(({ id, name }) => [
            // Evaluated on click: the page's address may have changed since the link was made.
            { href: () => this.#edge.loginUrl(id, location, ''), text: fill(strings.signIn, { provider: name }) },
            // A provider that recognizes its user may sign them in without asking who they are.
            {
              href: () => this.#edge.loginUrl(id, location, '&prompt=select_account'),
              text: strings.otherAccount,
              title: name,
            },
          ]),
    });
  }

  /** Removes everything of the current user from view and memory, except their unsent text. */
  #clearUser() {
    clearTimeout(this.#stallTimer);
    this.#stream.disconnect();
    this.#outbox.disconnect();
    this.#outbox.clear();
    const { composer } = this.#view;
    this.#change(() => {
      const unsent = [...this.#conversation.clear(), composer.text].filter(Boolean).join('\n');
      if (this.#user) this.#drafts[this.#user.id] = unsent;
    });
    composer.text = '';
    this.#user = undefined;
  }

  async #signOut() {
    const signal = this.#controller?.signal;
    if (!signal) return;
    const result = await this.#edge.logout(location, signal);
    if (signal.aborted) return;
    if (!result) return this.#view.showStatus(this.#status, this.#options.strings.signOutFailed);
    this.#showSignedOut('signed-out');
    // Providers do not allow themselves to be framed.
    if (result.next && top === window) location.assign(result.next);
  }

  /** @param {string} text */
  #send(text) {
    const key = crypto.randomUUID();
    if (!this.#outbox.add({ key, text })) {
      this.#view.showNote(this.#options.strings.full);
      return false;
    }
    this.#view.showNote('');
    this.#change(() => this.#conversation.post(key, text, Date.now()));
    this.#view.showLatest();
    return true;
  }

  /** @param {string} key */
  #retry(key) {
    this.#change(() => this.#conversation.resend(key, (text) => this.#send(text)));
  }

  /**
   * @param {string} text
   * @param {string} key
   * @param {AbortSignal} signal
   * @returns {Promise<import('./edge.js').Outcome>}
   */
  async #post(text, key, signal) {
    // Another user may have signed in while the stream was down. The check then disconnects the outbox, which aborts
    // `signal`.
    const user = this.#user;
    const isKnown = this.#status === 'online' || (await this.#session.check());
    return isKnown && user ? this.#edge.send(text, key, user.id, signal) : { kind: 'retry' };
  }

  /**
   * @param {string} cursor
   * @param {unknown} event
   */
  #onRecord(cursor, event) {
    this.#change(() => {
      const message = this.#conversation.record(cursor, event, Date.now());
      if (!message) return;
      const { id, role, text } = message;
      if (role === 'assistant') this.#view.announcer.message(`${this.#options.strings.assistant}: ${text}`);
      this.#options.onMessage({ id: String(id), role, text });
    });
    clearTimeout(this.#stallTimer);
    this.#stallTimer = setTimeout(() => this.#change(() => this.#conversation.stall()), STALL_MS);
  }

  /** @param {import('./stream.js').StreamState} state */
  #onStreamState(state) {
    if (state === 'online' && this.#status !== state) this.#outbox.retryNow();
    this.#setStatus(state);
  }

  /** @param {() => void} change */
  #change(change) {
    change();
    this.#view.showMessages(this.#conversation.messages);
  }

  /** @param {Status} status */
  #setStatus(status) {
    const { strings } = this.#options;
    this.#view.showStatus(status, status === 'signed-out' ? strings.signedOut : strings[status]);
    if (status === this.#status) return;
    this.#status = status;
    this.#options.onStatus(status);
  }
}
