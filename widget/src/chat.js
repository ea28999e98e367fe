// One widget's chat. Wires up the client, the conversation and the view. Stays the same while its element is moved in
// the document, or taken out and put back.

import { insist, load } from './client/bundle.js';
import { storeInTab, takeFromTab } from './client/tab-storage.js';
import { createConversation } from './conversation.js';
import { notLoaded } from './dom.js';
import { createView } from './view.js';

/**
 * @typedef {import('./client/core.js').State} Status
 * @typedef {import('./client/core.js').SessionInfo} SessionInfo
 * @typedef {import('./client/types.js').User} User
 *
 * @typedef {object} ChatOptions
 * @property {import('./client/core.js').Core} client
 * @property {string} channel
 * @property {import('./texts.js').Texts} texts
 * @property {(status: Status) => void} onStatus
 * @property {(message: { id: string | null, role: string, text: string }) => void} onMessage
 *
 * @typedef {ReturnType<typeof createChat>} Chat
 */

// A backend that crashes mid-answer sends no notice, so silence is the only sign.
const STALL_MS = 60_000;

/**
 * @param {ShadowRoot} root
 * @param {ChatOptions} options
 */
export function createChat(root, { client, channel, texts, onStatus, onMessage }) {
  const conversation = createConversation();
  /** @type {(() => void) | undefined} */
  let unsubscribe;
  /** @type {SessionInfo | undefined} */
  let known;
  /** Whose conversation is shown. @type {User | undefined} */
  let owner;
  /** SSE id of the last event that was heard. @type {string | undefined} */
  let heard;
  /** @type {ReturnType<typeof import('./catch-up.js').createCatchUp> | undefined} */
  let catchUp;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let stallTimer;
  /** @type {Status} */
  let status = 'connecting';
  /** Whether what waits to be sent is lost with the page. */
  let isUnkept = false;
  /** What the sign-in panel was made from, if it is shown. */
  let signInShown = '';

  /** In the browser's storage, what is a user's goes by this. */
  const place = () => `${client.origin} ${channel} ${owner?.id}`;
  /** Unsent text of a user who is not signed in any more. */
  const draft = () => `chat-widget-draft ${place()}`;

  const view = createView(root, texts, {
    submit,
    retry: (key, text) => submit(text, key),
    cancel,
    onForm: ({ type, data }) => client.send(channel, type, data),
    async older(before) {
      const page = await (await loadCatchUp()).older(before);
      // Of an answer that is not complete there, the rest may never come.
      watch();
      return page;
    },
    place,
    onAccount: ({ target }) =>
      load('./account.js', () => import('./account/module.js')).then(
        ({ account }) =>
          account(
            root,
            /** @type {HTMLElement} */ (target),
            client.origin,
            client.check,
            client.logout,
            () => owner,
            texts,
          ),
        () => view.showNote(texts.strings.unloaded),
      ),
  });
  const { composer } = view;

  /** @type {import('./client/core.js').SubscribeOptions} */
  const subscription = {
    channels: [channel],
    isKept: true,
    onEvent,
    onGap() {
      apply(() => conversation.markGap(Date.now(), heard));
      fillGap();
    },
    onState,
    onSession,
    onUnsent({ key, channel: name, type, data, addedAt }, sent, id) {
      if (name !== channel) return;
      apply(() => {
        if (type === 'message') {
          conversation.post(key, data.text, addedAt);
          conversation.expect(key, id);
        } else conversation.record({ type, echo: true, data: { ...data, sent } }, addedAt);
      });
      track(key, sent);
    },
    onUnkept() {
      isUnkept = true;
      if (conversation.all().some(({ state }) => state === 'sending')) showUnkept();
    },
  };

  const draw = () => view.showMessages(conversation.all());

  /** @param {() => void} change */
  function apply(change) {
    change();
    draw();
  }

  async function loadCatchUp() {
    const { createCatchUp } = await load('./catch-up.js', () => import('./catch-up.js'));
    const user = () => (unsubscribe ? known?.user?.id : undefined);
    const { all, deleted } = conversation;
    return (catchUp ??= createCatchUp(client.origin, channel, user, client.check, record, all, draw, deleted));
  }

  /** Fills the gap, however often what is needed for that can't be loaded. */
  const fillGap = () => void insist(loadCatchUp, undefined, draw).then((loaded) => loaded?.fill());

  /** @type {typeof conversation.record} */
  function record(...event) {
    const message = conversation.record(...event);
    if (message) {
      const { id, role, text } = message;
      onMessage({ id, role, text });
    }
    return message;
  }

  function showStatus() {
    view.showStatus(status, texts.strings[status === 'signed-out' ? 'signedOut' : status]);
  }

  /** @param {Status} state */
  function onState(state) {
    status = state;
    showStatus();
    onStatus(state);
    // The element may have been out of the document, or the user have signed in again.
    if (catchUp && state === 'online') fillGap();
  }

  /** @param {SessionInfo} info */
  function onSession(info) {
    const previous = owner;
    const { user } = info;
    known = info;
    // What is shown stays where it is if the time of the session is over, until somebody else signs in.
    const isSame = user ? user.id === previous?.id : info.expired;
    const unsent = conversation.unsent().map(({ text }) => text);
    const typed = composer.getText();
    // The browser keeps what waits, and it is sent once they are back.
    const lost = join(...(isUnkept ? unsent : []), typed);
    // Signing out deletes the user's draft. The page may be left for the next sign-in.
    if (previous && user?.id !== previous.id && lost && status !== 'signed-out') storeInTab(draft(), lost);
    if (!isSame) {
      forget();
      owner = user;
    }
    if (!user) {
      void showSignIn(info);
      return;
    }
    signInShown = '';
    view.showChat(user.name);
    const kept = takeFromTab(draft());
    if (isSame) return;
    composer.setText(kept ?? '');
    if (previous) void showSwitch(user, previous, unsent[0] ?? typed).catch(() => {});
  }

  const loadSignIn = () => load('./sign-in.js', () => import('./sign-in.js'));

  /**
   * @param {User} user
   * @param {User} previous
   * @param {string} unsent text of the previous one
   */
  async function showSwitch(user, previous, unsent) {
    const { switchNote } = await loadSignIn();
    if (known?.user === user) view.showNote(switchNote(texts.strings, user.name, previous.name, unsent));
  }

  /** Shows the sign-in panel in place of the chat. @param {SessionInfo} info */
  async function showSignIn(info) {
    const hasEnded = status === 'ended';
    const shown = JSON.stringify([info, hasEnded, texts.version]);
    // A link that is replaced loses the focus.
    if (shown === signInShown) return;
    signInShown = shown;
    const isBar = Boolean(owner);
    view.showSignIn([], isBar);
    const bundle = await loadSignIn().catch(() => undefined);
    // Signed in or removed meanwhile.
    if (shown !== signInShown) return;
    if (!bundle) {
      const again = () => {
        if (shown !== signInShown) return;
        signInShown = '';
        void showSignIn(info);
      };
      view.showSignIn([notLoaded(texts.strings, again)], isBar);
      return;
    }
    view.showSignIn(
      bundle.signInPanel(root, {
        origin: client.origin,
        ask: client.check,
        info,
        strings: texts.strings,
        hasEnded,
        forget: client.forget,
      }),
      isBar,
    );
  }

  /** Removes everything of the previous user from view and memory. */
  function forget() {
    clearTimeout(stallTimer);
    heard = undefined;
    conversation.empty();
    apply(() => composer.setText(''));
    view.showNote('');
  }

  function showUnkept() {
    view.showNote(isUnkept && status !== 'online' ? texts.strings.unkept : '');
  }

  /** @param {string} text @param {string} [key] of a message that failed */
  function submit(text, key = crypto.randomUUID()) {
    showUnkept();
    apply(() => conversation.post(key, text, Date.now()));
    view.scrollToEnd();
    track(
      key,
      client.send(channel, 'message', { text }, key, undefined, (id) => conversation.expect(key, id)),
    );
  }

  /**
   * @param {string} key
   * @param {Promise<{ id: string }>} sent
   */
  function track(key, sent) {
    sent.then(
      ({ id }) => apply(() => conversation.accept(key, id)),
      ({ message, code, status: answer }) =>
        apply(() => {
          // Another tab sends it, and its echo will come.
          if (code === 'taken-over') conversation.take(key, true);
          // It is sent once the user is back, if the browser keeps it.
          else if (code !== 'cancelled' && (isUnkept || code !== 'user-changed')) {
            conversation.fail(key, code === 'full' ? texts.strings.full : answer && message);
          }
        }),
    );
  }

  /** Takes back a message that waits. Its text goes where the user can change it. @param {string} key */
  function cancel(key) {
    apply(() => composer.setText(join(conversation.take(key), composer.getText())));
    client.cancel(key);
  }

  /** @param {import('./client/feed.js').CausewayEvent} event @param {string} cursor */
  function onEvent(event, cursor) {
    heard = cursor;
    apply(() => {
      const message = record(event, Date.now(), cursor);
      if (message) view.readOut(message);
      catchUp?.place();
    });
    watch();
  }

  /** Waits for more of what is unfinished. */
  function watch() {
    clearTimeout(stallTimer);
    stallTimer = setTimeout(() => apply(conversation.stall), STALL_MS);
  }

  return {
    focus: composer.focus,

    connect() {
      view.connect();
      unsubscribe ??= client.subscribe(subscription);
    },

    disconnect() {
      unsubscribe?.();
      unsubscribe = undefined;
      clearTimeout(stallTimer);
      signInShown = '';
      view.disconnect();
    },

    /** The texts have changed. */
    showTexts() {
      showStatus();
      draw();
      if (signInShown && known) void showSignIn(known);
    },
  };
}

/** @param {...string} texts */
const join = (...texts) => texts.filter(Boolean).join('\n');
