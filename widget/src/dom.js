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
