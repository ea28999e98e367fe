// The elements of a form, as its definition says: fields, groups, texts, buttons. view.js fills them in and listens.

import { element } from '../dom.js';
import { fill } from '../strings.js';
import { Field, notices } from './field.js';
import { flatten } from './state.js';

/** @typedef {import('./definition.js').Component} Component */
/**
 * @typedef {object} FormElements
 * @property {HTMLFormElement} node
 * @property {Map<Component, Field>} fields
 * @property {Map<Component, HTMLElement>} nodes what each component is shown by
 * @property {HTMLButtonElement[]} buttons
 * @property {HTMLElement} status
 * @property {HTMLElement} announcer reads out what is shown beside a field
 *
 * @typedef {object} FormListener
 * @property {(component: Component) => void} onInput
 * @property {(component: Component) => void} onLeave
 * @property {() => void} onReset
 */

/**
 * @param {import('./definition.js').Form} form
 * @param {import('./strings.js').FormStrings} strings
 * @param {FormListener} listener
 * @returns {FormElements}
 */
export function buildForm({ title, components }, strings, { onInput, onLeave, onReset }) {
  /** @type {FormElements['fields']} */
  const fields = new Map();
  /** @type {FormElements['nodes']} */
  const nodes = new Map();
  /** @type {FormElements['buttons']} */
  const buttons = [];
  const status = element('p', { part: 'form-status', role: 'status', tabindex: '-1' });
  const announcer = element('p', { class: 'sr-only', role: 'status' });

  const all = flatten(components);
  const content = components.map(place);
  if (content.length === 0) content.push(element('p', { part: 'form-notice' }, strings.formEmpty));
  else if (!all.some(({ kind, action }) => kind === 'button' && action === 'submit'))
    content.push(element('div', { class: 'buttons' }, button('submit', strings.formSend)));
  const node = element('form', { part: 'form', novalidate: '' });
  if (title) {
    node.append(element('h3', { part: 'form-title', id: 'title' }, title));
    node.setAttribute('aria-labelledby', 'title');
  }
  if (all.some(({ rules, isHidden }) => rules.required && !isHidden))
    node.append(element('p', { class: 'hint' }, strings.formMarked));
  node.append(...content, status, announcer);
  return { node, fields, nodes, buttons, status, announcer };

  /** @param {Component} component */
  function place(component) {
    const created = create(component);
    nodes.set(component, created);
    return created;
  }

  /**
   * @param {Component} component
   * @returns {HTMLElement}
   */
  function create(component) {
    const { type, kind, label, isLabelHidden, description, children } = component;
    if (type === 'limit') return element('p', { part: 'form-notice' }, strings.formLimit);
    if (type === 'notice') {
      const field = label || component.key;
      return element('p', { part: 'form-notice' }, fill(strings.formUnknown, { field }).replace(/: $/, ''));
    }
    if (type === 'hidden') return element('div', {});
    if (kind === 'text') return element('p', { class: 'content' }, description);
    if (kind === 'button') return buttonOf(component);
    if (kind === 'input') return fieldOf(component);
    const inner = children.map(place);
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
  function fieldOf(component) {
    const field = new Field(
      component,
      `f${fields.size}`,
      strings,
      () => onInput(component),
      () => onLeave(component),
    );
    field.disabled = false;
    fields.set(component, field);
    return field.element;
  }

  /** @param {Component} component */
  function buttonOf({ action, label, isDisabled, key }) {
    const text = label || (action === 'reset' ? strings.formReset : strings.formSend);
    const created = button(action === 'reset' ? 'reset' : 'submit', text);
    created.disabled = isDisabled;
    created.value = key;
    return element('div', { class: 'buttons' }, created);
  }

  /**
   * @param {'submit' | 'reset'} type
   * @param {string} text
   */
  function button(type, text) {
    // A native reset would empty the fields instead of going back to what they began with.
    const created = element('button', { part: `form-${type}`, type: type === 'reset' ? 'button' : type }, text);
    if (type === 'reset') created.addEventListener('click', onReset);
    buttons.push(created);
    return created;
  }
}
