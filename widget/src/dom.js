// Builds elements. Text becomes text nodes, never markup, so no content of a message can become an element. Each part
// that a page can style also gets a class of the same name.

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string>} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function element(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    node.setAttribute(name, value);
    if (name === 'part') node.className = value;
  }
  node.append(...children);
  return node;
}

/**
 * A button, which submits no form.
 * @param {string} part
 */
export const button = (part) => element('button', { type: 'button', part });

/**
 * Says that a part of the widget could not be loaded. view.js presses the button once the network is back.
 * @param {Partial<import('./strings.js').Strings>} strings
 * @param {() => void} again called once, when the user asks for it or the network is back
 */
export function notLoaded({ unloaded = '', retry = '' }, again) {
  const node = button('retry');
  const notice = element('p', { part: 'note', role: 'status' }, `${unloaded} `, node);
  node.append(retry);
  node.onclick = () => {
    notice.remove();
    again();
  };
  return notice;
}
