// The custom element and `mount`, the two ways to embed the widget in a page.

import { Chat } from './chat.js';
import { STRINGS } from './strings.js';
import css from './style.css';

const TAG = 'chat-widget';
/** @type {CSSStyleSheet | undefined} */
let sheet;
/** @type {string | undefined} */
let moduleUrl;

/**
 * A live, signed-in chat with a Kafka-backed service, through a Causeway edge.
 *
 * Attributes
 *   edge       origin of the edge; default: the origin this module was loaded from
 *   channel    channel that messages are posted to; default `chat`
 *   heading    title of the widget; default `strings.heading`
 *   lang       language of times and days; default: the document's
 *
 * Properties
 *   strings    replacements for any of the texts in strings.js
 *   status     read-only: connecting | online | reconnecting | offline | signed-out | ended
 *
 * Events (bubble, cross shadow boundaries)
 *   chat-status    detail: { status }
 *   chat-message   detail: { id, role, text }; a complete message arrived, history included
 *
 * States: `:state(connecting)`, `:state(online)` and so on, one at a time
 *
 * Parts: shell, header, mark, heading, status, name, sign-out, log, messages, message, user, assistant, bubble, meta,
 *   retry, gap, latest, note, composer, input, send, sign-in, sign-in-link, other-account
 *
 * Custom properties
 *   --chat-accent, --chat-on-accent     own messages, buttons
 *   --chat-surface, --chat-raised       background; assistant's bubbles and fields
 *   --chat-text, --chat-muted           text; secondary text
 *   --chat-border, --chat-radius, --chat-font, --chat-shadow
 *   --chat-height                       default: the parent's height if it has one, else --chat-min-height
 *   --chat-min-height                   default 30rem
 * Colours follow `color-scheme`: set `chat-widget { color-scheme: light }` on a page that is never dark.
 *
 * Slots: none. The widget shows the stream's content only, none of the page's.
 */
export class ChatWidget extends HTMLElement {
  static observedAttributes = ['edge', 'channel', 'heading', 'lang'];

  #internals = this.attachInternals();
  #root = this.attachShadow({ mode: 'open' });
  /** @type {Chat | undefined} */
  #chat;
  /** @type {Partial<typeof STRINGS>} */
  #strings = {};
  #status = 'connecting';

  constructor() {
    super();
    if (!sheet) {
      sheet = new CSSStyleSheet();
      sheet.replaceSync(css);
    }
    this.#root.adoptedStyleSheets = [sheet];
  }

  get strings() {
    return this.#strings;
  }

  set strings(value) {
    this.#strings = value;
    this.#restart();
  }

  get status() {
    return this.#status;
  }

  /** @override */
  focus() {
    this.#chat?.focus();
  }

  connectedCallback() {
    const strings = { ...STRINGS, ...this.#strings };
    strings.heading = this.getAttribute('heading') ?? strings.heading;
    this.#chat = new Chat(this.#root, {
      edge: edgeOrigin(this.getAttribute('edge')),
      channel: this.getAttribute('channel') ?? 'chat',
      strings,
      language: this.lang || document.documentElement.lang || undefined,
      onStatus: (status) => this.#onStatus(status),
      onMessage: (detail) => this.#emit('chat-message', detail),
    });
    this.#chat.connect();
  }

  disconnectedCallback() {
    this.#chat?.disconnect();
    this.#chat = undefined;
  }

  /** Its presence lets `moveBefore` move a running chat. Without it, the chat would end and a new one start. */
  connectedMoveCallback() {}

  /**
   * @param {string} _name
   * @param {string | null} oldValue
   * @param {string | null} newValue
   */
  attributeChangedCallback(_name, oldValue, newValue) {
    if (oldValue !== newValue) this.#restart();
  }

  #restart() {
    if (!this.#chat) return;
    this.disconnectedCallback();
    this.connectedCallback();
  }

  /** @param {string} status */
  #onStatus(status) {
    // Older browsers have no custom states. The event and the property carry the same information.
    this.#internals.states?.delete(this.#status);
    this.#internals.states?.add(status);
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

/**
 * @param {string | null} edge
 * @throws {TypeError} if that is no http(s) URL
 */
function edgeOrigin(edge) {
  const url = new URL(edge || moduleUrl || '', document.baseURI);
  if (!/^https?:$/.test(url.protocol)) throw new TypeError(`${TAG}: set "edge" to the origin of the edge`);
  return url.origin;
}

/**
 * @param {string | undefined} url of this module; its origin is the default edge
 */
export function define(url) {
  moduleUrl = url;
  // A page may load the module twice, under its stable and its hashed name.
  if (!customElements.get(TAG)) customElements.define(TAG, ChatWidget);
}

/**
 * Adds the widget to an element of the page.
 *
 * @param {Element} parent usually a `div`; its other children stay
 * @param {{ edge?: string, channel?: string, heading?: string, lang?: string,
 * strings?: Partial<typeof STRINGS> }} [options]
 * @returns {() => void} removes the widget and ends its connections; safe to call again
 */
export function mount(parent, { strings = {}, ...attributes } = {}) {
  const widget = /** @type {ChatWidget} */ (document.createElement(TAG));
  widget.strings = strings;
  for (const [name, value] of Object.entries(attributes)) if (value) widget.setAttribute(name, value);
  parent.append(widget);
  return () => widget.remove();
}
