// The messages of a conversation, in order: a pure store without DOM, network or clock. Records of the stream and
// messages that the user sends go in.
//
// The stream defines the order. Messages of this page that are not in it yet come last; each moves to its place in the
// stream when its echo arrives. A message that is here already changes nothing, so replayed history is
// harmless.

/**
 * @typedef {'sending' | 'sent' | 'failed' | 'streaming' | 'stalled' | 'done'} MessageState
 *   sending: not accepted yet; sent: accepted (202), echo not received yet; failed: rejected, can be retried;
 *   an echo says nothing about acceptance, since it is written apart from the message;
 *   streaming: deltas arrive; stalled: deltas stopped arriving; done: complete and in the stream's order.
 *
 * @typedef {object} Message
 * @property {string} key never changes while the page is open, unlike `id`
 * @property {string | null} id assigned by the server; null until known
 * @property {'user' | 'assistant' | 'gap'} role `gap`: messages may be missing here
 * @property {string} text
 * @property {MessageState} state
 * @property {number} time milliseconds since 1970
 * @property {string} [cursor] place in the stream: the SSE id of its first event; of a gap, of the last one before it
 * @property {string} [latest] the SSE id of the event that it was last set by
 * @property {string} [problem] why sending failed, if it did and there is something to say about it
 * @property {unknown} [form] definition of a form that the user is asked to fill in
 * @property {unknown} [answer] the data of the event with which some page of the user has answered it; with the promise
 *   `sent` if it is still being sent
 * @property {unknown} [attachments] list of files to link to
 * @property {number} [change] number of the latest change; no two changes have the same
 */

/** The most messages that are kept. */
export const MAX_MESSAGES = 10_000;
/** The most characters of their texts. */
export const MAX_CHARACTERS = 20_000_000;
/** How many changes there are between two looks at the number of characters. */
const LOOK_EVERY = 100;
/** Id of the message that only says that an answer is on its way. No other can have it. */
const TYPING = '\0';
/** How far the clocks of the browser and of the edge may differ. */
const MAX_SKEW_MS = 60_000;

