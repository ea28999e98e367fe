// One question: its label, its control, its description and its error. Text of the definition becomes text nodes.

import { element } from '../dom.js';
import { createControl } from './control.js';

/** @typedef {import('./definition.js').Component} Component */

export class Field {
  #component;
  #control;
  #error;
  #describedBy = '';

  /**
   * @param {Component} component
   * @param {string} id unique in the form
   * @param {import('./strings.js').FormStrings} strings
   * @param {() => void} onInput
   * @param {() => void} onLeave
   */
  constructor(component, id, strings, onInput, onLeave) {
    this.#component = component;
    this.#control = createControl(component, id, strings);
    const { isGroup, isInline, node } = this.#control;
    const description = [component.description, ...notices(component, strings)].filter(Boolean);
    const texts = description.map((text, i) => {
      const isNotice = i > 0 || !component.description;
      const attributes = { part: isNotice ? 'form-notice' : 'form-description', id: `${id}-text-${i}` };
      return element('p', attributes, text);
    });
    this.#error = element('p', { part: 'form-error', id: `${id}-error`, hidden: '' });
    this.#describedBy = texts.map((text) => text.id).join(' ');
    const label = this.#label(id, strings);
    // A checkbox stands before its label.
    const lines = isInline ? [element('div', { part: 'form-option' }, node, label)] : [label, ...texts, node];
    this.element = element(isGroup ? 'fieldset' : 'div', { part: 'form-field' }, ...lines);
    if (isInline) this.element.append(...texts);
    this.element.append(this.#error);
    this.element.dataset.type = component.type;
    if (isGroup) this.element.setAttribute('aria-labelledby', label.id);
    if (component.type === 'radio') {
      this.element.setAttribute('role', 'radiogroup');
      if (component.rules.required) this.element.setAttribute('aria-required', 'true');
    }
    this.#describe(false);
    this.element.addEventListener('input', () => onInput());
    this.element.addEventListener('change', () => onInput());
    this.element.addEventListener('focusout', (event) => {
      const { relatedTarget } = /** @type {FocusEvent} */ (event);
      if (!(relatedTarget instanceof Node && this.element.contains(relatedTarget))) onLeave();
    });
  }

  get value() {
    return this.#control.read();
  }

  set value(value) {
    this.#control.write(value);
  }

  /** @param {boolean} isDisabled */
  set disabled(isDisabled) {
    for (const input of this.#control.inputs) input.disabled = isDisabled || this.#component.isDisabled;
  }

  get isInvalid() {
    return !this.#error.hidden;
  }

  focus() {
    const { inputs } = this.#control;
    const target = inputs.find((input) => 'checked' in input && input.checked) ?? inputs[0];
    target?.focus();
    // The label and the error belong to what the user has to see.
    this.element.scrollIntoView({ block: 'nearest' });
  }

  /** @param {string} text empty: none */
  showError(text) {
    if (this.#error.textContent === text) return;
    this.#error.textContent = text;
    this.#error.hidden = text === '';
    this.#describe(text !== '');
  }

  /** @param {boolean} isInvalid */
  #describe(isInvalid) {
    const { isGroup, inputs } = this.#control;
    const ids = [isInvalid ? this.#error.id : '', this.#describedBy].filter(Boolean).join(' ');
    // For a group, its fieldset is described. Only some roles can be invalid; a group of checkboxes can't.
    const isRadio = this.#component.type === 'radio';
    setAttribute(isGroup ? [this.element] : inputs, 'aria-describedby', ids);
    setAttribute(isRadio ? [this.element] : inputs, 'aria-invalid', isInvalid ? 'true' : '');
    this.element.classList.toggle('invalid', isInvalid);
  }

  /**
   * @param {string} id
   * @param {import('./strings.js').FormStrings} strings
   */
  #label(id, strings) {
    const { label, placeholder, key, isLabelHidden, rules } = this.#component;
    const { isGroup } = this.#control;
    const node = isGroup
      ? element('legend', { part: 'form-label', id: `${id}-label` })
      : element('label', { part: 'form-label', for: id });
    if (isLabelHidden) node.classList.add('sr-only');
    node.append(label || placeholder || key);
    if (rules.required) {
      node.append(element('span', { class: 'required', 'aria-hidden': 'true' }, ' *'));
      // Other controls have the attribute.
      if (this.#component.type === 'selectboxes' || (isGroup && this.#component.type === 'select'))
        node.append(element('span', { class: 'sr-only' }, ` (${strings.formIsRequired})`));
    }
    return node;
  }
}

/**
 * @param {readonly Element[]} nodes
 * @param {string} name
 * @param {string} value empty: the attribute is removed
 */
function setAttribute(nodes, name, value) {
  for (const node of nodes) {
    if (value) node.setAttribute(name, value);
    else node.removeAttribute(name);
  }
}

/**
 * @param {Component} component
 * @param {import('./strings.js').FormStrings} strings
 * @returns {string[]} what of the component is not carried out
 */
export function notices({ unread }, strings) {
  const texts = {
    condition: strings.formUnreadCondition,
    rule: strings.formUnreadRule,
    value: strings.formUnreadValue,
    limit: strings.formUnreadLimit,
  };
  return [...unread].map((what) => texts[what]);
}
