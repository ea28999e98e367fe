import assert from 'node:assert/strict';
import { test } from 'node:test';

import { faultsOf, mapFaultsOf } from '../bundle-check.mjs';

test('code and markup from text, inline styles, secrets and foreign addresses are found', () => {
  for (const [code, what] of [
    ['eval("1")', 'code from text'],
    ['new Function("x")', 'code from text'],
    ['setTimeout("x()")', 'code from text'],
    ['a.innerHTML=b', 'markup from text'],
    ['n.setAttribute("style","x")', 'an inline style'],
    ['let s="-----BEGIN PRIVATE KEY"', 'a secret'],
    ['fetch("https://tracker.example/")', 'an address of somebody else'],
  ])
    assert.match(faultsOf(`let x=1;${code}`).join(), new RegExp(`^${what}:`), code);
});

test('what a widget needs is none of it', () => {
  for (const code of ['n.style.height="1px"', 'setTimeout(()=>f(),1)', 'retrieval(1)', '"http://www.w3.org/2000/svg"'])
    assert.deepEqual(faultsOf(code), [], code);
});

test('a source map names sources of the widget only, and no secret is in them', () => {
  const map = (/** @type {string} */ source, /** @type {string} */ content) =>
    mapFaultsOf(JSON.stringify({ sources: [source], sourcesContent: [content] }));
  assert.deepEqual(map('../src/client/core.js', 'export const one = 1;'), []);
  for (const source of ['/home/me/widget/src/core.js', '../../elsewhere/core.js', '../src/../../core.js'])
    assert.match(map(source, '').join(), /^a source of elsewhere:/, source);
  assert.match(map('../src/core.js', "const key = '-----BEGIN PRIVATE KEY'").join(), /^a secret:/);
});
