// The messages of a conversation, in order: a pure store without DOM, network or clock. Records of the stream and
// messages that the user sends go in.
//
// The stream defines the order. Messages of this page that the server has not accepted yet come last; each moves to its
// place in the stream when its echo arrives. A record that was seen before changes nothing, so replayed history is
// harmless.

/**
 * @typedef {'sending' | 'sent' | 'failed' | 'streaming' | 'stalled' | 'done'} MessageState
 *   sending: not accepted yet; sent: accepted (202), echo not received yet; failed: rejected, can be retried;
 *   streaming: deltas arrive; stalled: deltas stopped arriving; done: complete and in the stream's order.
 *
 * @typedef {object} Message
 * @property {string} key never changes while the page is open, unlike `id`
 * @property {string | null} id assigned by the server; null until known
 * @property {'user' | 'assistant' | 'gap'} role `gap`: messages may be missing here
 * @property {string} text
 * @property {MessageState} state
 * @property {number} time milliseconds since 1970
 * @property {string} [problem] why sending failed
 */

const MAX_MESSAGES = 500;
// Four times the size of a snapshot, so the overlap between two snapshots is always recognised.
const MAX_SEEN = 2_000;

export class Conversation {
  /** @type {Message[]} */
  #messages = [];
  /** @type {Map<string, Message>} */
  #byId = new Map();
  /** Next sequence number of each unfinished message. @type {Map<Message, number>} */
  #nextSeqs = new Map();
  /** @type {Set<string>} */
  #seen = new Set();
  #awaitsOverlap = false;
  #gaps = 0;

  /** @returns {readonly Message[]} */
  get messages() {
    return this.#messages;
  }

  /**
   * Removes everything, since the user has changed or signed out.
   * @returns {string[]} the texts that were not sent
   */
  clear() {
    const unsent = this.#messages.filter(isUnconfirmed).map(({ text }) => text);
    this.#messages = [];
    this.#byId.clear();
    this.#nextSeqs.clear();
    this.#seen.clear();
    this.#awaitsOverlap = false;
    return unsent;
  }

  /**
   * Adds a message of the user before the server has it.
   * @param {string} key
   * @param {string} text
   * @param {number} now
   */
  post(key, text, now) {
    this.#messages.push({ key, id: null, role: 'user', text, state: 'sending', time: now });
  }

  /**
   * Records that the server accepted a message of the user and assigned its id.
   * @param {string} key
   * @param {string} id
   */
  accepted(key, id) {
    const message = this.#byKey(key);
    if (!message || message.id === id) return;
    if (message.id !== null) {
      // The echo of an equal text from another tab was mistaken for this message's. Its own echo is still to come.
      if (this.#byId.has(id)) return;
      const own = /** @type {Message} */ ({ ...message, key: `${key}:${id}`, id, state: 'sent' });
      this.#byId.set(id, own);
      this.#insert(own);
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
    const message = this.#byKey(key);
    if (message?.state !== 'sending') return;
    message.state = 'failed';
    message.problem = problem;
  }

  /**
   * Replaces a failed message by a new one with the same text. The server may reject the old idempotency key.
   * @param {string} key
   * @param {(text: string) => boolean} send returns false to keep the failed message
   */
  resend(key, send) {
    const message = this.#byKey(key);
    if (message?.state === 'failed' && send(message.text)) this.#remove(message);
  }

  /** A new stream starts with a snapshot, not where the last one stopped. Without an overlap there is a gap. */
  snapshot() {
    this.#awaitsOverlap = this.#seen.size > 0;
  }

  /**
   * Marks that messages may be missing before the next record.
   * @param {number} now
   */
  gap(now) {
    this.#awaitsOverlap = false;
    const last = this.#messages.findLast((m) => !isUnconfirmed(m));
    if (last?.role === 'gap') return;
    this.#gaps += 1;
    this.#insert({ key: `gap-${this.#gaps}`, id: null, role: 'gap', text: '', state: 'done', time: now });
  }

  /** Marks unfinished messages as interrupted, after a long time without a delta. A later delta resumes them. */
  stall() {
    for (const message of this.#nextSeqs.keys()) message.state = 'stalled';
  }

  /**
   * Applies one record of the stream.
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
    // A record may hold anything. For a value that is not an object, all of these are undefined.
    const { echo, id: eventId, type, time, data } = Object(event);
    const { id: messageId, text, seq, role } = Object(data);
    // An echo holds what some page of the user sent. Its id is the one that the page was answered with.
    const id = !echo && isId(messageId) ? messageId : eventId;
    if (!isId(id) || typeof text !== 'string') return undefined;
    const timeMs = Date.parse(time) || now;
    if (type === 'message') return this.#addMessage(id, echo || role === 'user' ? 'user' : 'assistant', text, timeMs);
    if (type === 'delta' && !echo && Number.isSafeInteger(seq) && seq >= 0) this.#addDelta(id, seq, text, timeMs);
    return undefined;
  }

  /**
   * @param {string} id
   * @param {'user' | 'assistant'} role
   * @param {string} text
   * @param {number} time
   */
  #addMessage(id, role, text, time) {
    let message = this.#byId.get(id);
    if (!message && role === 'user') {
      // The echo may overtake the response to the POST, which carries the id.
      message = this.#messages.find((m) => m.state === 'sending' && m.text === text);
    }
    if (!message) {
      message = { key: id, id, role, text, state: 'done', time };
      this.#byId.set(id, message);
      this.#insert(message);
      return message;
    }
    const wasIncomplete = message.state !== 'done';
    const wasOwn = wasIncomplete && !this.#nextSeqs.has(message);
    this.#nextSeqs.delete(message);
    this.#byId.set(id, Object.assign(message, { id, role, text, time, state: 'done' }));
    if (wasOwn) this.#insert(message);
    return wasIncomplete ? message : undefined;
  }

  /**
   * @param {string} id
   * @param {number} seq
   * @param {string} text
   * @param {number} time
   */
  #addDelta(id, seq, text, time) {
    let message = this.#byId.get(id);
    if (!message) {
      message = { key: id, id, role: 'assistant', text: '', state: 'streaming', time };
      this.#byId.set(id, message);
      this.#nextSeqs.set(message, 0);
      this.#insert(message);
    }
    const next = this.#nextSeqs.get(message);
    // The message is complete already, or the delta is a repeat.
    if (next === undefined || seq < next) return;
    message.state = 'streaming';
    message.text += seq > next ? `…${text}` : text;
    this.#nextSeqs.set(message, seq + 1);
  }

  /**
   * Inserts a message after all that are in the stream and before those that are not in it yet.
   * @param {Message} message
   */
  #insert(message) {
    const rest = this.#messages.filter((m) => m !== message);
    const index = rest.findIndex(isUnconfirmed);
    rest.splice(index < 0 ? rest.length : index, 0, message);
    this.#messages = rest;
    const oldest = rest[0];
    if (rest.length > MAX_MESSAGES && oldest && !isUnconfirmed(oldest)) this.#remove(oldest);
  }

  /** @param {Message} message */
  #remove(message) {
    this.#messages = this.#messages.filter((m) => m !== message);
    this.#nextSeqs.delete(message);
    if (message.id !== null) this.#byId.delete(message.id);
  }

  /** @param {string} key */
  #byKey(key) {
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
