// A rendered form: shows the fields that apply, tells what is wrong, and hands over the answers. elements.js builds it.

import { keepTyping } from '../composer.js';
import { element } from '../dom.js';
import { plural } from '../plural.js';
import { parseForm } from './definition.js';
import { buildForm } from './elements.js';
import { messageOf, usableLocale } from './message.js';
import { evaluate, initialValues } from './state.js';
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
  #node;
  #fields;
  #nodes;
  #buttons;
  #status;
  #announcer;
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
    const built = buildForm(this.#form, this.#strings, {
      onInput: (component) => this.#onInput(component),
      onLeave: (component) => void this.#onLeave(component),
      onReset: () => this.#reset(),
    });
    this.#node = built.node;
    this.#fields = built.fields;
    this.#nodes = built.nodes;
    this.#buttons = built.buttons;
    this.#status = built.status;
    this.#announcer = built.announcer;
    for (const [component, field] of this.#fields) field.value = this.#values.get(component);
    this.#listen();
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

  /** Where the answers are not asked for any more. */
  focus() {
    this.#status.focus();
  }

  #listen() {
    const form = this.#node;
    // As in the composer.
    form.onkeydown = form.onkeyup = form.onkeypress = keepTyping;
    form.addEventListener('pointerdown', () => this.#onPress());
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#submit(event.submitter);
    });
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
    if (!(await this.#wait(async () => this.#options.onSubmit(event)))) return;
    const hadFocus = this.#node.contains(/** @type {ShadowRoot} */ (this.#node.getRootNode()).activeElement);
    this.#showSent();
    // The button that had the focus is gone.
    if (hadFocus) this.focus();
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
function pickStrings(strings) {
  const entries = Object.entries(record(strings)).filter(
    ([name, text]) => name.startsWith('form') && typeof text === 'string',
  );
  return Object.fromEntries(entries);
}
