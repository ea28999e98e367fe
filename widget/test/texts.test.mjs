import assert from 'node:assert/strict';
import { test } from 'node:test';

import { localeOf } from '../src/texts.js';

test('a locale that Intl does not accept means that of the browser', () => {
  assert.equal(localeOf('de'), 'de');
  assert.equal(localeOf('en_US'), 'en-US');
  for (const language of ['', 'x', 'de-', 'C.UTF-8', '*', 'en US', '\u0000'])
    assert.equal(localeOf(language), undefined);
  new Date(0).toLocaleDateString(localeOf('klingon-in-the-wrong-place'));
});
