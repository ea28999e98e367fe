// What was said, in order: a pure store, fed by the stream and by the person typing. No DOM, no network, no clock.
//
// Order is the stream's. What this page sent but the server has not taken yet stands behind it, and moves to its
// place in the stream once its echo arrives. A record seen before changes nothing, so a replayed history is harmless.

/**
 * @typedef {'sending' | 'sent' | 'failed' | 'streaming' | 'stalled' | 'done'} MessageState
 *   sending: not accepted yet; sent: accepted (202), not yet heard back; failed: refused, can be retried;
 *   streaming: pieces arrive; stalled: pieces stopped arriving; done: complete and in the stream's order.
 *
 * @typedef {object} Message
 * @property {string} key stable for the page's life, whatever happens to `id`
 * @property {string | null} id the server's id, once known
 * @property {'user' | 'assistant' | 'gap'} role a `gap` marks where messages may be missing
 * @property {string} text
 * @property {MessageState} state
 * @property {number} time milliseconds since 1970
 * @property {string} [problem] why sending failed
 */

const MAX_MESSAGES = 500;
// Four times what a snapshot holds, so the overlap between two snapshots is always recognised.
const MAX_SEEN = 2_000;

export class Conversation {
  /** @type {Message[]} */
  #messages = [];
  /** @type {Map<string, Message>} */
  #byId = new Map();
  /** What sequence number an unfinished message goes on with. @type {Map<Message, number>} */
  #pieces = new Map();
  /** @type {Set<string>} */
  #seen = new Set();
  #awaitsOverlap = false;
  #gaps = 0;

  /** @returns {readonly Message[]} */
  get messages() {
    return this.#messages;
  }

  /**
   * Forgets everything: another user, or none.
   * @returns {string[]} the texts that were not sent
   */
  clear() {
    const unsent = this.#messages.filter(isUnconfirmed).map(({ text }) => text);
    this.#messages = [];
    this.#byId.clear();
    this.#pieces.clear();
    this.#seen.clear();
    this.#awaitsOverlap = false;
    return unsent;
  }

  /**
   * Shows an own message before the server has it.
   * @param {string} key
   * @param {string} text
   * @param {number} now
   */
  post(key, text, now) {
    this.#messages.push({ key, id: null, role: 'user', text, state: 'sending', time: now });
  }

