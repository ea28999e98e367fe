// What the widget says about accounts: the sign-in panel, and that the user has changed. Loaded when either is needed,
// which is rare. A bundle of its own, so names of what it gets and gives are not shortened.

import { isOn, login, loginUrl } from './client/departure.js';
import { openPopup } from './client/popup.js';
import { SIGNED_OUT } from './client/signed-out.js';
import { element } from './dom.js';
import { SIGN_IN_STRINGS } from './sign-in-strings.js';
import css from './sign-in.css';
import { fill } from './strings.js';

/** @type {CSSStyleSheet | undefined} */
let sheet;
/** Where a panel hears of sign-outs. @type {WeakMap<ShadowRoot, BroadcastChannel>} */
const channels = new WeakMap();

/**
 * @typedef {object} SignIn
 * @property {string} origin of the edge
 * @property {() => Promise<import('./client/core.js').SessionInfo | undefined>} ask asks the edge who is signed in
 * @property {import('./client/core.js').SessionInfo} info
 * @property {Partial<import('./strings.js').Strings>} strings
 * @property {boolean} hasEnded a session has ended just now
 * @property {() => unknown} forget empties the conversation that stays above the panel after a session has expired
 */

/**
 * @param {ShadowRoot} root gets the panel's style. Its element may ask for a window of its own (`popup`)
 * @param {SignIn} signIn
 * @returns {Element[]}
 */
export function signInPanel(root, { origin, ask, info, strings, hasEnded, forget }) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
  }
  if (!root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets.push(sheet);
  channels.get(root)?.close();
  if (info.expired) {
    // Without a session, there is no stream that would tell.
    const channel = new BroadcastChannel(SIGNED_OUT);
    channel.onmessage = ({ data }) => text.isConnected && String(data).startsWith(`${origin} `) && forget();
    channels.set(root, channel);
  }
  const texts = { ...SIGN_IN_STRINGS, ...strings };
  const { providers, problem } = info;
  const text = element('p', { role: 'status' }, reason());
  const links =
    problem === 'blocked'
      ? [element('a', { href: `${origin}/`, part: 'sign-in-link', target: '_blank' }, texts.ownWindow)]
      : providers.flatMap(({ id, name }) => [
          link(id, 'sign-in-link', fill(texts.signIn, { provider: name })),
          // A provider that recognizes its user may sign them in without asking who they are.
          link(id, 'other-account', texts.otherAccount, name, 'select_account'),
        ]);

  /**
   * @param {string} provider
   * @param {string} part
   * @param {string} label
   * @param {string} [title]
   * @param {string} [prompt]
   */
  function link(provider, part, label, title = '', prompt) {
    const node = element('a', { href: loginUrl(origin, provider, { prompt }), part, title }, label);
    node.onclick = (event) => {
      event.preventDefault();
      void signIn(provider, prompt);
    };
    return node;
  }

  /**
   * @param {string} provider
   * @param {string} [prompt]
   */
  async function signIn(provider, prompt) {
    /** @type {import('./client/popup.js').Popup | undefined} */
    let popup;
    try {
      if (isOn(root.host.getAttribute('popup'))) popup = openPopup(origin);
    } catch {
      text.textContent = texts.popupBlocked;
      return;
    }
    try {
      await login(origin, ask, info.handoff, provider, { prompt }, popup);
    } catch (error) {
      popup?.close();
      throw error;
    }
  }

  function reason() {
    if (!providers[0]) return texts.noProviders;
    if (hasEnded) return texts.endedText;
    if (problem === 'cancelled') return texts.cancelledText;
    return problem ? fill(texts.blockedText, { edge: new URL(origin).host }) : texts.signInText;
  }

  const title = hasEnded ? texts.endedTitle : texts.signInTitle;
  return [element('span', { part: 'mark' }), element('h3', {}, title), text, ...links];
}

/**
 * @param {Partial<import('./strings.js').Strings>} strings
 * @param {string} name of the user who is signed in now
 * @param {string} before name of the previous one
 * @param {string} unsent text of the previous one, which is kept
 */
export function switchNote(strings, name, before, unsent) {
  const { switched, kept } = { ...SIGN_IN_STRINGS, ...strings };
  return fill(unsent ? `${switched} ${kept}` : switched, { name, before });
}
