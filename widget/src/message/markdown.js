// The blocks of a message in Markdown: a subset, as a tree. Pure. A message is untrusted and may be long: every pattern
// takes linear time, and everything that nests has a limit, beyond which the text is shown as it is written.
//
// HTML is text. A single line break stays one, as in any chat.

import { inlineOf } from './inline.js';

/**
 * @typedef {import('./inline.js').Inline} Inline
 *
 * @typedef {{ type: 'paragraph' | 'title', children: Inline[] }} TextBlock
 * @typedef {{ type: 'code', language: string, text: string }} CodeBlock
 * @typedef {{ type: 'quote', blocks: Block[] }} Quote
 * @typedef {{ type: 'list', start: number | undefined, items: Block[][] }} List `start` of a numbered one
 * @typedef {{ type: 'table', aligns: string[], rows: Inline[][][] }} Table the first row is the head
 * @typedef {{ type: 'rule' }} Rule
 * @typedef {(TextBlock | CodeBlock | Quote | List | Table | Rule) & { source: string }} Block
 */

const MAX_DEPTH = 6;
const MAX_COLUMNS = 30;
const FENCE = /^ {0,3}(`{3,}(?!`)|~{3,}(?!~))([^`]*)$/;
const TITLE = /^ {0,3}#{1,6}[ \t]([^]*)$/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const QUOTE = /^ {0,3}>[ \t]?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])([ \t]{1,4}|$)/;
/** A list that starts with another number does not end a paragraph: that is a year at the start of a line. */
const ITEM_IN_PARAGRAPH = /^ {0,3}(?:[-*+]|1[.)])[ \t]/;
const TASK = /^\[([ xX])\][ \t]/;

/**
 * @param {string} text
 * @param {boolean} isOpen whether more is to come: what is not closed yet counts as closed
 * @returns {Block[]}
 */
export function blocksOf(text, isOpen) {
  return read(text.split(/\r\n?|\n/), isOpen, 0);
}

/**
 * @param {string[]} lines
 * @param {boolean} isOpen
 * @param {number} depth
 */
function read(lines, isOpen, depth) {
  /** @type {Block[]} */
  const blocks = [];
  let begin = 0;
  while (begin < lines.length) {
    if (!lines[begin]?.trim()) {
      begin += 1;
      continue;
    }
    const end = endOf(lines, begin, depth);
    const own = lines.slice(begin, end);
    blocks.push({ ...blockOf(own, isOpen && end === lines.length, depth), source: own.join('\n') });
    begin = end;
  }
  return blocks;
}

/**
 * @param {string[]} lines
 * @param {number} begin of a block
 * @param {number} depth
 * @returns {number} the line after its last one
 */
function endOf(lines, begin, depth) {
  const line = lines[begin] ?? '';
  const fence = FENCE.exec(line);
  if (fence) {
    return endWhere(lines, begin, (_, i) => i > begin + 1 && closes(lines[i - 1] ?? '', fence[1] ?? ''));
  }
  if (TITLE.test(line) || RULE.test(line)) return begin + 1;
  if (depth < MAX_DEPTH) {
    if (QUOTE.test(line)) return endWhere(lines, begin, (other) => !QUOTE.test(other));
    if (ITEM.test(line)) return endOfList(lines, begin);
  }
  if (isTable(lines, begin)) return endWhere(lines, begin, (other) => !other.includes('|'));
  return endWhere(lines, begin, (other, i) => !other.trim() || interrupts(lines, i, depth));
}

/**
 * @param {string[]} lines
 * @param {number} begin
 * @param {(line: string, index: number) => boolean} isEnd
 */
function endWhere(lines, begin, isEnd) {
  let end = begin + 1;
  while (end < lines.length && !isEnd(lines[end] ?? '', end)) end += 1;
  return end;
}

/**
 * Whether a line ends the paragraph before it.
 * @param {string[]} lines
 * @param {number} index
 * @param {number} depth
 */
function interrupts(lines, index, depth) {
  const line = lines[index] ?? '';
  return (
    [FENCE, TITLE, RULE].some((pattern) => pattern.test(line)) ||
    (depth < MAX_DEPTH && [QUOTE, ITEM_IN_PARAGRAPH].some((pattern) => pattern.test(line))) ||
    isTable(lines, index)
  );
}

/**
 * @param {string} line
 * @param {string} fence
 */
function closes(line, fence) {
  const text = line.trim();
  return text.length >= fence.length && text === (fence[0] ?? '').repeat(text.length);
}

/**
 * A list goes on with items of its kind, with what is indented, and over empty lines between these.
 * @param {string[]} lines
 * @param {number} begin
 */
function endOfList(lines, begin) {
  const indent = indentOf(lines[begin]);
  const kind = kindOf(lines[begin]);
  let end = begin + 1;
  for (let i = end; i < lines.length; i += 1) {
    const line = lines[i] ?? '';
    if (!line.trim()) continue;
    const isInside = indentOf(line) >= indent + 2;
    if (!isInside && (kindOf(line) !== kind || RULE.test(line))) break;
    end = i + 1;
  }
  return end;
}

/** @param {string} [line] */
const indentOf = (line = '') => line.search(/\S|$/);
/** What a list has for bullets; empty: the line is no item. @param {string} [line] */
const kindOf = (line = '') => (ITEM.exec(line)?.[2] ?? '').replace(/\d+/, '1');

/**
 * @param {string[]} lines
 * @param {boolean} isOpen
 * @param {number} depth
 * @returns {TextBlock | CodeBlock | Quote | List | Table | Rule}
 */
function blockOf(lines, isOpen, depth) {
  const [line = ''] = lines;
  const fence = FENCE.exec(line);
  if (fence) return codeOf(lines, fence, isOpen);
  const title = TITLE.exec(line);
  if (title) return { type: 'title', children: inlineOf((title[1] ?? '').trimStart(), isOpen) };
  if (RULE.test(line)) return { type: 'rule' };
  if (depth < MAX_DEPTH) {
    if (QUOTE.test(line)) {
      const inner = lines.map((other) => other.replace(QUOTE, ''));
      return { type: 'quote', blocks: read(inner, isOpen, depth + 1) };
    }
    if (ITEM.test(line)) return listOf(lines, isOpen, depth);
  }
  if (isTable(lines, 0)) return tableOf(lines, isOpen);
  const text = lines.map((other) => other.trim()).join('\n');
  return { type: 'paragraph', children: inlineOf(text, isOpen) };
}

/**
 * @param {string[]} lines
 * @param {RegExpExecArray} fence
 * @param {boolean} isOpen
 * @returns {CodeBlock}
 */
function codeOf(lines, [, marks = '', info = ''], isOpen) {
  const inner = lines.slice(1);
  const last = inner.at(-1) ?? '';
  // While it arrives, a part of the closing fence is no code.
  if (inner.length && (closes(last, marks) || (isOpen && /^[`~]{1,2}$/.test(last.trim())))) inner.pop();
  return { type: 'code', language: info.trim().split(/\s/)[0] ?? '', text: inner.join('\n') };
}

