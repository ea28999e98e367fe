// The custom element.
/* global BUILD_ID */

import { createChat } from './chat.js';
import { load } from './client/bundle.js';
import { createCore } from './client/core.js';
import { STRINGS } from './strings.js';
import css from './style.css';
import { createTexts } from './texts.js';

/** For so long nothing is shown, or what was, until the texts of a language are there. Then they are English. */
const MAX_WAIT_MS = 2_000;
const RETRY_MS = 20_000;
/** Properties that are attributes, too. */
const REFLECTED = ['edge', 'channel', 'heading'];
/** Those that are on or off. */
const SWITCHES = ['popup', 'compact', 'open', 'deletable'];
/** @type {CSSStyleSheet | undefined} */
let sheet;
/** @type {string} */
export let moduleUrl;
/** Name of the element. Another version of the widget may have taken the usual one. */
export let tag = 'chat-widget';
/** All widgets of a page share the stream of their edge. @type {Map<string, import('./client/core.js').Core>} */
const clients = new Map();
/** The texts in other languages than English that are loaded. @type {Record<string, object>} */
const translations = {};
// Imported on a server, the module does nothing.
const Base = globalThis.HTMLElement ?? class {};

/**
 * A live, signed-in chat with a Kafka-backed service, through a Causeway edge. docs/widget.md tells the whole contract.
 * A test compares it, and this list, with the sources.
 *
 * Attributes
 *   edge       origin of the edge; default: the origin this module was loaded from
 *   channel    channel that messages are posted to; default `chat`
 *   heading    title of the widget; default `strings.heading`
 *   lang       language of texts, times and days; default: the document's, or else the browser's
 *   popup      sign in in a window of its own, and never leave this page
 *   compact    a button in the corner of the page, which opens the chat
 *   open       with `compact`: whether the chat is open. The widget sets and removes it, and so may the page
 *   deletable  users may ask the backend to delete what they have written
 *
 * Properties (may be set before the element is defined, and at any time)
 *   strings    replacements for any of the texts in strings.js, in any language
 *   edge, channel, heading    as the attributes
 *   popup, compact, open, deletable    whether the attribute is there
 *   status     read-only: connecting | online | reconnecting | offline | signed-out | ended
 *
 * Events (bubble, cross shadow boundaries)
 *   chat-status    detail: { status }
 *   chat-message   detail: { id, role, text }; a complete message arrived, history included
 *   chat-unread    detail: { count }; how many messages the user has not seen
 *   chat-toggle    detail: { open }; a compact chat was opened or closed
 *
 * Methods
 *   focus()    to the text field
 *
 * States: `:state(connecting)`, `:state(online)` and so on, one at a time
 *
 * Parts: shell, header, mark, heading, status, name, sign-out, log, messages, message, user, assistant, bubble, meta,
 *   retry, cancel, gap, note, composer, input, send, sign-in, sign-in-link, other-account; of messages: day, unread,
 *   latest, older, limit, actions, copy-message, delete-message, code, copy, table, quote, link, attachments,
 *   attachment; compact: launcher, badge, close; form/module.js has those of forms
 *
 * Custom properties
 *   --chat-accent, --chat-on-accent     own messages, buttons
 *   --chat-surface, --chat-raised       background; assistant's bubbles and fields
 *   --chat-text, --chat-muted           text; secondary text
 *   --chat-border, --chat-radius, --chat-shadow
 *   --chat-font, --chat-font-size       default: the browser's own size
 *   --chat-mono                         font of code
 *   --chat-height                       default: the parent's height if it has one, else --chat-min-height
 *   --chat-min-height                   default 480px
 *   --chat-width, --chat-offset, --chat-layer    compact: width of the open chat, distance from the corner, z-index
 * Colours follow `color-scheme`: set `chat-widget { color-scheme: light }` on a page that is never dark.
 *
 * Slots: none. The widget shows the stream's content only, none of the page's.
 */
export class ChatWidget extends Base {
  static observedAttributes = [...REFLECTED, ...SWITCHES, 'lang'];
  /** Tells whether a class of the same name is this one. The build puts it in. */
  static build = BUILD_ID;

  #internals = this.attachInternals();
  // A server may have rendered the first state.
  #root = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
  #texts = createTexts();
  /** @type {import('./chat.js').Chat | undefined} */
  #chat;
  /** What the chat was started with. */
  #started = '';
  /** @type {Partial<import('./strings.js').Strings>} */
  #strings = {};
  /** The language whose texts are waited for. */
  #awaited = '';
  /** The one whose texts were waited for long enough. */
  #missed = '';
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retryTimer;
  /** @type {import('./client/core.js').State} */
  #status = 'connecting';

