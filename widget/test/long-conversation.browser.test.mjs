import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { launch, skip } from '../../tests/browser/firefox.mjs';
import { eventOf, publish, ride } from './long-conversation.mjs';
import { ADA } from './stub-edge.mjs';
import { WidgetPage, useWidgetPage } from './widget-page.mjs';

/** What window.js shows at once, and what it adds in one frame. */
const MOST_ROWS = 700;
const MOST_ADDED = 100;
const MOST_NODES = 25_000;
/** No wheel turns as fast. What is in view is then not laid out yet, and may move. */
const RACE_PX = 3_000;
/** As fast as a wheel turns. */
const READING_PX = 150;

describe('a conversation of 10 000 messages', () => {
  const widget = useWidgetPage();
  const { edge } = widget;
  const log = () => widget.page.locator('chat-widget .log');
  /** @param {string} selector @param {{ hasText?: string }} [options] */
  const shadow = (selector, options) => widget.page.locator(`chat-widget ${selector}`, options);

  /** @param {number} from @param {number} to */
  async function openWith(from, to) {
    publish(edge, from, to);
    await widget.openSignedIn();
    await shadow('.message')
      .last()
      .getByText(`No. ${to - 1},`)
      .waitFor();
    await shadow('.actions').last().waitFor({ state: 'attached' });
  }

  /** @param {number} step @param {number} target @param {number} [maxFrames] */
  async function scroll(step, target, maxFrames = 6_000) {
    const seen = await widget.page.evaluate(ride, { step, target, maxFrames });
    assert.ok(seen.mostRows <= MOST_ROWS, `${seen.mostRows} rows`);
    assert.ok(seen.mostNodes <= MOST_NODES, `${seen.mostNodes} nodes`);
    assert.ok(seen.mostAdded <= MOST_ADDED, `${seen.mostAdded} rows in one frame`);
    assert.deepEqual(seen.holes, []);
    return seen;
  }

  /** Which part of the page has the focus. */
  const focused = () =>
    widget.page.evaluate(
      () => document.activeElement?.shadowRoot?.activeElement?.getAttribute('part') ?? document.activeElement?.tagName,
    );

  test('scrolls from the end to the beginning and back, with a bounded part of it in the document', async () => {
    await openWith(0, 10_000);
    const slow = await scroll(-READING_PX, 0, 200);
    assert.deepEqual(slow.jumps, [], 'what is in view only moves by what is scrolled');
    assert.ok((await scroll(-RACE_PX, 0)).hasArrived, 'at the beginning');
    assert.equal(await shadow('.message').first().getAttribute('aria-posinset'), '1');
    assert.equal(await shadow('.message').first().getAttribute('aria-setsize'), '10000');
    const back = await scroll(READING_PX, 9_999, 200);
    assert.deepEqual(back.jumps, [], 'what is in view only moves by what is scrolled');
    assert.ok((await scroll(RACE_PX, 9_999)).hasArrived, 'at the end');
    assert.equal(await shadow('.message').last().getAttribute('aria-posinset'), '10000');
    assert.equal(edge.calls.length, 0, 'the edge is not asked for what is here');
    edge.publish('message', { text: 'the newest' });
    await shadow('.message').last().getByText('the newest').waitFor();
    assert.ok(await shadow('.latest').isHidden(), 'the newest message is in view');
  });

  test('Home and End lead to its ends, and the newest message does not move what the user reads', async () => {
    await openWith(0, 2_000);
    await log().focus();
    await widget.page.keyboard.press('Home');
    await shadow('.message').first().getByText('No. 0,').waitFor();
    assert.equal(await log().evaluate((node) => node.scrollTop), 0);
    await log().evaluate((node) => node.scrollBy(0, 1_000));
    edge.publish('message', { text: 'the newest' });
    await shadow('.latest[data-unread]').waitFor();
    assert.equal(await widget.page.getByText('the newest', { exact: true }).count(), 0);
    await widget.page.keyboard.press('End');
    await shadow('.message').last().getByText('the newest').waitFor();
    await shadow('.latest').waitFor({ state: 'hidden' });
    assert.equal(await focused(), 'log');
  });

  test('the focus stays in the log when the message that has it is scrolled away', async () => {
    await openWith(0, 2_000);
    await shadow('.copy-message').last().focus();
    await scroll(-RACE_PX, 0, 100);
    assert.equal(await focused(), 'log');
    await shadow('.latest').click();
    await shadow('.message').last().getByText('No. 1999,').waitFor();
    assert.equal(await focused(), 'log');
  });

  test('the tab key leads to a message in view', async () => {
    await openWith(0, 2_000);
    await log().focus();
    await widget.page.keyboard.press('Home');
    await shadow('.message').first().getByText('No. 0,').waitFor();
    await widget.page.keyboard.press('Tab');
    assert.equal(await focused(), 'copy-message');
    assert.ok(await shadow('.message:focus-within').getByText('No. 0,').isVisible());
  });

  test('selected text stays selected, however far the user scrolls', async () => {
    await openWith(0, 2_000);
    const selected = () => widget.page.evaluate(() => String(getSelection()));
    await shadow('.bubble', { hasText: 'No. 1997,' }).selectText();
    const text = await selected();
    assert.match(text, /No\. 1997,/);
    await widget.page.evaluate(ride, { step: -RACE_PX, target: 0, maxFrames: 60 });
    assert.equal(await selected(), text);
  });

  test('what is typed into a form is there when the user comes back to it', async () => {
    const form = { components: [{ type: 'textfield', key: 'name', label: 'Name', input: true }] };
    edge.publish('form', { id: 'f', text: 'Who?', form }, 'f', undefined, eventOf(0).time);
    publish(edge, 1, 1_500);
    await widget.openSignedIn();
    await log().focus();
    await shadow('.message').last().getByText('No. 1499,').waitFor();
    await shadow('.actions').last().waitFor({ state: 'attached' });
    await widget.page.keyboard.press('Home');
    const field = widget.page.getByLabel('Name');
    await field.fill('Ada');
    await shadow('.latest').click();
    await shadow('.message').last().getByText('No. 1499,').waitFor();
    await field.waitFor({ state: 'detached' });
    await log().focus();
    await widget.page.keyboard.press('Home');
    assert.equal(await field.inputValue(), 'Ada');
  });

  test('where it is cut off, it says so', async () => {
    await openWith(100, 10_000);
    const events = Array.from({ length: 200 }, (_, index) => ({ ...eventOf(index), time: '2026-01-01T00:00:00Z' }));
    edge.answers.set('/events/chat/history', { events, before: 'more', complete: true });
    await log().focus();
    await log().evaluate((node) => node.scrollBy(0, -500));
    await shadow('.message[aria-setsize="9900"]').first().waitFor({ state: 'attached' });
    await widget.page.keyboard.press('Home');
    await widget.page.getByText('Earlier messages are not shown here.').waitFor();
    assert.equal(edge.calls.length, 1);
  });

  test('the earlier messages of a short one come by the wheel, too', async () => {
    publish(edge, 20, 22);
    const events = Array.from({ length: 20 }, (_, index) => eventOf(index));
    edge.answers.set('/events/chat/history', { events, before: null, complete: true });
    await widget.openSignedIn();
    await shadow('.actions').last().waitFor({ state: 'attached' });
    await log().hover();
    await widget.page.mouse.wheel(0, -100);
    await shadow('.message').first().getByText('No. 0,').waitFor();
  });
});

describe('a long conversation in Firefox', { skip }, () => {
  const widget = new WidgetPage();
  /** @type {import('puppeteer-core').Browser} */
  let browser;

  before(async () => {
    await widget.start();
    ({ browser } = await launch());
  });

  after(async () => {
    await browser?.close();
    await widget.stop();
  });

  test('scrolls from the end to the beginning, with a bounded part of it in the document', async () => {
    publish(widget.edge, 0, 2_000);
    widget.edge.user = ADA;
    const page = await browser.newPage();
    await page.goto(widget.hostOrigin);
    await page.locator('chat-widget >>> .message:last-child .actions').wait();
    const slow = await page.evaluate(ride, { step: -READING_PX, target: 0, maxFrames: 200 });
    assert.deepEqual(slow.jumps, [], 'what is in view only moves by what is scrolled');
    const race = await page.evaluate(ride, { step: -RACE_PX, target: 0, maxFrames: 2_000 });
    assert.ok(race.hasArrived, 'at the beginning');
    assert.ok(race.mostRows <= MOST_ROWS, `${race.mostRows} rows`);
    assert.deepEqual(race.holes, []);
  });
});
