// One widget's chat. Wires up the client, the conversation and the view. Stays the same while its element is moved in
// the document, or taken out and put back.

import { load } from './client/bundle.js';
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
/** How long what the stream begins with may take to arrive. */
const REPLAY_MS = 3_000;
/** Characters of a message that are read out. */
const MAX_SPOKEN = 1_000;
/** Unsent text of a user who is not signed in any more. */
const draftOf = (/** @type {User} */ { id }) => `chat-widget-draft ${id}`;

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
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let stallTimer;
  /** @type {Status} */
  let status = 'connecting';
  /** Whether what waits to be sent is lost with the page. */
  let isUnkept = false;
  /** When messages of before the page was opened have arrived. */
  let levelAt = Infinity;
  /** What the sign-in panel was made from, if it is shown. */
  let signInShown = '';

  const view = createView(root, texts, {
    submit,
    retry: (key) => submit(conversation.take(key)),
    cancel,
    onForm: ({ type, data }) => client.send(channel, type, data),
    older: catchUp,
    place: `${client.origin} ${channel}`,
    account: ({ target }) =>
      load('./account.js', () => import('./account/module.js')).then(
        ({ account }) =>
          account(
            root,
            /** @type {Element} */ (target),
            client.origin,
            client.check,
            client.logout,
            () => known?.user?.id,
            texts.strings,
          ),
        () => view.showNote(texts.strings.unloaded),
      ),
  });
  const { composer } = view;

  /** @type {import('./client/core.js').SubscribeOptions} */
  const subscription = {
    channels: [channel],
    onEvent,
    onGap() {
      apply(() => conversation.markGap(Date.now()));
      void catchUp().catch(() => {});
    },
    onState,
    onSession,
    onUnsent({ key, channel: name, type, data, addedAt }, sent) {
      if (name !== channel) return;
      apply(() => {
        if (type === 'message') conversation.post(key, data.text, addedAt);
        else conversation.record({ type, echo: true, data: { ...data, sent } }, addedAt);
      });
      track(key, sent);
    },
    onUnkept() {
      isUnkept = true;
      if (conversation.all().some(({ state }) => state === 'sending')) showUnkept();
    },
  };

  /** @param {() => void} change */
  function apply(change) {
    change();
    view.showMessages(conversation.all());
  }

  /** @param {string} [before] position that earlier messages end at; without it, what is missing in the gap is asked */
  async function catchUp(before) {
    const { ask } = await load('./catch-up.js', () => import('./catch-up.js'));
    const { record, all } = conversation;
    const answer = await ask(client.origin, channel, known?.user?.id, client.check, record, all, before);
    apply(() => {});
    watch();
    return answer;
  }

  function showStatus() {
    view.showStatus(status, texts.strings[status === 'signed-out' ? 'signedOut' : status]);
  }

  /** @param {Status} state */
  function onState(state) {
    status = state;
    if (state === 'online') levelAt = Math.min(levelAt, Date.now() + REPLAY_MS);
    showStatus();
    onStatus(state);
  }

  /** @param {SessionInfo} info */
  function onSession(info) {
    const previous = known?.user;
    const { user } = info;
    known = info;
    const isSame = user?.id === previous?.id;
    const [draft, unsent] = isSame ? [] : forget();
    // Signing out deletes the user's draft.
    if (previous && draft && status !== 'signed-out') storeInTab(draftOf(previous), draft);
    if (!user) {
      void showSignIn(info);
      return;
    }
    signInShown = '';
    view.showChat(user.name);
    if (isSame) return;
    composer.setText(takeFromTab(draftOf(user)) ?? '');
    if (previous) void showSwitch(user, previous, unsent ?? '').catch(() => {});
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
    view.showSignIn([]);
    const bundle = await loadSignIn().catch(() => undefined);
    // Signed in or removed meanwhile.
    if (shown !== signInShown) return;
    if (!bundle) {
      const again = () => {
        if (shown !== signInShown) return;
        signInShown = '';
        void showSignIn(info);
      };
      view.showSignIn([notLoaded(texts.strings, again)]);
      return;
    }
    view.showSignIn(
      bundle.signInPanel(root, {
        origin: client.origin,
        ask: client.check,
        info,
        strings: texts.strings,
        hasEnded,
      }),
    );
  }

  /**
   * Removes everything of the previous user from view and memory.
   * @returns {string[]} their unsent text that only this page has, and all of it
   */
  function forget() {
    clearTimeout(stallTimer);
    const all = conversation.empty();
    // The browser keeps what waits, and it is sent once they are back.
    const lost = all.filter(({ state }) => isUnkept || state === 'failed');
    const unsent = [lost, all].map((messages) => join(...messages.map(({ text }) => text), composer.getText()));
    apply(() => composer.setText(''));
    view.announcer.reset();
    view.showNote('');
    return unsent;
  }

  function showUnkept() {
    view.showNote(isUnkept && status !== 'online' ? texts.strings.unkept : '');
  }

  /** @param {string} text */
  function submit(text) {
    const key = crypto.randomUUID();
    showUnkept();
    apply(() => conversation.post(key, text, Date.now()));
    view.scrollToEnd();
    track(key, client.send(channel, 'message', { text }, key));
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
          if (code === 'taken-over') conversation.take(key);
          else if (code !== 'cancelled')
            conversation.fail(key, code === 'full' ? texts.strings.full : answer && message);
        }),
    );
  }

  /** Takes back a message that waits. Its text goes where the user can change it. @param {string} key */
  function cancel(key) {
    apply(() => composer.setText(join(conversation.take(key), composer.getText())));
    client.cancel(key);
  }

  /** @param {import('./client/feed.js').CausewayEvent} event */
  function onEvent(event) {
    apply(() => {
      const message = conversation.record(event, Date.now());
      if (!message) return;
      const { id, role, text, form, time } = message;
      // The definition of a form may be anything.
      const { title = '' } = Object(form);
      if (role === 'assistant' && (Date.now() > levelAt || Date.now() - time < REPLAY_MS))
        view.announcer.readOut(`${texts.strings.assistant}: ${spoken(text || title)}`);
      onMessage({ id, role, text });
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
      levelAt = Infinity;
      clearTimeout(stallTimer);
      signInShown = '';
      view.disconnect();
    },

    /** The texts have changed. */
    showTexts() {
      showStatus();
      apply(() => {});
      if (signInShown && known) void showSignIn(known);
    },
  };
}

/** Without the signs of Markdown and the addresses of links. @param {string} text */
const spoken = (text) => text.slice(0, MAX_SPOKEN).replace(/\[(.*?)\]\(.*?\)|[*`|]|^[#>]+ /gm, '$1');

/** @param {...string} texts */
const join = (...texts) => texts.filter(Boolean).join('\n');