export function createConversation() {
  /** @type {Message[]} */
  let messages = [];
  /** @type {Map<string, Message>} */
  const byId = new Map();
  /** Next sequence number of each unfinished message. @type {Map<Message, number>} */
  const nextSeqs = new Map();
  let changes = 0;
  /** SSE id of the event that is being recorded. @type {string | undefined} */
  let cursor;
  /** After how many changes the characters are counted. */
  let lookedAt = 0;
  /** Answers that are being sent, by the id of a form that is still to come. @type {Map<unknown, unknown>} */
  const early = new Map();
  /**
   * SSE ids of deletions, by what they delete. Earlier pages may still have it.
   * @type {Map<unknown, string | undefined>}
   */
  const deleted = new Map();

  /**
   * Numbers each change, so that what shows the messages need not compare them.
   * @param {Message} message
   * @param {Partial<Message>} values
   */
  function change(message, values) {
    changes += 1;
    return Object.assign(message, values, { change: changes });
  }

  /** @param {string} key */
  const byKey = (key) => messages.find((message) => message.key === key);

  /**
   * Inserts a message after all that are in the stream and before those that are not in it yet.
   * @param {Message} message
   */
  function insert(message) {
    takeOut(message);
    let index = messages.length;
    // From the end, since there may be thousands. Accepted ones may be among those that are not.
    for (
      let i = index - 1, other;
      (other = messages[i]) && !other.cursor && other.state !== 'done' && !nextSeqs.has(other);
      i -= 1
    )
      if (isUnconfirmed(other)) index = i;
    messages.splice(index, 0, message);
    let excess = messages.length - MAX_MESSAGES;
    if (changes >= lookedAt) {
      lookedAt = changes + LOOK_EVERY;
      let room = MAX_CHARACTERS;
      excess = Math.max(excess, messages.findLastIndex(({ text }) => (room -= text.length) < 0) + 1);
    }
    if (excess > 0) for (const oldest of messages.slice(0, excess)) if (!isUnconfirmed(oldest)) remove(oldest);
  }

  /** @param {Message} message */
  function takeOut(message) {
    const index = messages.indexOf(message);
    if (index >= 0) messages.splice(index, 1);
  }

  /** @param {Message} message */
  function remove(message) {
    takeOut(message);
    nextSeqs.delete(message);
    byId.delete(message.id ?? '');
  }

  /**
   * @param {string} id
   * @param {'user' | 'assistant'} role
   * @param {string} text
   * @param {number} time
   * @param {unknown} form
   * @param {unknown} attachments
   */
  function addMessage(id, role, text, time, form, attachments) {
    let message = byId.get(id);
    /** @type {Omit<Message, 'key'>} */
    const values = { id, role, text, state: 'done', time, form, attachments, latest: cursor };
    if (!message) {
      message = change({ key: id, ...values, cursor, answer: early.get(id) }, {});
      byId.set(id, message);
      insert(message);
      return message;
    }
    const wasStreamed = nextSeqs.delete(message);
    const wasOwn = message.state !== 'done' && !wasStreamed && !message.cursor;
    // Only the answer to a message tells that it is accepted.
    if (isUnconfirmed(message)) values.state = message.state;
    byId.set(id, change(message, values));
    if (wasOwn) {
      message.cursor = cursor;
      insert(message);
    }
    return wasOwn || wasStreamed ? message : undefined;
  }

  /**
   * @param {string} id
   * @param {number} seq
   * @param {string} text
   * @param {number} time
   */
  function addDelta(id, seq, text, time) {
    let message = byId.get(id);
    if (!message) {
      message = { key: id, id, role: 'assistant', text: '', state: 'streaming', time, cursor };
      byId.set(id, message);
      nextSeqs.set(message, 0);
      insert(message);
    }
    const next = nextSeqs.get(message);
    // The message is complete already, or the delta is a repeat.
    if (next === undefined || seq < next) return;
    change(message, { state: 'streaming', text: message.text + (seq > next ? `…${text}` : text) });
    nextSeqs.set(message, seq + 1);
  }

  /**
   * Takes out a message of the user that the server has not accepted.
   * @param {string} key
   * @param {boolean} [isElsewhere] another tab sends it: it stays where its echo is
   * @returns {string} its text; empty if it is accepted by now
   */
  function take(key, isElsewhere) {
    const message = byKey(key);
    if (!message || !isUnconfirmed(message)) return '';
    if (isElsewhere && message.cursor) change(message, { state: 'done' });
    else remove(message);
    return message.text;
  }

  /**
   * Notes the id that the server will give a message of the user, or has given it: its echo may be there already.
   * @param {string} key
   * @param {string} id
   */
  function expect(key, id) {
    const message = byKey(key);
    if (!message || message.state === 'done') return undefined;
    byId.delete(message.id ?? '');
    message.id = id;
    const echo = byId.get(id);
    if (echo) {
      takeOut(message);
      messages[messages.indexOf(echo)] = message;
      message.cursor = echo.cursor;
    }
    byId.set(id, message);
    return message;
  }

  return {
    /** In order. catch-up.js changes the order. @returns {readonly Message[]} */
    all: () => messages,

    deleted,

    /** Those that were not sent. */
    unsent: () => messages.filter(isUnconfirmed),

    /** Removes everything, since the user has changed or signed out. */
    empty() {
      messages = [];
      byId.clear();
      early.clear();
      deleted.clear();
      nextSeqs.clear();
    },

    /**
     * Adds a message of the user before the server has it. It may be sent again: where its echo is, if that is here.
     * @param {string} key
     * @param {string} text
     * @param {number} now
     */
    post(key, text, now) {
      const message = byKey(key);
      if (message?.cursor) return void change(message, { state: 'sending' });
      take(key);
      messages.push(change({ key, id: null, role: 'user', text, state: 'sending', time: now }, {}));
    },

    expect,

    /**
     * Records that the server accepted a message of the user.
     * @param {string} key
     * @param {string} id
     */
    accept(key, id) {
      const message = expect(key, id);
      if (message) change(message, { state: message.cursor ? 'done' : 'sent' });
    },

    /**
     * @param {string} key
     * @param {string} [problem]
     */
    fail(key, problem) {
      const message = byKey(key);
      if (message) change(message, { state: 'failed', problem });
    },

    take,

    /**
     * Marks that messages may be missing before the next record.
     * @param {number} now
     * @param {string} [heard] SSE id of the last event before
     */
    markGap(now, heard) {
      const last = messages.findLast((message) => !isUnconfirmed(message));
      // Whoever fills it must know that more is missing.
      if (last?.role === 'gap') return void change(last, {});
      const key = crypto.randomUUID();
      insert(change({ key, id: null, role: 'gap', text: '', state: 'done', time: now, cursor: heard }, {}));
    },

    /** Marks unfinished messages as interrupted, after a long time without a delta. A later delta resumes them. */
    stall() {
      const typing = byId.get(TYPING);
      if (typing) remove(typing);
      for (const message of nextSeqs.keys()) change(message, { state: 'stalled' });
    },

    /**
     * Applies one event of the stream.
     * @param {unknown} event the CloudEvent
     * @param {number} now
     * @param {string} [place] its SSE id
     * @returns {Message | undefined} the message that it completed
     */
    record(event, now, place) {
      cursor = place;
      // A record may hold anything. For a value that is not an object, all of these are undefined.
      const { echo, id: eventId, type, time, data } = Object(event);
      const { id: messageId, form, attachments, text = (form || attachments) && '', seq, role, sent } = Object(data);
      const timeMs = Date.parse(time) || now;
      if (!echo) {
        // Whatever the backend says ends what it was typing.
        for (const gone of [byId.get(TYPING), type === 'delete' && byId.get(messageId)]) if (gone) remove(gone);
        if (type === 'delete') {
          if (deleted.size > MAX_MESSAGES) deleted.clear();
          deleted.set(messageId, place);
        }
        // Replayed, it is over.
        if (type === 'typing' && now - timeMs < MAX_SKEW_MS) addDelta(TYPING, 0, '', timeMs);
      } else if (type === 'form') {
        const asked = byId.get(form);
        if (asked) change(asked, { answer: data });
        // Only this page's own answers have a promise.
        else if (sent?.then) early.set(form, data);
      }
      // An echo holds what some page of the user sent. Its id is the one that the page was answered with.
      const id = !echo && isId(messageId) ? messageId : eventId;
      if (!isId(id) || typeof text !== 'string') return undefined;
      if (type === 'message' || (type === 'form' && form && !echo)) {
        const author = echo || role === 'user' ? 'user' : 'assistant';
        return addMessage(id, author, text, timeMs, !echo && form, attachments);
      }
      if (type === 'delta' && !echo && Number.isSafeInteger(seq) && seq >= 0) addDelta(id, seq, text, timeMs);
      return undefined;
    },
  };
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
