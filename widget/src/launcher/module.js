// The bundle `launcher.js`: the compact widget, a button in the corner of the page that opens the chat above it. Loaded
// for `<chat-widget compact>`. A bundle of its own, so names of what it gets and gives are not shortened.
//
// Whether the chat is open is the attribute `open` of the element, which the page may set, too.

import { button, element } from '../dom.js';
import { plural } from '../plural.js';
import { localeOf } from '../texts.js';
import { LAUNCHER_STRINGS } from './strings.js';
import css from './style.css';

/** As style.css has it: where the open chat covers the page. */
const COVERS = '(width < 30em), (height < 25em)';
const RISE_MS = 160;

/** @type {CSSStyleSheet | undefined} */
let sheet;
/** Shows the texts of each compact widget. @type {WeakMap<HTMLElement, (strings: object, language: string) => void>} */
const launchers = new WeakMap();

/**
 * Makes a widget compact, and shows its texts.
 * @param {HTMLElement} host
 * @param {object} strings
 * @param {string} language
 */
export function launch(host, strings, language) {
  const { shadowRoot } = host;
  if (!shadowRoot) return;
  if (!launchers.has(host)) launchers.set(host, createLauncher(host, shadowRoot));
  launchers.get(host)?.(strings, language);
}

/**
 * @param {HTMLElement} host
 * @param {ShadowRoot} root
 */
function createLauncher(host, root) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
  }
  root.adoptedStyleSheets.push(sheet);
  // What a server has rendered. This one takes its place.
  for (const node of root.querySelectorAll('.launcher')) node.remove();
  const badge = element('span', { part: 'badge', 'aria-hidden': 'true' });
  const launcher = button('launcher');
  launcher.append(badge);
  const close = button('close');
  /** @type {Record<string, string>} */
  let texts = LAUNCHER_STRINGS;
  /** @type {string | undefined} */
  let locale;
  let count = Number.parseInt(part('latest')?.dataset.unread ?? '0', 10);
  let wasOpen = false;
  let isShown = false;

  launcher.onclick = () => toggle(!isOpen());
  close.onclick = () => toggle(false);
  host.addEventListener('chat-unread', (event) => {
    ({ count } = /** @type {CustomEvent} */ (event).detail);
    show();
  });
  root.addEventListener('keydown', (event) => {
    const { key, isComposing } = /** @type {KeyboardEvent} */ (event);
    if (key !== 'Escape' || isComposing || !isOpen() || !isCompact()) return;
    // A dialog of the page stays.
    event.stopPropagation();
    toggle(false);
  });
  // Where it covers the page, the focus must not go behind it.
  host.addEventListener('focusout', ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node) || host.contains(relatedTarget)) return;
    if (isCompact() && matchMedia(COVERS).matches) host.removeAttribute('open');
  });
  const observer = new MutationObserver(show);
  observer.observe(host, { attributeFilter: ['open', 'compact'] });
  // The shell is another one once it takes the place of what a server has rendered, or if the edge or the channel was
  // changed.
  observer.observe(root, { childList: true });

  const isCompact = () => host.hasAttribute('compact');
  const isOpen = () => host.hasAttribute('open');

  /** @param {string} name @returns {HTMLElement | null} */
  function part(name) {
    return root.querySelector(`.${name}`);
  }

  /** The user opens or closes it. The focus goes along. @param {boolean} isToOpen */
  function toggle(isToOpen) {
    host.toggleAttribute('open', isToOpen);
    show();
    if (!isToOpen) launcher.focus();
    else {
      const places = [part('composer')?.querySelector('textarea'), part('sign-in'), close];
      places.find((node) => node?.checkVisibility())?.focus({ preventScroll: true });
    }
  }

  function show() {
    // A server's is hidden by its attribute.
    const shell = root.querySelector('.shell:not([hidden])');
    const header = shell?.querySelector('.header');
    if (launcher.parentNode !== root) root.append(launcher);
    if (header && close.parentNode !== header) header.append(close);
    const open = isOpen();
    if (isCompact()) shell?.setAttribute('role', 'dialog');
    else shell?.removeAttribute('role');
    // That was the server's style.
    if (shell) root.querySelector('link')?.remove();
    launcher.setAttribute('aria-expanded', String(open));
    const news = count && !open ? `, ${plural(texts, 'unreadCount', count, locale)}` : '';
    launcher.setAttribute('aria-label', `${open ? texts.close : texts.open}${news}`);
    close.setAttribute('aria-label', texts.close ?? '');
    badge.textContent = count > 99 ? '99+' : count.toLocaleString(locale);
    badge.hidden = !count || open;
    if (open && isShown && !wasOpen && isCompact() && matchMedia('(prefers-reduced-motion: no-preference)').matches)
      shell?.animate({ opacity: [0, 1], translate: ['0 8px', '0 0'] }, { duration: RISE_MS, easing: 'ease-out' });
    isShown = true;
    if (open === wasOpen) return;
    wasOpen = open;
    host.dispatchEvent(new CustomEvent('chat-toggle', { detail: { open }, bubbles: true, composed: true }));
  }

  return (/** @type {object} */ strings, /** @type {string} */ language) => {
    texts = { ...LAUNCHER_STRINGS, ...strings };
    locale = localeOf(language);
    show();
  };
}
