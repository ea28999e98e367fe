// The message list. Updates the DOM to match the conversation with as few changes as possible, and stays scrolled to
// the newest message unless the user has scrolled away.

import { element, icon } from './dom.js';

/** @typedef {import('./conversation.js').Message} Message */
/**
 * @typedef {{ item: HTMLLIElement, day: HTMLElement, text: Text, meta: HTMLElement, rendered: string }} Row
 *   rendered: what the row was last rendered from, except its text
 */

const NEAR_END_PX = 80;

export class MessageList {
  #strings;
  #onRetry;
  #language;
  #list = element('ol', { part: 'messages' });
  #empty;
  /** @type {Map<string, Row>} */
  #rows = new Map();
  #isAtEnd = true;
  /** Whether unsent messages are being sent, or wait for a connection. */
  online = false;

  /**
   * @param {import('./strings.js').Strings} strings
   * @param {string | undefined} language of times and days
   * @param {(key: string) => void} onRetry
   */
  constructor(strings, language, onRetry) {
    this.#strings = strings;
    this.#language = language;
    this.#onRetry = onRetry;
    this.#empty = element(
      'div',
      { class: 'empty' },
      element('strong', {}, strings.emptyTitle),
      element('span', {}, strings.emptyText),
    );
    // Announcer does the announcing: as a live region, the log would read out every piece of a streamed answer.
    const log = { part: 'log', role: 'log', 'aria-live': 'off', 'aria-label': strings.heading, tabindex: '0' };
    this.scroller = element('div', log, this.#empty, this.#list);
    this.latest = element(
      'button',
      { part: 'latest', type: 'button', hidden: '', 'aria-label': strings.latest },
      icon('M12 5v14m-6-6 6 6 6-6'),
    );
    this.scroller.onscroll = () => this.#onScroll();
    // A growing composer shrinks the list.
    new ResizeObserver(() => this.#isAtEnd && this.scrollToEnd()).observe(this.scroller);
    this.latest.onclick = () => this.scrollToEnd();
  }

  scrollToEnd() {
    this.#isAtEnd = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  /** @param {readonly Message[]} messages */
  update(messages) {
    const removed = new Set(this.#rows.keys());
    this.#empty.hidden = messages.length > 0;
    let next = this.#list.firstChild;
    messages.forEach((message, i) => {
      removed.delete(message.key);
      const row = this.#row(message);
      this.#render(row, message, messages[i - 1], messages[i + 1]);
      if (row.item === next) next = next.nextSibling;
      else this.#list.insertBefore(row.item, next);
    });
    for (const key of removed) {
      this.#rows.get(key)?.item.remove();
      this.#rows.delete(key);
    }
    if (this.#isAtEnd) this.scrollToEnd();
  }

  /** @param {Message} message */
  #row(message) {
    let row = this.#rows.get(message.key);
    if (!row) {
      const text = document.createTextNode('');
      const day = element('div', { class: 'day' });
      const meta = element('div', { part: 'meta' });
      const author = message.role === 'user' ? this.#strings.you : this.#strings.assistant;
      const item =
        message.role === 'gap'
          ? element('li', { part: 'gap' }, element('span', {}, this.#strings.gap))
          : element(
              'li',
              { part: `message ${message.role}` },
              day,
              element('span', { class: 'sr-only' }, `${author}: `),
              element('div', { part: 'bubble', dir: 'auto' }, text),
              meta,
            );
      row = { item, day, text, meta, rendered: '' };
      this.#rows.set(message.key, row);
    }
    return row;
  }

  /**
   * @param {Row} row
   * @param {Message} message
   * @param {Message | undefined} before
   * @param {Message | undefined} after
   */
  #render(row, message, before, after) {
    const old = row.text.data;
    // A growing text is appended to, so the user's selection in it survives.
    if (message.text.startsWith(old)) row.text.appendData(message.text.slice(old.length));
    else row.text.data = message.text;

    const date = new Date(message.time);
    const startsDay = !before || new Date(before.time).toDateString() !== date.toDateString();
    const isSettled = message.state === 'done' || message.state === 'sent';
    const endsGroup = !isSettled || after?.role !== message.role || after.time - message.time > 120_000;
    const rendered = [
      message.state,
      startsDay,
      endsGroup,
      before?.role === message.role,
      message.time,
      message.problem,
      this.online,
    ].join();
    if (rendered === row.rendered) return;
    row.rendered = rendered;
    row.item.dataset.state = message.state;
    row.item.classList.toggle('joined', !startsDay && before?.role === message.role);
    row.day.hidden = !startsDay;
    if (startsDay)
      row.day.textContent = date.toLocaleDateString(this.#language, { weekday: 'long', day: 'numeric', month: 'long' });
    row.meta.hidden = !endsGroup;
    row.meta.replaceChildren(...this.#meta(message, date));
  }

  /**
   * @param {Message} message
   * @param {Date} date
   * @returns {(Node | string)[]}
   */
  #meta({ key, state, problem }, date) {
    const strings = this.#strings;
    const time = element(
      'time',
      { datetime: date.toISOString() },
      date.toLocaleTimeString(this.#language, { timeStyle: 'short' }),
    );
    if (state === 'sending') return [this.online ? strings.sending : strings.waiting];
    if (state === 'sent') return [time, ` · ${strings.sent}`];
    if (state === 'stalled') return [strings.stalled];
    if (state === 'streaming') return [];
    if (state !== 'failed') return [time];
    const retry = element('button', { type: 'button', part: 'retry' }, strings.retry);
    retry.onclick = () => this.#onRetry(key);
    return [problem ? `${strings.failed}: ${problem}` : strings.failed, ' · ', retry];
  }

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.#isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END_PX;
    this.latest.hidden = this.#isAtEnd;
  }
}
