// What is within a block of Markdown: emphasis, code and links, as a tree. Pure.

/**
 * @typedef {{ type: 'text' | 'code', text: string }} Leaf
 * @typedef {{ type: 'strong' | 'em' | 'del', children: Inline[] }} Emphasis
 * @typedef {{ type: 'link', url: string, children: Inline[] }} Link
 * @typedef {Leaf | Emphasis | Link} Inline
 *
 * @typedef {{ char: string, size: number, children: Inline[] }} Frame emphasis that is not closed yet
 */

const MAX_OPEN = 12;
const MAX_BACKTICKS = 8;
const MAX_LABEL = 300;
const MAX_BRACKETS = 4;
const MAX_URL = 2_000;
const ESCAPABLE = /[!-/:-@[-`{-~]/;
const LETTER = /[\p{L}\p{N}]/u;
/** Also the marks of emphasis that it may stand in. */
const AFTER_URL = '.,;:!?\'"*_~';

/**
 * @param {string} text
 * @param {boolean} isOpen whether more is to come
 * @param {boolean} [isLabel] of a link, so it has no links
 * @returns {Inline[]}
 */
export function inlineOf(text, isOpen, isLabel) {
  /** @type {Frame} */
  const root = { char: '', size: 0, children: [] };
  const frames = [root];
  /** Lengths of backtick runs that do not come again. @type {Set<number>} */
  const absent = new Set();
  const inner = () => (frames.at(-1) ?? root).children;
  /** @param {string} more */
  const write = (more) => addText(inner(), more);

  /** Ends the innermost emphasis. @param {boolean} isClosed otherwise its mark is text */
  function end(isClosed) {
    const { char, size, children } = frames.pop() ?? root;
    if (isClosed && children[0]) inner().push({ type: char === '~' ? 'del' : size === 2 ? 'strong' : 'em', children });
    else {
      write(char.repeat(size));
      for (const child of children) {
        if (child.type === 'text') write(child.text);
        else inner().push(child);
      }
      if (isClosed) write(char.repeat(size));
    }
  }

  /**
   * A run of marks closes, opens, or is text.
   * @param {string} char
   * @param {number} run
   * @param {string} before
   * @param {string} after
   */
  function mark(char, run, before, after) {
    const isWord = char === '_';
    const canOpen = /\S/.test(after) && !(isWord && LETTER.test(before));
    const canClose = /\S/.test(before) && !(isWord && LETTER.test(after));
    // It may open once more has come.
    if (isOpen && !after && !canClose) return;
    let rest = run;
    while (rest) {
      const size = char === '~' ? 2 : Math.min(rest, 2);
      const index = canClose ? frames.findLastIndex((frame) => frame.char === char && frame.size <= rest) : -1;
      if (index > 0) {
        while (frames.length > index + 1) end(false);
        rest -= frames.at(-1)?.size ?? 0;
        end(true);
      } else if (canOpen && frames.length < MAX_OPEN && size <= rest) {
        frames.push({ char, size, children: [] });
        rest -= size;
      } else {
        // While it arrives, half of a closing mark is no text.
        const isHalf = isOpen && !after && frames.some((frame) => frame.char === char);
        if (!isHalf) write(char.repeat(rest));
        rest = 0;
      }
    }
  }

  let i = 0;
  while (i < text.length) {
    const char = text.charAt(i);
    const next = text.charAt(i + 1);
    let length = 1;
    if (char === '\\' && ESCAPABLE.test(next)) {
      write(next);
      length = 2;
    } else if (char === '`') {
      length = runAt(text, i);
      const close = length > MAX_BACKTICKS || absent.has(length) ? -1 : closingRun(text, i + length, length);
      if (close >= 0) {
        inner().push({ type: 'code', text: codeText(text.slice(i + length, close)) });
        length = close + length - i;
      } else if (isOpen && text.length > i + length) {
        inner().push({ type: 'code', text: codeText(text.slice(i + length)) });
        length = text.length - i;
      } else {
        absent.add(length);
        write(char.repeat(length));
      }
    } else if (/[*_~]/.test(char)) {
      length = runAt(text, i);
      if (char === '~' && length !== 2) write(char.repeat(length));
      else mark(char, length, text.charAt(i - 1), text.charAt(i + length));
    } else {
      const link = !isLabel && linkAt(text, i, isOpen);
      if (link) {
        inner().push(...link.nodes);
        length = link.length;
      } else write(char);
    }
    i += length;
  }
  while (frames.length > 1) end(isOpen && Boolean(inner()[0]));
  return root.children;
}

