// Shows Markdown in a bubble. While a message arrives, finished blocks stay as they are, and in the last one only what
// has changed is replaced: the user may be selecting text.

import { button, element } from '../dom.js';
import { blocksOf } from './markdown.js';

/**
 * @typedef {import('./markdown.js').Block} Block
 * @typedef {import('./markdown.js').Inline} Inline
 * @typedef {import('./strings.js').MessageStrings} MessageStrings
 */

/** What each of the block's elements shows. @type {WeakMap<Node, string>} */
const sources = new WeakMap();

/**
 * Whether a text is more than plain text.
 * @param {Block[]} blocks
 */
function isRich([block, ...others]) {
  return others[0] || (block && (block.type !== 'paragraph' || block.children.some(({ type }) => type !== 'text')));
}

/**
 * @param {HTMLElement} place that has nothing else
 * @param {string} text
 * @param {boolean} isOpen whether more is to come
 * @param {MessageStrings} strings
 * @returns {boolean} whether there is anything but plain text; otherwise nothing has changed
 */
export function showMarkdown(place, text, isOpen, strings) {
  const blocks = blocksOf(text, isOpen);
  if (!isRich(blocks)) return false;
  blocks.forEach((block, i) => {
    const existing = place.childNodes[i];
    // What was open is shown as if it were closed.
    const source = `${block.source}${isOpen && i === blocks.length - 1}${strings.code} ${strings.copy} ${strings.table}`;
    if (existing && sources.get(existing) === source) return;
    const fresh = blockNode(block, strings);
    const node = existing ? adapt(existing, fresh) : place.appendChild(fresh);
    sources.set(node, source);
  });
  while (place.childNodes.length > blocks.length) place.lastChild?.remove();
  return true;
}

/**
 * Makes a node like another one, or replaces it.
 * @param {ChildNode} node
 * @param {ChildNode} fresh
 * @returns {ChildNode} what is there now
 */
function adapt(node, fresh) {
  if (node instanceof Text && fresh instanceof Text) {
    if (fresh.data.startsWith(node.data)) node.appendData(fresh.data.slice(node.length));
    else node.data = fresh.data;
    return node;
  }
  if (!(node instanceof Element && fresh instanceof Element && isAlike(node, fresh))) {
    node.replaceWith(fresh);
    return fresh;
  }
  const children = [...fresh.childNodes];
  children.forEach((child, i) => {
    const existing = node.childNodes[i];
    if (existing) adapt(existing, child);
    else node.append(child);
  });
  while (node.childNodes.length > children.length) node.lastChild?.remove();
  return node;
}

/**
 * @param {Element} a
 * @param {Element} b
 */
const isAlike = (a, b) =>
  a.tagName === b.tagName &&
  a.attributes.length === b.attributes.length &&
  [...a.attributes].every(({ name, value }) => b.getAttribute(name) === value);

/**
 * @param {Block} block
 * @param {MessageStrings} strings
 * @returns {HTMLElement}
 */
function blockNode(block, strings) {
  switch (block.type) {
    case 'code':
      return codeNode(block, strings);
    case 'quote':
      return element('blockquote', { part: 'quote' }, ...block.blocks.map((inner) => blockNode(inner, strings)));
    case 'list': {
      const items = block.items.map((item) => element('li', {}, ...item.map((inner) => blockNode(inner, strings))));
      return block.start === undefined
        ? element('ul', {}, ...items)
        : element('ol', { start: String(block.start) }, ...items);
    }
    case 'table':
      return tableNode(block, strings);
    case 'rule':
      return element('hr', {});
    default:
      // No heading: those of messages are none of the page's.
      return element('p', block.type === 'title' ? { class: 'title' } : {}, ...inlineNodes(block.children));
  }
}

/**
 * @param {import('./markdown.js').CodeBlock} block
 * @param {MessageStrings} strings
 */
function codeNode({ language, text }, { code, copy }) {
  const bar = element('div', { class: 'bar' }, element('span', {}, language || code));
  // Browsers let pages copy in secure contexts only.
  if (navigator.clipboard) {
    const node = button('copy');
    node.append(copy);
    bar.append(node);
  }
  const pre = element('pre', scrolling(code), element('code', {}, text));
  return element('div', { part: 'code', dir: 'ltr' }, bar, pre);
}

/**
 * @param {import('./markdown.js').Table} block
 * @param {MessageStrings} strings
 */
function tableNode({ aligns, rows }, { table }) {
  const nodes = rows.map((cells, row) =>
    element(
      'tr',
      {},
      ...cells.map((cell, column) => {
        const align = { class: aligns[column] ?? '' };
        const content = inlineNodes(cell);
        return row ? element('td', align, ...content) : element('th', { ...align, scope: 'col' }, ...content);
      }),
    ),
  );
  const [head, ...body] = nodes;
  const parts = [element('thead', {}, ...(head ? [head] : [])), element('tbody', {}, ...body)];
  return element('div', { part: 'table', ...scrolling(table) }, element('table', {}, ...parts));
}

/** What may scroll can be reached by keyboard. @param {string} label */
const scrolling = (label) => ({ role: 'group', tabindex: '0', 'aria-label': label });

/**
 * @param {Inline[]} nodes
 * @returns {(Node | string)[]}
 */
function inlineNodes(nodes) {
  return nodes.map((node) => {
    switch (node.type) {
      case 'text':
        return node.text;
      case 'code':
        return element('code', {}, node.text);
      case 'link':
        return linkNode('link', node.url, ...inlineNodes(node.children));
      default:
        return element(node.type, {}, ...inlineNodes(node.children));
    }
  });
}

/**
 * A link out of the page. The page that it leads to learns nothing of this one.
 * @param {string} part
 * @param {string} href
 * @param {...(Node | string)} content
 */
export function linkNode(part, href, ...content) {
  // The text may say something else than where the link leads.
  return element('a', { part, href, title: href, target: '_blank', rel: 'noopener noreferrer' }, ...content);
}
