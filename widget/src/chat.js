// One connected widget: joins session, stream, outbox, conversation and view, and decides what each change means for
// the others.

import { Conversation } from './conversation.js';
import { Edge } from './edge.js';
import { leaveNote, takeNote } from './note.js';
import { Outbox } from './outbox.js';
import { Session } from './session.js';
import { Stream } from './stream.js';
import { fill } from './strings.js';
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
 * @typedef {Record<string, string>} Drafts what each user had not sent, by their id
 */

// A backend that died mid-answer never says so.
const STALL_MS = 60_000;
const NOTE_KEY = 'chat-widget-sign-in';

export class Chat {
  #options;
  #edge;
  #view;
  #conversation = new Conversation();
  #session;
  #stream;
  #outbox;
  /** @type {AbortController | undefined} */
  #running;
  /** @type {import('./edge.js').User | undefined} */
  #user;
  /** @type {import('./edge.js').Provider[]} */
  #providers = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #stall;
  /** @type {Status | ''} */
  #status = '';
  /** @type {Drafts} */
  #drafts = {};
  #isInVain = false;
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
        leaveNote(NOTE_KEY, this.#drafts);
        edge.leave();
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
      onEnd: (reason) => reason === 'signed_out' && this.#leave('signed-out'),
      check: () => this.#session.check(),
    });
    this.#outbox = new Outbox({
      send: (text, key, signal) => this.#say(text, key, signal),
      onAccepted: (key, id) => this.#change(() => this.#conversation.accepted(key, id)),
      onRejected: (key, title) => this.#change(() => this.#conversation.failed(key, title)),
      onDenied: () => void this.#session.check(),
    });
  }

  connect() {
    this.#running = new AbortController();
    const { signal } = this.#running;
    // Someone may have signed in, or out, or as somebody else, in another window.
    const recheck = () => !document.hidden && void this.#session.check();
    document.addEventListener('visibilitychange', recheck, { signal });
    addEventListener('online', recheck, { signal });
    addEventListener('focus', recheck, { signal });
    this.#view.connect();
    this.#setStatus('connecting');
    void this.#session.check();
  }

  disconnect() {
    this.#running?.abort();
    this.#session.disconnect();
    this.#stream.disconnect();
    this.#outbox.disconnect();
    clearTimeout(this.#stall);
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
      // One who was here and is no longer did not sign out on this page.
      this.#leave(this.#user || this.#status === 'ended' ? 'ended' : 'signed-out');
      return;
    }
    const before = this.#user;
    if (user.id !== before?.id) {
      this.#forget();
      this.#user = user;
      this.#view.showChat(user.name);
      Object.assign(this.#drafts, takeNote(NOTE_KEY));
      this.#view.composer.text = this.#drafts[user.id] ?? '';
      if (before) {
        const { switched, kept } = this.#options.strings;
        this.#view.showNote(
          fill(this.#drafts[before.id] ? `${switched} ${kept}` : switched, { name: user.name, before: before.name }),
        );
      }
    }
    this.#stream.connect();
    this.#outbox.connect();
  }

  /**
   * Nobody is signed in, any more or yet.
   * @param {'signed-out' | 'ended'} status
   */
  #leave(status) {
    const { strings, edge } = this.#options;
    const left = this.#user;
    this.#forget();
    // Whoever signs out leaves nothing behind.
    if (left && status !== 'ended') delete this.#drafts[left.id];
    /** @type {Drafts | null} */
    const note = takeNote(NOTE_KEY);
    // Came back from the provider and still not signed in: say so, or people go round in circles.
    if (note || this.#isBlocked) this.#isInVain = true;
    Object.assign(this.#drafts, note);
    this.#setStatus(status);
    const text =
      status === 'ended'
        ? strings.endedText
        : this.#isInVain
          ? fill(strings.blockedText, { edge: new URL(edge).host })
          : strings.signInText;
    this.#view.showDoor({
      title: status === 'ended' ? strings.endedTitle : strings.signInTitle,
      text: this.#providers.length > 0 ? text : strings.noProviders,
      links: this.#isBlocked
        ? [{ href: () => `${edge}/`, text: strings.ownWindow, isElsewhere: true }]
        : this.#providers.map(({ id, name }) => ({
            // The page may have moved on since the link was made.
            href: () => this.#edge.loginUrl(id, location),
            text: fill(strings.signIn, { provider: name }),
          })),
    });
  }

  /** Lets go of all that belongs to a person, and keeps for them what they had not sent. */
  #forget() {
    clearTimeout(this.#stall);
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
    const signal = this.#running?.signal;
    if (!signal) return;
    const gone = await this.#edge.logout(location, signal);
    if (signal.aborted) return;
    if (!gone) return this.#view.showStatus(this.#status, this.#options.strings.signOutFailed);
    this.#leave('signed-out');
    // No provider shows itself in a frame.
    if (gone.next && top === window) location.assign(gone.next);
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
    this.#view.log.toEnd();
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
  async #say(text, key, signal) {
    // While the connection was gone somebody else may have signed in; then this is aborted.
    const user = this.#user;
    const isKnown = this.#status === 'online' || (await this.#session.check());
    return isKnown && user ? this.#edge.say(text, key, user.id, signal) : { kind: 'retry' };
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
    clearTimeout(this.#stall);
    this.#stall = setTimeout(() => this.#change(() => this.#conversation.stall()), STALL_MS);
  }

  /** @param {import('./stream.js').StreamState} state */
  #onStreamState(state) {
    if (state === 'online' && this.#status !== state) this.#outbox.wake();
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
