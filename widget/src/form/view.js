// A rendered form: builds the fields, shows those that apply, tells what is wrong, and hands over the answers.

import { keepTyping } from '../composer.js';
import { element } from '../dom.js';
import { plural } from '../plural.js';
import { fill } from '../strings.js';
import { parseForm } from './definition.js';
import { Field, notices } from './field.js';
import { messageOf, usableLocale } from './message.js';
import { evaluate, flatten, initialValues } from './state.js';
import { FORM_STRINGS } from './strings.js';
import css from './style.css';
import { record, string } from './text.js';
import { getPath, normalize, setPath } from './value.js';
import { validate, validateComponent } from './validation.js';

/** @typedef {import('./definition.js').Component} Component */

// So that a page can style the parts of a form from outside of the widget.
const PARTS =
  'form,form-title,form-field,form-label,form-description,form-input,form-option,form-error,form-notice,form-panel,' +
  'form-columns,form-submit,form-reset,form-status';
/** The edge takes no larger event. */
const MAX_EVENT_BYTES = 64 * 1024;
/** @type {CSSStyleSheet | undefined} */
let sheet;

export class FormView {
  #form;
  #options;
  #strings;
  #locale;
  #id;
  /** @type {Map<Component, unknown>} */
  #values;
  /** @type {Map<Component, Field>} */
  #fields = new Map();
  /** What each component is shown by. @type {Map<Component, HTMLElement>} */
  #nodes = new Map();
  /** @type {HTMLButtonElement[]} */
  #buttons = [];
  #status = element('p', { part: 'form-status', role: 'status', tabindex: '-1' });
  /** Reads out what is shown beside a field. */
  #announcer = element('p', { class: 'sr-only', role: 'status' });
  #node;
  /** After the first attempt to send, an error goes as soon as the answer is right. */
  #wasAttempted = false;
  #isBusy = false;
  /** Ends with the click that is under way. @type {Promise<void> | undefined} */
  #press;

