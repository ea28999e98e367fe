// The bundle `account.js`: signing out, and the panel with a user's accounts and sessions, which opens in place of the
// conversation. Loaded when the user's name or the button to sign out is pressed. A bundle of its own, so names of what
// it gets and gives are not shortened.

import { accounts } from '../client/account.js';
import { load } from '../client/bundle.js';
import { openPopup } from '../client/popup.js';
import { answered, createRequest } from '../client/request.js';
import { button, element, notLoaded } from '../dom.js';
import { OWN_WINDOW, POPUP_BLOCKED } from '../sign-in-strings.js';
import { fill } from '../strings.js';
import { localeOf } from '../texts.js';
import { ACCOUNT_STRINGS } from './strings.js';
import css from './style.css';

/**
 * @typedef {import('../client/types.js').SessionInfo} SessionInfo
 * @typedef {import('../client/types.js').Provider} Provider
 * @typedef {import('../client/types.js').OwnSession} OwnSession
 */

const NOTICE_MS = 10_000;

/** @type {CSSStyleSheet | undefined} */
let sheet;

/**
 * Does what a button of the header is for.
 * @param {ShadowRoot} root of the widget
 * @param {HTMLElement} pressed
 * @param {string} origin of the edge
 * @param {() => Promise<SessionInfo | undefined>} check asks the edge who is signed in
 * @param {(stay: unknown) => Promise<void>} logout
 * @param {() => object | undefined} owner whose conversation is shown
 * @param {{ strings: Partial<import('../strings.js').Strings> }} options strings: the texts
 */
