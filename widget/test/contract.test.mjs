// docs/widget.md lists what pages may rely on: all that the sources have, and nothing else. So does, in short, the
// comment above the element's class.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { ROOT } from '../../scripts/stack/path.mjs';
import { pagePolicy } from '../../examples/frameworks/server.mjs';
import { createClient } from '../src/client/client.js';
import { STRINGS } from '../src/strings.js';
import { pageWithStrings } from '../string-table.mjs';

/** @param {string} path below the root */
const read = (path) => readFileSync(join(ROOT, path), 'utf8');
/** @param {string} pattern below widget/src */
const sources = (pattern) =>
  globSync(pattern, { cwd: join(ROOT, 'widget/src') })
    .map((file) => read(`widget/src/${file}`))
    .join('\n');

const page = read('docs/widget.md');
const scripts = sources('**/*.js');
const element = read('widget/src/element.js');

/** @param {string} text @param {RegExp} pattern with one group */
const found = (text, pattern) => [...text.matchAll(pattern)].map(([, name = '']) => name);

/** @param {Iterable<string>} names each once, in order */
const sorted = (names) => [...new Set(names)].sort();

/** @param {string} heading */
function section(heading) {
  const [, text] = page.split(new RegExp(`^##+ ${heading}\n`, 'm'));
  assert.ok(text, `docs/widget.md has no section '${heading}'`);
  return text.split(/^##+ /m)[0] ?? '';
}

/** The rows of the tables of a section: the names in the first cell, and the other cells. @param {string} heading */
const rows = (heading) =>
  section(heading)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) => {
      const [, first = '', ...cells] = line.split(/(?<!\\)\|/).map((cell) => cell.trim());
      return { names: found(first, /`([^`]+)`/g), cells: cells.slice(0, -1) };
    });

/** @param {string} heading */
const documented = (heading) => sorted(rows(heading).flatMap(({ names }) => names));

/** Names without what functions take. @param {string} heading */
const functions = (heading) => sorted(documented(heading).map((name) => name.replace(/\(.*/, '')));

/** @param {string} text with a typedef @param {string} name */
function properties(text, name) {
  const [, rest = ''] = text.split(new RegExp(`@typedef \\{object\\} ${name}\\b`));
  const [own = ''] = rest.split(/@typedef|\*\//);
  return found(own, /@property \{.+?\} \[?(\w+)/g);
}

const reflected = ['REFLECTED', 'SWITCHES'].flatMap((name) =>
  found(new RegExp(`const ${name} = \\[(.*?)\\]`, 's').exec(element)?.[1] ?? '', /'([\w-]+)'/g),
);
const attributes = [
  ...reflected,
  ...found(/static observedAttributes = \[(.*?)\]/s.exec(element)?.[1] ?? '', /'([\w-]+)'/g),
  ...found(scripts, /\b(?:this|host)\.(?:get|has|remove|toggle)Attribute\('([\w-]+)'/g),
];
const states = found(/@typedef \{(.*?)\} State$/m.exec(read('widget/src/client/core.js'))?.[1] ?? '', /'([\w-]+)'/g);
const customProperties = found(sources('**/*.css'), /var\((--chat-[\w-]+)/g);
// Names of what is stored begin with the element's.
const events = found(scripts, /'(chat-[a-z-]+)'/g).filter((name) => !name.startsWith('chat-widget'));
// A part is the value of an attribute, or the first argument of a function that makes elements.
const parts = [
  ...found(scripts, /\bpart: ['`]([^'`]+)['`]/g),
  ...found(scripts, /\bbutton\('([\w-]+)'\)/g),
  ...found(read('widget/src/form/view.js'), /^ {2}'([\w,-]+)'/gm),
]
  .flatMap((names) => names.split(/[ ,]/))
  .filter((name) => /^[a-z-]+$/.test(name) && !name.endsWith('-'));

describe('docs/widget.md lists, and no more than there is', () => {
  test('attributes and properties', () => {
    assert.deepEqual(documented('Attributes'), sorted(attributes));
    const own = found(element, /^ {2}get (\w+)\(/gm);
    assert.deepEqual(documented('Properties'), sorted([...reflected, ...own]));
    const all = sorted([...attributes, 'strings']);
    const [, options = ''] = /@param \{\{ (edge.*?)\}\} \[options\]/s.exec(read('widget/src/mount.js')) ?? [];
    assert.deepEqual(sorted(found(options.replace(/Partial<.*?>/, ''), /(\w+)\?:/g)), all, 'options of mount');
    const [, ofParcel = ''] = /const OPTIONS = \[(.*?)\]/s.exec(read('widget/src/parcel.js')) ?? [];
    assert.deepEqual(sorted(found(ofParcel, /'(\w+)'/g)), all, 'options of the parcel');
  });

  test('methods', () => {
    const own = found(element, /^ {2}(?!constructor|\w+Callback)(\w+)\(/gm);
    const module = found(read('widget/src/module.js'), /^export \{ (.*) \}/gm).flatMap((names) => names.split(', '));
    const exported = module.filter((name) => name !== 'ChatWidget');
    assert.deepEqual(functions('Methods'), sorted([...own, ...exported]));
  });

  test('events and states', () => {
    assert.deepEqual(documented('Events'), sorted(events));
    assert.deepEqual(documented('States'), sorted(states));
    for (const name of sorted(states)) assert.ok(name === 'signed-out' || name in STRINGS, `no text for ${name}`);
  });

  test('custom properties and parts', () => {
    assert.deepEqual(documented('Custom properties'), sorted(customProperties));
    const inPage = documented('Parts');
    assert.deepEqual(
      sorted(parts).filter((name) => !inPage.includes(name)),
      [],
      'parts that the page lacks',
    );
    assert.deepEqual(
      inPage.filter((name) => !new RegExp(`['\`, ]${name}['\`, ]`).test(scripts)),
      [],
      'parts that no source has',
    );
  });

  test('strings', async () => {
    assert.equal(page, await pageWithStrings(), 'node widget/string-table.mjs');
  });

  test("the client's functions, options, answers and codes", () => {
    assert.deepEqual(
      functions('Client functions'),
      sorted(Object.keys(createClient({ edge: 'https://edge.example' }))),
    );
    // `subscribe` adds one itself, and one is the widget's.
    const options = properties(read('widget/src/client/core.js'), 'SubscribeOptions').filter(
      (name) => !/^(feed|isKept)$/.test(name),
    );
    assert.deepEqual(functions('Subscriptions'), sorted(options));
    assert.deepEqual(documented('Session'), sorted(properties(read('widget/src/client/types.js'), 'SessionInfo')));
    assert.deepEqual(documented('Event'), sorted(properties(read('widget/src/client/feed.js'), 'CausewayEvent')));
    assert.deepEqual(documented('Codes'), sorted(found(sources('client/*.js'), /\bfailure\('([\w-]+)'\)/g)));
  });

  test('files', () => {
    const bundles = found(read('widget/build.mjs'), /^ {2,4}(?:\{ )?name: '([\w.-]+\.js)'/gm);
    assert.ok(bundles.length > 5, String(bundles.length));
    assert.deepEqual(documented('Files'), sorted(bundles));
  });

  test('limits', () => {
    const text = section('Limits');
    for (const [file, name, write] of /** @type {const} */ ([
      ['build.mjs', 'MAX_GZIP_BYTES', (/** @type {number} */ value) => `${value} bytes`],
      ['build.mjs', 'MAX_FORM_GZIP_BYTES', (/** @type {number} */ value) => `${value} bytes`],
      ['build.mjs', 'MAX_MESSAGE_GZIP_BYTES', (/** @type {number} */ value) => `${value} bytes`],
      ['src/composer.js', 'MAX_CHARACTERS', (/** @type {number} */ value) => `${value} characters`],
      ['src/conversation.js', 'MAX_MESSAGES', (/** @type {number} */ value) => `| ${value} | the oldest goes`],
      ['src/conversation.js', 'MAX_CHARACTERS', (/** @type {number} */ value) => `| ${value} | the same |`],
      ['src/window/module.js', 'FEWEST_SHOWN', (/** @type {number} */ value) => `| ${value}, `],
      ['src/window/module.js', 'MOST_SHOWN', (/** @type {number} */ value) => `, ${value} while the user scrolls`],
      ['src/client/outbox.js', 'MAX_ENTRIES', (/** @type {number} */ value) => `| ${value} in a tab |`],
      ['src/client/sender.js', 'MAX_TRY_MS', (/** @type {number} */ value) => `${value / 1000} seconds from`],
      ['src/client/store.js', 'MAX_KEPT', (/** @type {number} */ value) => `| ${value}, for`],
      ['src/client/request.js', 'TIMEOUT_MS', (/** @type {number} */ value) => `| ${value / 1000} seconds |`],
      ['src/chat.js', 'STALL_MS', (/** @type {number} */ value) => `| ${value / 1000} seconds |`],
    ])) {
      const [, value = ''] = new RegExp(`const ${name} = '?([\\d_]+)`).exec(read(`widget/${file}`)) ?? [];
      assert.ok(value, `${file} has no ${name}`);
      assert.ok(text.includes(write(Number(value.replaceAll('_', '')))), `${name} is ${value}`);
    }
  });

  test('the content security policy that a browser test opens a page with', () => {
    const [, policy] = /^Content-Security-Policy: (.*)$/m.exec(section('Content security policy')) ?? [];
    assert.equal(policy, pagePolicy('https://edge.example'));
  });

  test('the browsers that the bundles are built for', () => {
    const [, targets = ''] = /target: \[(.*?)\]/.exec(read('widget/build.mjs')) ?? [];
    const [chrome, firefox, safari] = found(targets, /'[a-z]+([\d.]+)'/g);
    assert.ok(section('Versions').includes(`Chrome ${chrome}, Firefox ${firefox}, Safari ${safari} and later`));
  });
});

test("the comment above the element's class lists the same", () => {
  const [, comment = ''] = /(\/\*\*\n \* A live, signed-in chat.*?\*\/)\nexport class ChatWidget/s.exec(element) ?? [];
  const words = new Set(comment.match(/[\w-]+/g));
  const own = parts.filter((name) => !name.startsWith('form'));
  for (const name of [...attributes, 'strings', 'status', 'focus', ...events, ...states, ...customProperties, ...own])
    assert.ok(words.has(name), name);
});

test('the types of the package have every event, and those of JSX every attribute, too', () => {
  const [types, jsx] = [read('widget/chat-widget.d.ts'), read('widget/react.d.ts')];
  for (const name of sorted(events)) {
    assert.ok(types.includes(`'${name}': CustomEvent<`), name);
    assert.ok(jsx.includes(`'on${name}'?: ((event: CustomEvent<`), name);
  }
  // React's own types have `lang`.
  for (const name of sorted(attributes)) assert.ok(name === 'lang' || jsx.includes(`  ${name}?: `), name);
});
