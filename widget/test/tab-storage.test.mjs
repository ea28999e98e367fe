import assert from 'node:assert/strict';
import { after, test } from 'node:test';

import { storeInTab, takeFromTab } from '../src/client/tab-storage.js';

const own = Object.getOwnPropertyDescriptor(globalThis, 'sessionStorage');
after(() => own && Object.defineProperty(globalThis, 'sessionStorage', own));

/** @param {() => unknown} get */
const give = (get) => Object.defineProperty(globalThis, 'sessionStorage', { configurable: true, get });

test('where storage is blocked, a value is kept as long as the page, and taken once', () => {
  give(() => {
    throw new DOMException('blocked', 'SecurityError');
  });
  storeInTab('draft', { text: 'hello' });
  assert.deepEqual(takeFromTab('draft'), { text: 'hello' });
  assert.equal(takeFromTab('draft'), null);
});

test('a value of the tab is taken once, and one that others wrote is none', () => {
  const values = new Map([['broken', '{']]);
  give(() => ({
    setItem: (/** @type {string} */ key, /** @type {string} */ text) => values.set(key, text),
    getItem: (/** @type {string} */ key) => values.get(key) ?? null,
    removeItem: (/** @type {string} */ key) => values.delete(key),
  }));
  storeInTab('draft', 'hello');
  assert.equal(takeFromTab('draft'), 'hello');
  assert.equal(takeFromTab('draft'), null);
  assert.equal(takeFromTab('broken'), null);
  assert.equal(values.size, 0);
});