/**
 * @param {string[]} lines
 * @param {boolean} isOpen
 * @param {number} depth
 * @returns {List}
 */
function listOf(lines, isOpen, depth) {
  const indent = indentOf(lines[0]);
  /** @type {string[][]} */
  const items = [];
  let offset = 0;
  for (const line of lines) {
    const item = indentOf(line) < indent + 2 && ITEM.exec(line);
    if (item) {
      offset = item[0].length;
      items.push([line.slice(offset).replace(TASK, (_, mark) => (mark === ' ' ? '☐ ' : '☑ '))]);
    } else {
      items.at(-1)?.push(line.slice(Math.min(offset, indentOf(line))));
    }
  }
  const number = parseInt(lines[0]?.trim() ?? '', 10);
  return {
    type: 'list',
    start: Number.isNaN(number) ? undefined : number,
    items: items.map((item, i) => read(item, isOpen && i === items.length - 1, depth + 1)),
  };
}

/**
 * @param {string[]} lines
 * @param {number} index
 */
function isTable(lines, index) {
  const [head = '', marks = ''] = [lines[index], lines[index + 1]];
  if (!head.includes('|') || !marks.includes('-') || /[^-:|\s]/.test(marks)) return false;
  const cells = cellsOf(marks);
  return (
    cells.length <= MAX_COLUMNS && cells.every((cell) => /^:?-+:?$/.test(cell)) && cells.length === cellsOf(head).length
  );
}

/** @param {string} line */
function cellsOf(line) {
  const text = line.trim().replace(/^\|/, '');
  return (text.endsWith('|') ? text.slice(0, -1) : text)
    .split(/(?<!\\)\|/)
    .map((cell) => cell.trim().replaceAll('\\|', '|'));
}

/**
 * @param {string[]} lines
 * @param {boolean} isOpen
 * @returns {Table}
 */
function tableOf([head = '', marks = '', ...others], isOpen) {
  const aligns = cellsOf(marks).map((mark) => {
    if (!mark.endsWith(':')) return 'start';
    return mark.startsWith(':') ? 'center' : 'end';
  });
  const rows = [head, ...others].map((line) => {
    const cells = cellsOf(line);
    return aligns.map((_, i) => inlineOf(cells[i] ?? '', isOpen));
  });
  return { type: 'table', aligns, rows };
}
