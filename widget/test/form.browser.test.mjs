import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';

import { PICKUP, useFormPage } from './form-page.mjs';

const HOSTILE = '<img src=x onerror="globalThis.hacked=1"><script>globalThis.hacked=1</script>{{constructor}}';

describe('a form', () => {
  const form = useFormPage();
  const { widget } = form;

  /** @param {string} [scheme] */
  async function violations(scheme) {
    if (scheme) await widget.page.emulateMedia({ colorScheme: /** @type {'dark'} */ (scheme) });
    await widget.page.evaluate(await readFile(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8'));
    const { violations: found } = await widget.page.evaluate(() => Reflect.get(globalThis, 'axe').run());
    return found.map((/** @type {any} */ { id, nodes }) => `${id}: ${nodes[0]?.html}`);
  }

  test('is filled in and sent by keyboard alone', async () => {
    await form.open(PICKUP);
    const { keyboard } = widget.page;
    await keyboard.press('Tab');
    await keyboard.type('Ada');
    await keyboard.press('Tab');
    await keyboard.type('Ada@Example.com');
    await keyboard.press('Tab');
    await keyboard.type('LF-20771');
    await keyboard.press('Tab');
    await keyboard.press('Space');
    await keyboard.press('ArrowDown');
    await keyboard.press('Tab');
    assert.match((await form.focused()).name, /^Terminal/, 'the panel has appeared');
    await keyboard.press('ArrowDown');
    await keyboard.press('ArrowDown');
    await keyboard.press('Tab');
    await keyboard.press('Space');
    await keyboard.press('Tab');
    await keyboard.press('Tab');
    await keyboard.type('1250.5');
    await keyboard.press('Tab');
    // The same in each order of day and month.
    await keyboard.type('11112026');
    await keyboard.press('Tab');
    while (!(await form.focused()).name.startsWith('Anything')) await keyboard.press('Tab');
    await keyboard.type('Ring twice');
    await keyboard.press('Tab');
    await keyboard.press('Space');
    await keyboard.press('Tab');
    await keyboard.press('Enter');
    await widget.page.getByText('Your answers were sent.').waitFor();

    const [event, ...more] = await form.events();
    assert.deepEqual(more, []);
    const { date, ...data } = event.data.submission.data;
    assert.deepEqual([event.type, event.data.form], ['form', 'pickup']);
    assert.deepEqual(data, {
      name: 'Ada',
      email: 'ada@example.com',
      reference: 'LF-20771',
      how: 'sea',
      terminal: 'wh',
      extras: { customs: true, cold: false },
      weight: 1250.5,
      note: 'Ring twice',
      terms: true,
      submit: true,
    });
    assert.match(date, /^2026-11-11T00:00:00[+-]\d\d:\d\d$/);
    assert.equal((await form.focused()).name, 'Your answers were sent.', 'the focus has a place');
  });

  test('sent with mistakes, tells each and goes to the first', async () => {
    await form.open(PICKUP);
    const { page } = widget;
    await page.getByLabel('Contact').fill('A');
    await page.getByLabel('Shipment').fill('20771');
    await page.getByLabel('Weight').fill('0');
    await page.getByRole('button', { name: 'Request pickup' }).click();
    assert.deepEqual(await page.locator('.form-error:visible').allTextContents(), [
      'Contact must have at least 2 characters.',
      'Email is required.',
      'A shipment has the letters LF, a hyphen and five digits.',
      'How does it travel? is required.',
      'Weight must be 1 or more.',
      'Date is required.',
      'The goods are packed and labelled is required.',
    ]);
    const { name, description } = await form.focused();
    assert.deepEqual([name, description], ['Contact *', 'Contact must have at least 2 characters.']);
    await page.getByRole('status').filter({ hasText: '7 answers need your attention.' }).waitFor();
    assert.equal(await page.getByLabel('Contact').getAttribute('aria-invalid'), 'true');
    assert.equal(await page.getByRole('radiogroup').getAttribute('aria-invalid'), 'true');
    assert.deepEqual(await form.events(), []);

    await page.getByLabel('Contact').fill('Ada');
    assert.equal(
      await page.getByText('at least 2 characters').count(),
      0,
      'the error goes as soon as the answer is right',
    );
    assert.equal(await page.getByLabel('Contact').getAttribute('aria-invalid'), null);
    await page.getByRole('status').filter({ hasText: '6 answers need your attention.' }).waitFor();
  });

  test('tells a mistake when its field is left, but not that a field is empty', async () => {
    await form.open(PICKUP);
    const { page } = widget;
    await page.getByLabel('Contact').focus();
    await page.getByLabel('Email').fill('ada@example');
    await page.getByLabel('Shipment').focus();
    const text = 'Email must be an email address, such as name@example.com.';
    assert.deepEqual(await page.locator('.form-error:visible').allTextContents(), [text]);
    await page.getByRole('status').filter({ hasText: text }).waitFor({ state: 'attached' });
  });

  test('leaves no listener with the page', async () => {
    await form.open(PICKUP);
    const { page } = widget;
    await page.evaluate(() => {
      const listen = addEventListener;
      /** @type {AbortSignal[]} */
      const signals = [];
      Object.assign(globalThis, {
        signals,
        addEventListener(/** @type {[string, EventListener, { signal: AbortSignal }]} */ ...words) {
          signals.push(words[2].signal);
          listen(...words);
        },
      });
    });
    await page.getByLabel('Contact').click();
    await page.getByLabel('Email').click();
    const ended = await page.evaluate(() => {
      const { signals } = /** @type {any} */ (globalThis);
      return signals.map((/** @type {AbortSignal} */ { aborted }) => aborted);
    });
    assert.deepEqual(ended, [true, true, true, true]);
  });

  test('does not ask for what is hidden, nor send it', async () => {
    const components = [
      { type: 'checkbox', key: 'more', label: 'More' },
      {
        type: 'textfield',
        key: 'detail',
        label: 'Detail',
        defaultValue: 'preset',
        validate: { required: true },
        conditional: { show: true, when: 'more', eq: 'true' },
      },
    ];
    await form.open({ components }, { id: 'given' });
    const { page } = widget;
    assert.equal(await page.getByLabel('Detail').isVisible(), false);
    await page.getByLabel('More').check();
    await page.getByLabel('Detail').fill('typed');
    await page.getByLabel('More').uncheck();
    assert.equal(await page.getByLabel('Detail').isVisible(), false);
    await page.getByLabel('More').check();
    assert.equal(await page.getByLabel('Detail').inputValue(), 'preset', 'what was hidden begins anew');
    await page.getByLabel('Detail').fill('');
    await page.getByLabel('More').uncheck();
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('Your answers were sent.').waitFor();
    assert.deepEqual(await form.events(), [
      { type: 'form', data: { form: 'given', submission: { data: { more: false } } } },
    ]);
  });

  test('that could not be sent can be sent again, but not twice', async () => {
    await form.open({ components: [{ type: 'textfield', key: 'a', label: 'Name' }] });
    const { page } = widget;
    await page.evaluate(() => Object.assign(globalThis, { failures: 1 }));
    await page.getByLabel('Name').fill('Ada');
    await page.keyboard.press('Enter');
    await page.getByText('Your answers were not sent.').waitFor();
    assert.equal(await page.getByLabel('Name').inputValue(), 'Ada');
    await page.getByRole('button', { name: 'Send' }).dblclick();
    await page.getByText('Your answers were sent.').waitFor();
    assert.equal((await form.events()).length, 2);
    assert.equal(await page.getByRole('button').count(), 0);
    assert.equal(await page.getByLabel('Name').isDisabled(), true);
  });

  test('of answers that the edge would not take says so, and sends the shorter ones', async () => {
    const keys = ['a', 'b', 'c', 'd'];
    await form.open({ components: keys.map((key) => ({ type: 'textarea', key, label: `Text ${key}` })) });
    const { page } = widget;
    for (const key of keys) await page.getByLabel(`Text ${key}`).fill('x'.repeat(18_000));
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('Your answers are too long to be sent.').waitFor();
    assert.deepEqual(await form.events(), []);
    await page.getByLabel('Text a').fill('');
    await page.getByRole('button', { name: 'Send' }).click();
    await page.getByText('Your answers were sent.').waitFor();
    assert.equal((await form.events()).length, 1);
  });

  test("keeps what is typed from the page's shortcuts, and leaves it commands", async () => {
    await form.open(PICKUP);
    const { page } = widget;
    await page.evaluate(() => {
      /** @type {string[]} */
      const keys = [];
      Object.assign(globalThis, { keys });
      for (const type of ['keydown', 'keypress', 'keyup'])
        document.addEventListener(type, (event) => keys.push(/** @type {KeyboardEvent} */ (event).key));
    });
    await page.getByLabel('Contact').focus();
    await page.keyboard.type('j/? k');
    await page.getByLabel('By sea').focus();
    for (const key of ['Space', 'Escape', 'Control+k']) await page.keyboard.press(key);
    assert.equal(await page.getByLabel('Contact').inputValue(), 'j/? k');
    const keys = await page.evaluate(() => [...new Set(Reflect.get(globalThis, 'keys'))]);
    assert.deepEqual(keys.sort(), ['Control', 'Escape', 'k']);
  });

  test('shows answers that were given before', async () => {
    const submission = { data: { name: 'Ada', how: 'sea', terminal: 'mv', date: '2026-11-30T12:00:00' } };
    await form.open(PICKUP, { submission: { ...submission, state: 'submitted' } });
    const { page } = widget;
    assert.equal(await page.getByLabel('Contact').inputValue(), 'Ada');
    assert.equal(await page.getByLabel('Date').inputValue(), '2026-11-30');
    assert.equal(await page.getByLabel('Terminal').isDisabled(), true);
    await page.getByText('Your answers were sent.').waitFor();
  });

  test('takes what is half a number or half a date for a mistake', async () => {
    await form.open(PICKUP);
    const { page } = widget;
    await page.getByLabel('Weight').pressSequentially('1e');
    await page.getByLabel('Date').pressSequentially('30');
    await page.getByLabel('Contact').focus();
    assert.deepEqual(await page.locator('.form-error:visible').allTextContents(), [
      'Weight must be a number.',
      'Date must be a date.',
    ]);
  });

  test('S142: of a hostile definition shows its texts as text', async () => {
    const text = { label: HOSTILE, description: HOSTILE, placeholder: HOSTILE, prefix: HOSTILE, tooltip: HOSTILE };
    const types = [
      'textfield',
      'email',
      'number',
      'textarea',
      'checkbox',
      'radio',
      'selectboxes',
      'select',
      'datetime',
    ];
    const components = [...types, 'day', 'panel', 'fieldset', 'button', 'content', 'htmlelement', 'signature'].map(
      (type, i) => ({
        ...text,
        type,
        key: `k${i}`,
        title: HOSTILE,
        legend: HOSTILE,
        html: HOSTILE,
        content: HOSTILE,
        values: [{ label: HOSTILE, value: HOSTILE }],
        data: { values: [{ label: HOSTILE, value: HOSTILE }] },
        validate: { required: true, customMessage: HOSTILE },
        customConditional: 'globalThis.hacked = 1',
        attributes: [{ attr: 'onclick', value: 'globalThis.hacked=1' }],
        customClass: '"><img src=x onerror=globalThis.hacked=1>',
        components: [],
      }),
    );
    await form.open({ title: HOSTILE, components });
    await widget.page.getByRole('button').first().click();
    const found = await widget.page.evaluate(() => {
      const root = document.querySelector('main > div')?.shadowRoot;
      return [root?.querySelectorAll('img, script, [onclick]').length, 'hacked' in globalThis];
    });
    assert.deepEqual(found, [0, false]);
  });

  test('that is none, or has unknown parts, says so', async () => {
    await form.open(null);
    await widget.page.getByText('This form can’t be shown here.').waitFor();
    await form.open({ components: [{ type: 'signature', key: 's', label: 'Signature' }] });
    await widget.page.getByText('This part of the form can’t be shown here: Signature').waitFor();
  });

  test('has no violations that axe finds, in any of its states', async () => {
    await form.open(PICKUP);
    assert.deepEqual(await violations('light'), []);
    assert.deepEqual(await violations('dark'), []);
    await widget.page.getByLabel('By sea').check();
    await widget.page.getByRole('button', { name: 'Request pickup' }).click();
    assert.deepEqual(await violations(), []);
    assert.deepEqual(await violations('light'), []);
    await form.open(PICKUP, { submission: { data: { name: 'Ada', how: 'sea' }, state: 'submitted' } });
    assert.deepEqual(await violations('light'), []);
    assert.deepEqual(await violations('dark'), []);
  });

  test('fits a narrow page', async () => {
    await widget.page.setViewportSize({ width: 320, height: 640 });
    await form.open(PICKUP);
    await widget.page.getByLabel('By sea').check();
    const width = await widget.page.evaluate(() => document.documentElement.scrollWidth);
    assert.equal(width, 320);
  });

  test('is rendered by the page instead, if it has its own renderer', async () => {
    await form.open({ title: 'First', components: [] });
    const { page } = widget;
    await page.evaluate(async () => {
      const { registerFormRenderer } = await import(String('/assets/form.js'));
      const unregister = registerFormRenderer((/** @type {any} */ { title }) => {
        if (title === 'Left to the widget') return undefined;
        const element = document.createElement('p');
        element.textContent = `The page’s own: ${title}`;
        return { element, destroy: () => element.remove() };
      });
      Object.assign(globalThis, { unregister });
    });
    await form.render({ title: 'Second', components: [] }, {});
    await page.getByText('The page’s own: Second').waitFor();
    await form.render({ title: 'Left to the widget', components: [] }, {});
    await page.getByRole('heading', { name: 'Left to the widget' }).waitFor();
    await page.evaluate(() => Reflect.get(globalThis, 'unregister')());
    await form.render({ title: 'Third', components: [] }, {});
    await page.getByRole('heading', { name: 'Third' }).waitFor();
  });
});
