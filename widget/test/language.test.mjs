import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { test } from 'node:test';

import { translationOf } from '../src/adapt.js';
import { ACCOUNT_STRINGS } from '../src/account/strings.js';
import { FORM_STRINGS } from '../src/form/strings.js';
import { LAUNCHER_STRINGS } from '../src/launcher/strings.js';
import { MESSAGE_STRINGS } from '../src/message/strings.js';
import { plural } from '../src/plural.js';
import { SIGN_IN_STRINGS } from '../src/sign-in-strings.js';
import { STRINGS } from '../src/strings.js';

/** @type {Record<string, string>} */
const ENGLISH = {
  ...STRINGS,
  ...ACCOUNT_STRINGS,
  ...SIGN_IN_STRINGS,
  ...MESSAGE_STRINGS,
  ...LAUNCHER_STRINGS,
  ...FORM_STRINGS,
};
/** Texts with a number have one for each plural category of the language that can come. */
const COUNTED = ['unreadCount', 'formCheck'];
const CATEGORY = /(Zero|One|Two|Few|Many)$/;
const folder = new URL('../src/language/', import.meta.url);
const codes = (await readdir(folder)).map((name) => name.replace('.js', ''));

const placeholders = (/** @type {string} */ text) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
const isVariant = (/** @type {string} */ name) => COUNTED.some((counted) => name.replace(CATEGORY, '') === counted);

test('there are eleven languages besides English', () => {
  assert.deepEqual(codes, ['ar', 'de', 'es', 'fr', 'hi', 'it', 'ja', 'ko', 'pt', 'ru', 'zh']);
});

for (const code of codes) {
  test(`${code} has every text, each with the placeholders of the English one`, async () => {
    /** @type {Record<string, string>} */
    const texts = await translationOf(code);
    const names = Object.keys(texts).filter((name) => !(name in ENGLISH));
    assert.deepEqual(
      names.filter((name) => !isVariant(name)),
      [],
      'unknown names',
    );
    for (const [name, english] of Object.entries(ENGLISH)) {
      if (name in ENGLISH && isVariant(name) && CATEGORY.test(name)) continue;
      const text = texts[name];
      assert.ok(text, `${name} is missing`);
      assert.deepEqual(placeholders(text), placeholders(english), name);
      assert.equal(text, text.trim(), name);
    }
  });

  test(`${code} has a text for each plural category`, async () => {
    /** @type {Record<string, string>} */
    const texts = await translationOf(code);
    const rules = new Intl.PluralRules(code);
    const whole = new Set(Array.from({ length: 200 }, (_, i) => rules.select(i + 1)));
    for (const name of COUNTED) {
      for (const category of whole) {
        const variant = name + category.charAt(0).toUpperCase() + category.slice(1);
        assert.ok(category === 'other' || texts[variant] || ['ja', 'ko', 'zh'].includes(code), variant);
      }
    }
  });
}

test('the first part of a language tag decides, however it is written', async () => {
  for (const tag of ['de', 'DE-at', 'de_CH', 'de-Latn-DE'])
    assert.equal((await translationOf(tag)).send, 'Senden', tag);
  for (const tag of ['', 'nl', 'den', 'toString', '__proto__', 'constructor', 'x-de'])
    assert.deepEqual(await translationOf(tag), {}, tag);
});

test('numbers choose the form of their language', async () => {
  /** @type {Record<string, string>} */
  const russian = await translationOf('ru');
  const say = (/** @type {number} */ count) => plural(russian, 'unreadCount', count, 'ru');
  assert.deepEqual([1, 2, 5, 21].map(say), [
    '1 новое сообщение',
    '2 новых сообщения',
    '5 новых сообщений',
    '21 новое сообщение',
  ]);
  /** @type {Record<string, string>} */
  const arabic = await translationOf('ar');
  assert.equal(plural(arabic, 'unreadCount', 2, 'ar'), 'رسالتان جديدتان');
  assert.equal(plural(ENGLISH, 'unreadCount', 1, 'en'), '1 new message');
  assert.equal(plural(ENGLISH, 'unreadCount', 1_200, 'en'), '1,200 new messages');
});