/**
 * @param {Inline[]} children
 * @param {string} text
 */
function addText(children, text) {
  const last = children.at(-1);
  if (last?.type === 'text') last.text += text;
  else if (text) children.push({ type: 'text', text });
}

/**
 * @param {string} text
 * @param {number} begin
 * @returns {number} how often the character there is repeated
 */
function runAt(text, begin) {
  let end = begin + 1;
  while (text[end] === text[begin]) end += 1;
  return end - begin;
}

/**
 * @param {string} text
 * @param {number} from
 * @param {number} length of a run of backticks
 * @returns {number} where the next one begins that is as long; negative if there is none
 */
function closingRun(text, from, length) {
  for (let i = text.indexOf('`', from); i >= 0; i = text.indexOf('`', i)) {
    const run = runAt(text, i);
    if (run === length) return i;
    i += run;
  }
  return -1;
}

/** @param {string} text */
const codeText = (text) => (text.startsWith(' ') && text.endsWith(' ') && text.trim() ? text.slice(1, -1) : text);

/**
 * A link, or an image, which becomes a link: a message makes the browser load nothing.
 * @param {string} text
 * @param {number} begin
 * @param {boolean} isOpen
 * @returns {{ nodes: Inline[], length: number } | undefined}
 */
function linkAt(text, begin, isOpen) {
  const char = text[begin];
  if (char === 'h' && !LETTER.test(text.charAt(begin - 1))) return plainLink(text, begin);
  const from = char === '!' && text[begin + 1] === '[' ? begin + 1 : begin;
  if (text[from] !== '[') return undefined;
  const labelEnd = closingAt(text, from, '[', ']', MAX_LABEL);
  if (labelEnd < 0 || text[labelEnd + 1] !== '(') return undefined;
  const label = text.slice(from + 1, labelEnd);
  const end = closingAt(text, labelEnd + 1, '(', ')', MAX_URL);
  if (end < 0) {
    // Its address is still arriving.
    if (!isOpen || /\s/.test(text.slice(labelEnd, labelEnd + MAX_URL)) || text.length - labelEnd > MAX_URL)
      return undefined;
    return { nodes: inlineOf(label, false, true), length: text.length - begin };
  }
  // A title after the address is left out.
  const url = safeUrl(
    text
      .slice(labelEnd + 2, end)
      .trim()
      .split(/\s/)[0]
      ?.replace(/^<|>$/g, '') ?? '',
  );
  if (!url) return undefined;
  const children = inlineOf(label, false, true);
  if (!children[0]) addText(children, url);
  return { nodes: [{ type: 'link', url, children }], length: end + 1 - begin };
}

/**
 * @param {string} text
 * @param {number} begin of an address that is written out
 * @returns {{ nodes: Inline[], length: number } | undefined}
 */
function plainLink(text, begin) {
  if (!/^https?:\/\//.test(text.slice(begin, begin + 8))) return undefined;
  const [written = ''] = /^[^\s<>`|]*/.exec(text.slice(begin, begin + MAX_URL)) ?? [];
  // Punctuation after it is the sentence's, and so is a bracket that was opened before it.
  const opening = written.indexOf('(');
  let end = written.length;
  const isAfter = (/** @type {string} */ char) => AFTER_URL.includes(char) || (char === ')' && opening < 0);
  while (end > 0 && isAfter(written[end - 1] ?? '')) end -= 1;
  const address = written.slice(0, end);
  const url = safeUrl(address);
  return url
    ? { nodes: [{ type: 'link', url, children: [{ type: 'text', text: address }] }], length: address.length }
    : undefined;
}

/**
 * @param {string} text
 * @param {number} begin of the opening bracket
 * @param {string} open
 * @param {string} close
 * @param {number} max characters that are looked at
 * @returns {number} place of the closing bracket; negative if there is none
 */
function closingAt(text, begin, open, close, max) {
  let depth = 0;
  for (let i = begin; i < text.length && i < begin + max; i += 1) {
    const char = text[i];
    if (char === '\\') i += 1;
    else if (char === open && (depth += 1) > MAX_BRACKETS) return -1;
    else if (char === close && (depth -= 1) === 0) return i;
  }
  return -1;
}

/**
 * @param {unknown} address
 * @returns {string} empty unless it is an absolute address that is safe to follow
 */
export function safeUrl(address) {
  const text = typeof address === 'string' && address.length <= MAX_URL ? address : '';
  if (!/^(https?:\/\/|mailto:|tel:)/i.test(text)) return '';
  try {
    return new URL(text).href;
  } catch {
    return '';
  }
}