export function account(root, pressed, origin, check, logout, owner, { strings }) {
  const texts = { popupBlocked: POPUP_BLOCKED, ownWindow: OWN_WINDOW, ...ACCOUNT_STRINGS, ...strings };
  const host = /** @type {HTMLElement} */ (root.host);
  const note = /** @type {HTMLElement} */ (root.querySelector('.shell > .note'));
  /** Whether the page must not be left. */
  const isPopup = () => host.hasAttribute('popup');
  // The bundle could not be loaded before.
  if (note.textContent === texts.unloaded) note.textContent = '';
  if (pressed.matches('.sign-out')) return void signOut();
  const name = pressed;
  const close = root.querySelector('.account-back');
  if (close instanceof HTMLElement) return close.click();
  // Signed out while this was loaded.
  if (!name.hidden) openPanel();
  return undefined;

  async function signOut() {
    try {
      await logout(isPopup());
    } catch {
      note.textContent = texts.signOutFailed;
      setTimeout(() => note.textContent === texts.signOutFailed && (note.textContent = ''), NOTICE_MS);
    }
  }

  function openPanel() {
    addStyle(root);
    const { sessions, endSession, disconnect } = accounts(answered(createRequest(origin)));
    const user = owner();
    /** @type {SessionInfo | undefined} */
    let info;
    let isBusy = false;
    const back = button('account-back');
    back.setAttribute('aria-label', texts.accountBack);
    const panel = element(
      'section',
      { part: 'account', role: 'dialog', tabindex: '-1', 'aria-label': texts.accountTitle },
      element('div', { class: 'account-bar' }, back, element('h3', {}, texts.accountTitle)),
    );
    const observer = new MutationObserver(
      ([change]) => (change?.target === host || name.hidden || owner() !== user) && closePanel(),
    );
    // The chat writes the name with each answer about who is signed in.
    observer.observe(name, { attributeFilter: ['hidden'], childList: true });
    observer.observe(host, { attributeFilter: ['open', 'compact'] });

    back.onclick = closePanel;
    panel.onkeydown = (event) => {
      if (event.key !== 'Escape') return;
      // A compact chat stays open, and so does a dialog of the page.
      event.stopPropagation();
      event.preventDefault();
      closePanel();
    };
    // Its style hides what it covers.
    root.querySelector('.body')?.append(panel);
    name.ariaHasPopup = 'dialog';
    name.setAttribute('aria-expanded', 'true');
    panel.focus();
    say(texts.accountBusy);
    void show('');

    function closePanel() {
      const hadFocus = panel.contains(root.activeElement);
      observer.disconnect();
      panel.remove();
      say('');
      name.setAttribute('aria-expanded', 'false');
      if (hadFocus) (name.hidden ? /** @type {HTMLElement} */ (root.querySelector('.sign-in')) : name).focus();
    }

    /** @param {string} text */
    function say(text) {
      note.textContent = text;
    }

    /** Asks the edge, and shows what it says. @param {string} text said then */
    async function show(text) {
      /** @type {Element[]} */
      let nodes;
      try {
        const [answer, list] = await Promise.all([check(), sessions()]);
        info = answer;
        nodes = answer ? [...person(answer), ...connections(answer), ...places(list)] : [unloaded()];
      } catch {
        nodes = [unloaded()];
      }
      if (!panel.isConnected) return;
      // Buttons that are replaced lose the focus.
      const focused = /** @type {HTMLElement | null} */ (root.activeElement);
      const row = focused?.closest('li')?.dataset.key;
      for (const node of [...panel.children].slice(1)) node.remove();
      panel.append(...nodes);
      say(text);
      if (row) {
        const items = [...panel.querySelectorAll('li')];
        (items.find(({ dataset }) => dataset.key === row)?.querySelector('button') ?? panel).focus();
      } else if (focused && !focused.isConnected) panel.focus();
    }

    const unloaded = () => notLoaded(strings, () => void show(''));

    /** @param {() => Promise<string | void>} work resolves to what is said then */
    async function run(work) {
      if (isBusy) return;
      isBusy = true;
      panel.setAttribute('aria-busy', 'true');
      say(texts.accountBusy);
      const said = await work().then((text) => text || texts.accountDone, wordsFor);
      await show(said);
      isBusy = false;
      panel.removeAttribute('aria-busy');
    }

    /** @param {{ status?: number, code?: string }} failure */
    function wordsFor({ status: answer = 0, code }) {
      return code === 'unavailable' || answer >= 500 ? texts.accountUnavailable : texts.accountFailed;
    }

    /** @param {SessionInfo} answer */
    function person({ user: shown }) {
      const lines = [shown?.name, shown?.email].map((text) => element('strong', { dir: 'auto' }, text ?? ''));
      return [element('p', { class: 'account-user' }, ...lines)];
    }

    /** @param {SessionInfo} answer */
    function connections({ providers, connections: list = [], handoff }) {
      const isElsewhere = handoff && location.origin !== origin;
      const rows = providers.map((provider) => {
        const { id, name: label } = provider;
        const found = list.find((connection) => connection.provider === id);
        const isOwn = found && (found.own ?? list.length === 1);
        const isSpent = found?.sign_in_needed;
        const state = isSpent ? 'SignInNeeded' : isOwn ? 'Own' : found ? 'Connected' : 'None';
        const buttons = [];
        if (!isElsewhere && (!found || isSpent)) {
          const text = found ? texts.accountSignInAgain : texts.accountConnect;
          buttons.push(action(text, label, () => connectTo(provider)));
        }
        if (found && !isOwn) {
          buttons.push(action(texts.accountDisconnect, label, () => run(() => disconnect(id))));
        }
        return item(id, label, texts[`account${state}`], buttons);
      });
      const nodes = listOf(texts.accountConnections, rows);
      if (isElsewhere) {
        const link = element('a', { part: 'account-link', href: `${origin}/`, target: '_blank' }, texts.ownWindow);
        nodes.push(element('p', {}, `${texts.accountOtherPage} `, link));
      }
      return nodes;
    }

    /** @param {Provider} provider */
    function connectTo({ id }) {
      if (isBusy) return;
      /** @type {import('../client/popup.js').Popup | undefined} */
      let popup;
      try {
        if (isPopup()) popup = openPopup(origin);
      } catch {
        say(texts.popupBlocked);
        return;
      }
      void run(async () => {
        try {
          const { connect } = await load('./departure.js', () => import('../client/departure.js'));
          const answer = await connect(origin, check, info?.handoff, id, {}, popup);
          // The page is left.
          if (!popup) return texts.accountBusy;
          const found = answer?.connections?.find(({ provider }) => provider === id);
          return found && !found.sign_in_needed ? texts.accountDone : texts.accountNotConnected;
        } finally {
          popup?.close();
        }
      });
    }

    /** @param {OwnSession[]} list */
    function places(list) {
      const locale = localeOf(host.lang || document.documentElement.lang || `${navigator.languages[0]}`);
      const times = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });
      const rows = list.map(({ id, label, created_at: begun, current }) => {
        const since = fill(texts.accountSince, { time: times.format(new Date(begun)) });
        const end = () => run(() => endSession(id));
        const node = current ? action(texts.signOut ?? '', label, signOut) : action(texts.accountEnd, label, end);
        return item(`session ${id}`, label, current ? `${texts.accountHere} · ${since}` : since, [node]);
      });
      const nodes = listOf(texts.accountSessions, rows);
      if (list[1]) nodes.push(action(texts.accountEndOthers, '', () => run(() => endSession())));
      return nodes;
    }
  }
}

/** @param {string} title @param {HTMLElement[]} rows @returns {HTMLElement[]} */
const listOf = (title, rows) => [
  element('h4', {}, title),
  element('ul', { part: 'account-list', role: 'list' }, ...rows),
];

/**
 * @param {string} key which finds the row again
 * @param {string} label
 * @param {string} state
 * @param {HTMLElement[]} buttons
 */
function item(key, label, state, buttons) {
  const about = element('p', {}, element('strong', { dir: 'auto' }, label), element('span', {}, state));
  const row = element('li', { part: 'account-item' }, about, element('div', {}, ...buttons));
  row.dataset.key = key;
  return row;
}

/** @param {string} text @param {string} of @param {() => void} act */
function action(text, of, act) {
  const node = button('account-action');
  node.textContent = text;
  if (of) node.setAttribute('aria-label', `${text}: ${of}`);
  node.onclick = act;
  return node;
}

/** @param {ShadowRoot} root */
function addStyle(root) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
  }
  if (!root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets.push(sheet);
}