  /**
   * The server took an own message and named it.
   * @param {string} key
   * @param {string} id
   */
  accepted(key, id) {
    const message = this.#own(key);
    if (!message || message.id === id) return;
    if (message.id !== null) {
      // An equal text from another tab was taken for this one's echo; this one is still to come.
      if (this.#byId.has(id)) return;
      const twin = /** @type {Message} */ ({ ...message, key: `${key}:${id}`, id, state: 'sent' });
      this.#byId.set(id, twin);
      this.#place(twin);
    } else if (this.#byId.has(id)) {
      this.#remove(message);
    } else {
      message.id = id;
      message.state = 'sent';
      this.#byId.set(id, message);
    }
  }

  /**
   * @param {string} key
   * @param {string} [problem]
   */
  failed(key, problem) {
    const message = this.#own(key);
    if (message?.state !== 'sending') return;
    message.state = 'failed';
    message.problem = problem;
  }

  /**
   * A failed message gives way to a new one with its text: the server may hold its key against it.
   * @param {string} key
   * @param {(text: string) => boolean} send false keeps it
   */
  resend(key, send) {
    const message = this.#own(key);
    if (message?.state === 'failed' && send(message.text)) this.#remove(message);
  }

  /** A new stream begins with a snapshot instead of where the last one stopped: it should overlap what is known. */
  snapshot() {
    this.#awaitsOverlap = this.#seen.size > 0;
  }

  /**
   * What comes next need not follow what came before.
   * @param {number} now
   */
  gap(now) {
    this.#awaitsOverlap = false;
    const before = this.#messages.findLast((m) => !isUnconfirmed(m));
    if (before?.role === 'gap') return;
    this.#gaps += 1;
    this.#place({ key: `gap-${this.#gaps}`, id: null, role: 'gap', text: '', state: 'done', time: now });
  }

  /** No piece has come for long: whoever was writing has stopped. A later piece goes on. */
  stall() {
    for (const message of this.#pieces.keys()) message.state = 'stalled';
  }

  /**
   * Takes one record of the stream.
   * @param {string} cursor the SSE id; empty if the server set none
   * @param {unknown} event the CloudEvent
   * @param {number} now
   * @returns {Message | undefined} the message this record completed
   */
  record(cursor, event, now) {
    if (cursor) {
      if (this.#seen.has(cursor)) {
        this.#awaitsOverlap = false;
        return undefined;
      }
      if (this.#awaitsOverlap) this.gap(now);
      this.#seen.add(cursor);
      if (this.#seen.size > MAX_SEEN) this.#seen.delete(/** @type {string} */ (this.#seen.values().next().value));
    }
    // Anything may stand in a record; what is no object has none of these.
    const { id: eventId, type, time, data } = Object(event);
    const { id: named, text, seq, role } = Object(data);
    const id = isId(named) ? named : eventId;
    if (!isId(id) || typeof text !== 'string') return undefined;
    const at = Date.parse(time) || now;
    if (type === 'message') return this.#whole(id, role === 'user' ? 'user' : 'assistant', text, at);
    if (type === 'delta' && Number.isSafeInteger(seq) && seq >= 0) this.#piece(id, seq, text, at);
    return undefined;
  }

  /**
   * @param {string} id
   * @param {'user' | 'assistant'} role
   * @param {string} text
   * @param {number} time
   */
  #whole(id, role, text, time) {
    let message = this.#byId.get(id);
    if (!message && role === 'user') {
      // The echo may overtake the answer to the POST that would name it.
      message = this.#messages.find((m) => m.state === 'sending' && m.text === text);
    }
    if (!message) {
      message = { key: id, id, role, text, state: 'done', time };
      this.#byId.set(id, message);
      this.#place(message);
      return message;
    }
    const wasOpen = message.state !== 'done';
    const wasOwn = wasOpen && !this.#pieces.has(message);
    this.#pieces.delete(message);
    this.#byId.set(id, Object.assign(message, { id, role, text, time, state: 'done' }));
    if (wasOwn) this.#place(message);
    return wasOpen ? message : undefined;
  }

  /**
   * @param {string} id
   * @param {number} seq
   * @param {string} text
   * @param {number} time
   */
  #piece(id, seq, text, time) {
    let message = this.#byId.get(id);
    if (!message) {
      message = { key: id, id, role: 'assistant', text: '', state: 'streaming', time };
      this.#byId.set(id, message);
      this.#pieces.set(message, 0);
      this.#place(message);
    }
    const next = this.#pieces.get(message);
    // Complete already, or a piece written twice.
    if (next === undefined || seq < next) return;
    message.state = 'streaming';
    message.text += seq > next ? `…${text}` : text;
    this.#pieces.set(message, seq + 1);
  }

  /**
   * Puts a message behind all that is in the stream and before what is not in it yet.
   * @param {Message} message
   */
  #place(message) {
    const rest = this.#messages.filter((m) => m !== message);
    const at = rest.findIndex(isUnconfirmed);
    rest.splice(at < 0 ? rest.length : at, 0, message);
    this.#messages = rest;
    const oldest = rest[0];
    if (rest.length > MAX_MESSAGES && oldest && !isUnconfirmed(oldest)) this.#remove(oldest);
  }

  /** @param {Message} message */
  #remove(message) {
    this.#messages = this.#messages.filter((m) => m !== message);
    this.#pieces.delete(message);
    if (message.id !== null) this.#byId.delete(message.id);
  }

  /** @param {string} key */
  #own(key) {
    return this.#messages.find((m) => m.key === key);
  }
}

/** @param {Message} message */
function isUnconfirmed(message) {
  return message.state === 'sending' || message.state === 'failed';
}

/**
 * @param {unknown} value
 * @returns {value is string}
 */
function isId(value) {
  return typeof value === 'string' && value !== '';
}