  constructor() {
    super();
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
    }
    this.#root.adoptedStyleSheets = [sheet];
    // Set before the element was defined, a property hides the accessor of the same name.
    const own = /** @type {any} */ (this);
    for (const name of ['strings', ...REFLECTED, ...SWITCHES]) {
      const value = own[name];
      if (delete own[name] && value) own[name] = value;
    }
  }

  get strings() {
    return this.#strings;
  }

  set strings(value) {
    this.#strings = value ?? {};
    this.#apply();
  }

  get status() {
    return this.#status;
  }

  /** @override */
  focus() {
    this.#chat?.focus();
  }

  connectedCallback() {
    this.#apply();
  }

  disconnectedCallback() {
    // Moved by `append`, the element is back before this runs.
    queueMicrotask(() => this.isConnected || this.#chat?.disconnect());
  }

  /** Its presence lets `moveBefore` move the element without a call of the two above. */
  connectedMoveCallback() {}

  /** @param {string} name @param {string | null} _before @param {string | null} value */
  attributeChangedCallback(name, _before, value) {
    // Frameworks write what they have.
    if (value === 'false' && SWITCHES.includes(name)) this.removeAttribute(name);
    // The launcher sees that by itself.
    else if (name !== 'open') this.#apply();
  }

  /** Applies the options to what is there. Only another edge or channel is another chat. */
  #apply() {
    if (!this.isConnected) return;
    const language = this.lang || document.documentElement.lang || `${navigator.languages[0]}`;
    const isEnglish = /^en(?![a-z])/i.test(language);
    if (this.hasAttribute('compact') || !isEnglish)
      load('./adapt.js', () => import('./adapt.js'))
        .then(({ adapt }) => adapt(this, language, this.#strings))
        .then(
          (translation) => {
            if (translations[language] === translation) return;
            translations[language] = translation;
            this.#apply();
          },
          () => {
            this.#miss(language);
            // Nobody else would ask again: a launcher that is not there can't be pressed.
            clearTimeout(this.#retryTimer);
            this.#retryTimer = setTimeout(() => this.#apply(), RETRY_MS);
          },
        );
    if (isEnglish || translations[language] || language === this.#missed) {
      const strings = { ...STRINGS, ...translations[language], ...this.#strings };
      strings.heading = this.getAttribute('heading') ?? strings.heading;
      this.#texts.update(strings, language);
    } else if (language !== this.#awaited) {
      this.#awaited = language;
      setTimeout(() => this.#miss(language), MAX_WAIT_MS);
    }
    const edge = edgeOrigin(this.getAttribute('edge'));
    const channel = this.getAttribute('channel') || 'chat';
    const options = `${edge} ${channel}`;
    if (options !== this.#started) {
      this.#chat?.disconnect();
      this.#started = options;
      let client = clients.get(edge);
      if (!client) clients.set(edge, (client = createCore(edge)));
      this.#chat = createChat(this.#root, {
        client,
        channel,
        texts: this.#texts,
        onStatus: (status) => this.#onStatus(status),
        onMessage: (detail) => this.#emit('chat-message', detail),
      });
    }
    this.#chat?.showTexts();
    this.#chat?.connect();
  }

  /** Stops to wait for the texts of a language. @param {string} language */
  #miss(language) {
    if (language !== this.#awaited || language === this.#missed || translations[language]) return;
    this.#missed = language;
    this.#apply();
  }

  /** @param {import('./client/core.js').State} status */
  #onStatus(status) {
    // Older browsers have no custom states, or demand dashes. The event and the property carry the same information.
    const { states } = this.#internals;
    try {
      states.clear();
      states.add(status);
    } catch {
      states?.add(`--${status}`);
    }
    this.#status = status;
    this.#emit('chat-status', { status });
  }

  /**
   * @param {string} name
   * @param {object} detail
   */
  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }
}

for (const name of REFLECTED) {
  Object.defineProperty(ChatWidget.prototype, name, {
    /** @this {ChatWidget} */
    get() {
      return this.getAttribute(name);
    },
    /** @this {ChatWidget} @param {string | null | undefined} value */
    set(value) {
      if (value) this.setAttribute(name, value);
      else this.removeAttribute(name);
    },
  });
}

for (const name of SWITCHES) {
  Object.defineProperty(ChatWidget.prototype, name, {
    /** @this {ChatWidget} */
    get() {
      return this.hasAttribute(name);
    },
    /** @this {ChatWidget} @param {unknown} value */
    set(value) {
      this.toggleAttribute(name, Boolean(value));
    },
  });
}

/**
 * @param {string | null} edge
 * @throws {TypeError} if that is no http(s) URL
 */
function edgeOrigin(edge) {
  const { origin } = new URL(edge || moduleUrl, document.baseURI);
  if (origin === 'null') throw new TypeError('no edge');
  return origin;
}

/**
 * @param {string} url of this module; its origin is the default edge
 */
export function define(url) {
  moduleUrl = url;
  if (!globalThis.customElements) return;
  const defined = () => /** @type {typeof ChatWidget | undefined} */ (customElements.get(tag));
  // A page may load the module twice, under its stable and its hashed name. Other classes may be of another version.
  if ((defined() ?? ChatWidget).build !== ChatWidget.build) tag += `-${ChatWidget.build}`;
  if (!defined()) customElements.define(tag, ChatWidget);
}
