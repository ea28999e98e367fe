import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { blocksOf } from '../src/message/markdown.js';

/** @typedef {import('../src/message/markdown.js').Block} Block */
/** @typedef {import('../src/message/markdown.js').Inline} Inline */

/** A short notation of inline nodes. @param {Inline[]} nodes @returns {string} */
function inline(nodes) {
  return nodes
    .map((node) => {
      if ('text' in node) return node.type === 'code' ? `code(${node.text})` : node.text;
      if (node.type === 'link') return `link(${node.url} ${inline(node.children)})`;
      return `${node.type}(${inline(node.children)})`;
    })
    .join('');
}

/** @param {Block[]} list @returns {any[]} */
function blocks(list) {
  return list.map((block) => {
    switch (block.type) {
      case 'code':
        return ['code', block.language, block.text];
      case 'quote':
        return ['quote', ...blocks(block.blocks)];
      case 'list':
        return [block.start === undefined ? 'list' : `list ${block.start}`, ...block.items.map(blocks)];
      case 'table':
        return ['table', block.aligns.join(), ...block.rows.map((row) => row.map(inline).join('|'))];
      case 'rule':
        return 'rule';
      default:
        return block.type === 'title' ? ['title', inline(block.children)] : inline(block.children);
    }
  });
}

const read = (/** @type {string} */ text, isOpen = false) => blocks(blocksOf(text, isOpen));
const line = (/** @type {string} */ text, isOpen = false) => read(text, isOpen)[0];

describe('within a line', () => {
  for (const [text = '', expected] of [
    ['**bold** and *italic*, __bold__ and _italic_', 'strong(bold) and em(italic), strong(bold) and em(italic)'],
    ['***both*** ~~gone~~ `code`', 'strong(em(both)) del(gone) code(code)'],
    ['``a`b`` and `x', 'code(a`b) and `x'],
    ['snake_case_name and 2 * 3 * 4', 'snake_case_name and 2 * 3 * 4'],
    ['**“中文”**是', 'strong(“中文”)是'],
    ['\\*not\\* \\[this\\]', '*not* [this]'],
    ['**open', '**open'],
    ['one *two **three* four', 'one em(two **three) four'],
    ['<b>text</b> &amp;', '<b>text</b> &amp;'],
  ])
    test(text, () => assert.equal(line(text), expected));
});

describe('links', () => {
  for (const [text = '', expected] of [
    ['[a](https://e.example/x_(y)) b', 'link(https://e.example/x_(y) a) b'],
    ['[**a**](https://e.example "title")', 'link(https://e.example/ strong(a))'],
    ['![picture](https://e.example/p.png)', 'link(https://e.example/p.png picture)'],
    ['see https://e.example/a_b.', 'see link(https://e.example/a_b https://e.example/a_b).'],
    ['(https://e.example/a)', '(link(https://e.example/a https://e.example/a))'],
    ['[mail](mailto:a@e.example) [call](tel:+123)', 'link(mailto:a@e.example mail) link(tel:+123 call)'],
    ['[a [b] c](https://e.example/)', 'link(https://e.example/ a [b] c)'],
  ])
    test(text, () => assert.equal(line(text), expected));

  test('S142: to anything but pages, mail and telephone stay text', () => {
    for (const url of [
      'javascript:alert(1)',
      'JaVaScRiPt:alert(1)',
      ' javascript:alert(1)',
      'java\tscript:alert(1)',
      'data:text/html,x',
      'vbscript:x',
      'file:///etc/passwd',
      '//e.example/',
      '/bff/orders',
      'https://',
      '#x',
    ])
      assert.doesNotMatch(JSON.stringify(blocksOf(`[x](${url}) ![x](${url}) <${url}>`, false)), /"url"/, url);
  });
});

describe('blocks', () => {
  test('are paragraphs, titles, lists, quotes, rules and code', () => {
    assert.deepEqual(read('# Title\nfirst\nsecond\n\n> quoted\n> > twice\n\n---\n```js\nlet a;\n\n```\nlast'), [
      ['title', 'Title'],
      'first\nsecond',
      ['quote', 'quoted', ['quote', 'twice']],
      'rule',
      ['code', 'js', 'let a;\n'],
      'last',
    ]);
  });

  test('lists nest, go on over empty lines, and begin with any number', () => {
    assert.deepEqual(read('- a\n- b\n  1. c\n\n     more\n\n- [x] d\n* other'), [
      ['list', ['a'], ['b', ['list 1', ['c', 'more']]], ['☑ d']],
      ['list', ['other']],
    ]);
    assert.deepEqual(read('3. three\n4. four'), [['list 3', ['three'], ['four']]]);
    assert.deepEqual(read('It was in\n1986. A year.'), ['It was in\n1986. A year.']);
  });

  test('tables have as many columns as their head', () => {
    assert.deepEqual(read('| a | b |\n|:-:|--:|\n| **1** | x \\| y | z |\n| 2 |\n\nafter'), [
      ['table', 'center,end', 'a|b', 'strong(1)|x | y', '2|'],
      'after',
    ]);
    assert.deepEqual(read('a | b\n---'), ['a | b', 'rule']);
  });

  test('carriage returns are line breaks', () => {
    assert.deepEqual(read('a\r\nb\r\r- c'), ['a\nb', ['list', ['c']]]);
  });
});

describe('while it arrives', () => {
  for (const [text = '', expected] of [
    ['a **bo', 'a strong(bo)'],
    ['a **', 'a '],
    ['a **bold*', 'a strong(bold)'],
    ['a `co', 'a code(co)'],
    ['see [the map](https://e.exam', 'see the map'],
  ])
    test(text, () => assert.equal(line(text, true), expected));

  test('code and its closing fence', () => {
    assert.deepEqual(read('```js\nlet a', true), [['code', 'js', 'let a']]);
    assert.deepEqual(read('```js\nlet a\n``', true), [['code', 'js', 'let a']]);
  });

  test('nothing but the last block is open', () => {
    assert.deepEqual(read('a **b\n\nc **d', true), ['a **b', 'c strong(d)']);
  });

  test('every beginning of a text is read', () => {
    const text =
      '# T\n\n**b** [l](https://e.example) `c`\n\n- a\n  - b\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx\n```\n> q';
    for (let end = 0; end <= text.length; end += 1) assert.ok(read(text.slice(0, end), true));
    assert.deepEqual(read(text, true), read(text));
  });
});

test('S142: a hostile text takes no longer than an ordinary one', () => {
  const hostile = {
    brackets: '['.repeat(100_000),
    labels: '[a]('.repeat(30_000),
    stars: '**a'.repeat(40_000),
    backticks: Array.from({ length: 400 }, (_, i) => '`'.repeat(i)).join(' '),
    quotes: '>'.repeat(100_000),
    lists: '- '.repeat(50_000),
    spaces: `a${' '.repeat(120_000)}b`,
    lines: `- a${'\n'.repeat(100_000)}`,
    columns: `${'|'.repeat(50_000)}\n${'|-'.repeat(50_000)}`,
    fences: '```\n'.repeat(30_001),
    addresses: 'http://'.repeat(15_000),
    brokenAddresses: `${'http://['.repeat(125)}${'.'.repeat(1000)}\n`.repeat(128),
    fence: `${'~'.repeat(250_000)}\``,
    title: `# ${' '.repeat(250_000)}\u2028`,
  };
  for (const [name, text] of Object.entries(hostile)) {
    const before = performance.now();
    blocksOf(text, true);
    const ms = performance.now() - before;
    // Quadratic time would take minutes.
    assert.ok(ms < 2_000, `${name}: ${ms} ms`);
  }
});