  /**
   * @param {unknown} definition
   * @param {import('./renderer.js').FormOptions} options
   */
  constructor(definition, options) {
    this.#options = options;
    this.#form = parseForm(definition);
    this.#strings = { ...FORM_STRINGS, ...pickStrings(options.strings) };
    this.#locale = usableLocale(options.locale);
    this.#id = string(options.id, 256) || this.#form.id;
    const submission = record(record(options.submission).data);
    this.#values = initialValues(this.#form.components, (input) => getPath(submission, input.path) ?? input.initial);
    this.#node = this.#build();
    this.element = element('div', { part: 'form-host', exportparts: PARTS });
    const root = this.element.attachShadow({ mode: 'open' });
    sheet ??= createSheet();
    root.adoptedStyleSheets = [sheet];
    root.append(this.#node);
    this.#update();
    if (options.sending) void this.#resume(options.sending);
    else if (record(options.submission).state === 'submitted') this.#showSent();
  }

  /** Removes the form. */
  destroy() {
    this.element.remove();
  }

  /** What is filled in so far. */
  get answers() {
    for (const [component, field] of this.#fields) this.#values.set(component, field.value);
    return evaluate(this.#form, this.#values).data;
  }

  /** Where the answers are not asked for any more. */
  focus() {
    this.#status.focus();
  }

  #build() {
    const { title, components } = this.#form;
    const all = flatten(components);
    const content = components.map((component) => this.#component(component));
    if (content.length === 0) content.push(element('p', { part: 'form-notice' }, this.#strings.formEmpty));
    else if (!all.some(({ kind, action }) => kind === 'button' && action === 'submit'))
      content.push(element('div', { class: 'buttons' }, this.#button('submit', this.#strings.formSend)));
    const form = element('form', { part: 'form', novalidate: '' });
    if (title) {
      form.append(element('h3', { part: 'form-title', id: 'title' }, title));
      form.setAttribute('aria-labelledby', 'title');
    }
    if (all.some(({ rules, isHidden }) => rules.required && !isHidden))
      form.append(element('p', { class: 'hint' }, this.#strings.formMarked));
    form.append(...content, this.#status, this.#announcer);
    // As in the composer.
    form.onkeydown = form.onkeyup = form.onkeypress = keepTyping;
    form.addEventListener('pointerdown', () => this.#onPress());
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#submit(event.submitter);
    });
    return form;
  }

  /** @param {Component} component */
  #component(component) {
    const node = this.#create(component);
    this.#nodes.set(component, node);
    return node;
  }

  /**
   * @param {Component} component
   * @returns {HTMLElement}
   */
  #create(component) {
    const { type, kind, label, isLabelHidden, description, children } = component;
    const strings = this.#strings;
    if (type === 'limit') return element('p', { part: 'form-notice' }, strings.formLimit);
    if (type === 'notice') {
      const field = label || component.key;
      return element('p', { part: 'form-notice' }, fill(strings.formUnknown, { field }).replace(/: $/, ''));
    }
    if (type === 'hidden') return element('div', {});
    if (kind === 'text') return element('p', { class: 'content' }, description);
    if (kind === 'button') return this.#buttonComponent(component);
    if (kind === 'input') return this.#field(component);
    const inner = children.map((child) => this.#component(child));
    const texts = notices(component, strings).map((text) => element('p', { part: 'form-notice' }, text));
    if (type === 'columns') return element('div', { part: 'form-columns' }, ...texts, ...inner);
    if (type === 'column') {
      const column = element('div', { class: 'column' }, ...inner);
      column.style.setProperty('--_width', String(component.width));
      return column;
    }
    if (!label) return element('div', { class: type === 'well' ? 'well' : 'group' }, ...texts, ...inner);
    const legend = element('legend', {}, label);
    if (isLabelHidden) legend.className = 'sr-only';
    const text = description ? [element('p', { part: 'form-description' }, description)] : [];
    return element('fieldset', { part: 'form-panel' }, legend, ...text, ...texts, ...inner);
  }

  /** @param {Component} component */
  #field(component) {
    const field = new Field(
      component,
      `f${this.#fields.size}`,
      this.#strings,
      () => this.#onInput(component),
      () => void this.#onLeave(component),
    );
    field.disabled = false;
    field.value = this.#values.get(component);
    this.#fields.set(component, field);
    return field.element;
  }

  /** @param {Component} component */
  #buttonComponent({ action, label, isDisabled, key }) {
    const text = label || (action === 'reset' ? this.#strings.formReset : this.#strings.formSend);
    const button = this.#button(action === 'reset' ? 'reset' : 'submit', text);
    button.disabled = isDisabled;
    button.value = key;
    return element('div', { class: 'buttons' }, button);
  }

  /**
   * @param {'submit' | 'reset'} type
   * @param {string} text
   */
  #button(type, text) {
    // A native reset would empty the fields instead of going back to what they began with.
    const button = element('button', { part: `form-${type}`, type: type === 'reset' ? 'button' : type }, text);
    if (type === 'reset') button.addEventListener('click', () => this.#reset());
    this.#buttons.push(button);
    return button;
  }

  /** @param {Component} component */
  #onInput(component) {
    const field = this.#fields.get(component);
    if (!field) return;
    this.#values.set(component, field.value);
    this.#update();
    if (this.#wasAttempted || field.isInvalid) this.#check(component);
    // Other answers may have been wrong, and are hidden now.
    if (this.#wasAttempted) this.#sayCount([...this.#fields.values()].filter(({ isInvalid }) => isInvalid).length);
  }

  #onPress() {
    const ended = new AbortController();
    const { signal } = ended;
    this.#press = new Promise((resolve) => {
      // The click follows in the same task.
      signal.addEventListener('abort', () => setTimeout(resolve), { once: true });
      for (const end of ['pointerup', 'pointercancel']) addEventListener(end, () => ended.abort(), { signal });
    });
  }

  /** @param {Component} component */
  async #onLeave(component) {
    // A field is left when the pointer goes down. An error that appears then moves the button away from under it.
    await this.#press;
    // Of a half date, no event has told.
    const value = this.#fields.get(component)?.value;
    this.#values.set(component, value);
    // An empty field is not wrong before the user sends the form.
    if (value === undefined || value === '' || value === false) return;
    const failure = this.#check(component);
    if (failure) this.#announcer.textContent = failure;
  }

  /**
   * @param {Component} component
   * @returns {string} what is wrong, empty if nothing is
   */
  #check(component) {
    const state = evaluate(this.#form, this.#values);
    const failure = validateComponent(component, this.#values.get(component), state);
    const text = failure ? messageOf(component, failure, this.#strings, this.#locale) : '';
    this.#fields.get(component)?.showError(text);
    return text;
  }

  /** Shows what applies. What does not is hidden, and begins anew when it is shown again. */
  #update() {
    const { shown } = evaluate(this.#form, this.#values);
    for (const [component, node] of this.#nodes) {
      const isHidden = !shown.has(component) || component.isHidden || component.type === 'hidden';
      if (isHidden && !node.hidden) this.#clear(component);
      node.hidden = isHidden;
    }
  }

  /** @param {Component} component */
  #clear(component) {
    const field = this.#fields.get(component);
    field?.showError('');
    // An always hidden component keeps its value, as does one with `clearOnHide: false`.
    if (!field || component.keepsValue || component.isHidden) return;
    const value = normalize(component, component.initial);
    this.#values.set(component, value);
    field.value = value;
  }

  #reset() {
    this.#wasAttempted = false;
    this.#values = initialValues(this.#form.components);
    for (const [component, field] of this.#fields) {
      field.value = this.#values.get(component);
      field.showError('');
    }
    this.#update();
    this.#say('');
  }

  /** @param {HTMLElement | null} submitter */
  async #submit(submitter) {
    if (this.#isBusy) return;
    this.#wasAttempted = true;
    for (const [component, field] of this.#fields) this.#values.set(component, field.value);
    const state = evaluate(this.#form, this.#values);
    const failures = validate(this.#values, state);
    for (const [component, field] of this.#fields) {
      const failure = failures.get(component);
      field.showError(failure ? messageOf(component, failure, this.#strings, this.#locale) : '');
    }
    if (failures.size > 0) {
      this.#sayCount(failures.size);
      const [first] = failures.keys();
      if (first) this.#fields.get(first)?.focus();
      return;
    }
    const { data } = state;
    if (submitter instanceof HTMLButtonElement && submitter.value) setPath(data, submitter.value.split('.'), true);
    await this.#send(data);
  }

  /** @param {Record<string, unknown>} data */
  async #send(data) {
    /** @type {import('./renderer.js').FormEvent} */
    const event = { type: 'form', data: { form: this.#id, submission: { data } } };
    if (new TextEncoder().encode(JSON.stringify(event)).length > MAX_EVENT_BYTES) {
      this.#say(this.#strings.formTooLong, true);
      return;
    }
    const root = /** @type {ShadowRoot} */ (this.#node.getRootNode());
    const focused = root.activeElement;
    // What is shown beside "sent" later is what was sent.
    this.#lock(true);
    // The button that had the focus is gone.
    if (focused) this.focus();
    if (await this.#wait(async () => this.#options.onSubmit(event))) this.#showSent();
    else if (!this.#isBusy) {
      this.#lock(false);
      if (root.activeElement === this.#status && focused instanceof HTMLElement) focused.focus();
    }
  }

  /** Shows answers that are being sent since before this form was shown. @param {Promise<unknown>} sending */
  async #resume(sending) {
    this.#lock(true);
    if (await this.#wait(() => sending)) this.#showSent();
    else if (!this.#isBusy) this.#lock(false);
  }

  /**
   * Shows that the answers are on their way.
   * @param {() => Promise<unknown>} send
   * @returns {Promise<boolean>} whether they were sent
   */
  async #wait(send) {
    this.#isBusy = true;
    this.#say(this.#strings.formSending);
    try {
      await send();
      return true;
    } catch (error) {
      // Another page sends them now, and shows here what it has sent.
      if (record(error).code === 'taken-over') return false;
      this.#say(this.#strings.formFailed, true);
    }
    this.#isBusy = false;
    return false;
  }

  #showSent() {
    this.#node.classList.add('sent');
    this.#lock(true);
    this.#say(this.#strings.formSent);
  }

  /** @param {boolean} isLocked whether the answers can't be changed, and not be sent */
  #lock(isLocked) {
    for (const field of this.#fields.values()) field.disabled = isLocked;
    for (const button of this.#buttons) button.hidden = isLocked;
  }

  /** @param {number} count of answers that are wrong */
  #sayCount(count) {
    this.#say(count === 0 ? '' : plural(this.#strings, 'formCheck', count, this.#locale), true);
  }

  /**
   * @param {string} text read out by screen readers
   * @param {boolean} [isProblem]
   */
  #say(text, isProblem = false) {
    if (this.#status.textContent !== text) this.#status.textContent = text;
    this.#status.classList.toggle('problem', isProblem);
  }
}

function createSheet() {
  const created = new CSSStyleSheet();
  created.replaceSync(css);
  return created;
}

/**
 * @param {unknown} strings those of the widget and of forms
 * @returns {Partial<import('./strings.js').FormStrings>}
 */
export function pickStrings(strings) {
  const entries = Object.entries(record(strings)).filter(
    ([name, text]) => name.startsWith('form') && typeof text === 'string',
  );
  return Object.fromEntries(entries);
}
