// The states that the widget can be in, each arranged on a page of the stub edge: what the pictures in
// docs/widget-states show, and what axe examines.

import { readFile } from 'node:fs/promises';

import { PICKUP } from './form-page.mjs';
import { ADA, GRACE } from './stub-edge.mjs';

/**
 * @typedef {import('./widget-page.mjs').WidgetPage} WidgetPage
 *
 * @typedef {object} State
 * @property {string} name
 * @property {string} about
 * @property {(widget: WidgetPage) => Promise<void>} arrange opens the page, too
 */

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "require-trusted-types-for 'script'",
].join('; ');

const DELAY = `LF-20771 was held up **3 hours** at customs in Oslo. It will arrive on *Thursday*:

1. Customs cleared it at 11:20
2. The ferry leaves at 14:00
3. Delivery in Utrecht by 18:30

You can follow it [on the map](https://track.example.com/LF-20771).`;

const REPORT = `Here is this week, lane by lane:

| Lane | Shipments | On time | Average delay | Held at customs |
|---|--:|--:|--:|--:|
| Gdańsk – Rotterdam | 48 | 98.1 % | 12 min | 0 |
| Lyon – Antwerp | 31 | 96.8 % | 25 min | 0 |
| Izmir – Rotterdam | 22 | 91.4 % | 3 h 10 min | 3 |

> Izmir is slow because of the new paperwork.

To get it yourself:

\`\`\`sh
curl -H 'Accept: text/csv' \\
  'https://api.example.com/v1/lanes?week=27&fields=lane,shipments,delay'
\`\`\`

The field \`delay\` is in minutes.`;

/** @param {WidgetPage} widget @param {string} time @param {string} text */
const ask = ({ edge }, time, text) => edge.publish('message', { text }, undefined, true, time);
/** @param {WidgetPage} widget @param {string} time @param {string} text @param {object} [more] */
const answer = ({ edge }, time, text, more) => edge.publish('message', { text, ...more }, undefined, undefined, time);

/** @param {WidgetPage} widget */
function talk(widget) {
  ask(widget, '2026-07-01T16:02:00Z', 'Good afternoon! Is LF-20788 still planned for Thursday?');
  answer(widget, '2026-07-01T16:02:20Z', 'Yes, it left Bilbao this morning and is on time.');
  ask(widget, '2026-07-02T08:41:00Z', 'And how late is LF-20771?');
  answer(widget, '2026-07-02T08:41:30Z', DELAY);
}

/**
 * @param {WidgetPage} widget
 * @param {Record<string, string>} [attributes]
 */
export async function openState(widget, attributes = {}) {
  const list = Object.entries(attributes).map(([name, value]) => ` ${name}="${value}"`);
  widget.edge.pages.set('/state', {
    policy: POLICY,
    html: `<!doctype html>
<html lang="en-GB"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chat</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/assets/page.css">
<script type="module" src="/assets/chat-widget.js"></script></head>
<body><main><chat-widget${list.join('')}></chat-widget></main></body></html>`,
  });
  await widget.open(`${widget.edgeOrigin}/state`);
}

/** @param {WidgetPage} widget @param {Record<string, string>} [attributes] */
async function openSignedIn(widget, attributes) {
  widget.edge.user = ADA;
  await openState(widget, attributes);
  await widget.page.locator('chat-widget .status.online').waitFor({ state: 'attached' });
}

/** The user has read until then, in this browser. @param {WidgetPage} widget @param {string} time */
const readUntil = ({ page, edgeOrigin }, time) =>
  page.addInitScript(
    ([name, value]) => localStorage.setItem(name ?? '', value ?? ''),
    [`chat-widget-read ${edgeOrigin} chat ${ADA.id}`, JSON.stringify({ time: Date.parse(time) })],
  );

/** @param {WidgetPage} widget @param {string} lang */
async function openAccount(widget, lang) {
  widget.edge.connections = [
    { provider: 'github', own: true },
    { provider: 'entra', sign_in_needed: true },
  ];
  const ends = { expires_at: '2026-07-03T08:00:00Z' };
  widget.edge.sessions = [
    { id: 'a', label: 'Firefox on Linux', created_at: '2026-07-02T08:40:00Z', current: true, ...ends },
    { id: 'b', label: 'Safari on iPhone', created_at: '2026-07-01T16:01:00Z', current: false, ...ends },
  ];
  talk(widget);
  await openSignedIn(widget, { lang });
  await messages(widget);
  await widget.page.locator('chat-widget .name').click();
  await widget.page.locator('chat-widget .account-item').nth(3).waitFor();
}

/** @param {WidgetPage} widget */
const messages = async (widget) => {
  await widget.page.locator('chat-widget .copy-message').last().waitFor({ state: 'attached' });
};

/** @type {State[]} */
export const STATES = [
  {
    name: 'connecting',
    about: 'It is not known yet who is signed in.',
    async arrange(widget) {
      widget.edge.holdSession();
      await openState(widget);
      await widget.waitForStatus('Connecting');
    },
  },
  {
    name: 'sign-in',
    about: 'Nobody is signed in.',
    async arrange(widget) {
      await openState(widget);
      await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    },
  },
  {
    name: 'ended',
    about: 'The session was ended.',
    async arrange(widget) {
      await openSignedIn(widget);
      widget.edge.user = null;
      widget.edge.write('event: end\ndata: {"reason":"revoked"}\n\n');
      await widget.page.getByText('Your session has ended').waitFor();
    },
  },
  {
    name: 'expired',
    about: 'The time of the session is over: the conversation stays.',
    async arrange(widget) {
      talk(widget);
      await openSignedIn(widget);
      await messages(widget);
      widget.edge.user = null;
      widget.edge.write('event: end\ndata: {"reason":"expired"}\n\n');
      await widget.page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    },
  },
  {
    name: 'empty',
    about: 'There is no message yet.',
    async arrange(widget) {
      await openSignedIn(widget);
      await widget.page.getByText('No messages yet').waitFor();
    },
  },
  {
    name: 'conversation',
    about: 'Messages of two days, with a list and a link.',
    async arrange(widget) {
      talk(widget);
      await openSignedIn(widget);
      await messages(widget);
    },
  },
  {
    name: 'report',
    about: 'A table that scrolls, a quote, code that can be copied, and files.',
    async arrange(widget) {
      ask(widget, '2026-07-02T09:10:00Z', 'How was the week?');
      const attachments = [
        { name: 'Week 27.pdf', url: 'https://files.example.com/27.pdf', size: 482_133 },
        { name: 'Lanes.csv', url: 'https://files.example.com/27.csv', size: 18_204 },
      ];
      answer(widget, '2026-07-02T09:10:40Z', REPORT, { attachments });
      await openSignedIn(widget);
      await messages(widget);
    },
  },
  {
    name: 'streaming',
    about: 'An answer arrives, in the middle of bold text.',
    async arrange(widget) {
      ask(widget, '2026-07-02T08:41:00Z', 'How late is LF-20771?');
      await openSignedIn(widget);
      widget.edge.publish(
        'delta',
        { id: 'a', seq: 0, text: 'It was held up **3 hours' },
        undefined,
        undefined,
        '2026-07-02T08:41:30Z',
      );
      await widget.page.locator('chat-widget .rich strong').waitFor();
    },
  },
  {
    name: 'offline',
    about: 'The browser is offline, and a message waits.',
    async arrange(widget) {
      talk(widget);
      await openSignedIn(widget);
      await messages(widget);
      await widget.context.setOffline(true);
      widget.edge.cutStreams();
      await widget.waitForStatus('You are offline');
      await widget.send('Please call the driver.');
      await widget.page.locator('chat-widget .cancel').waitFor();
    },
  },
  {
    name: 'failed',
    about: 'A message was refused.',
    async arrange(widget) {
      talk(widget);
      await openSignedIn(widget);
      await messages(widget);
      widget.edge.postFailures = [{ status: 403, title: 'This channel is closed' }];
      await widget.send('Please call the driver.');
      await widget.page.getByRole('button', { name: 'Try again' }).waitFor();
    },
  },
  {
    name: 'gap',
    about: 'Messages may be missing.',
    async arrange(widget) {
      talk(widget);
      await openSignedIn(widget);
      await messages(widget);
      widget.edge.write('event: reset\ndata: {"reason":"retention"}\n\n');
      await widget.page.getByText('Older messages may be missing').waitFor();
      answer(widget, '2026-07-02T09:30:00Z', 'LF-20771 is on the ferry.');
      await widget.waitForMessage({ text: 'on the ferry' });
    },
  },
  {
    name: 'unread',
    about: 'What is new since the last visit. The user has scrolled up, and more has come.',
    async arrange(widget) {
      talk(widget);
      answer(widget, '2026-07-02T09:30:00Z', 'LF-20771 is on the ferry.');
      answer(widget, '2026-07-02T09:41:00Z', REPORT);
      widget.edge.answers.set('/events/chat/history', { events: [], before: null, complete: true });
      await readUntil(widget, '2026-07-02T08:41:40Z');
      await openSignedIn(widget);
      const line = widget.page.locator('chat-widget .unread');
      await line.evaluate((node) => node.scrollIntoView());
      await widget.page.locator('chat-widget .latest').waitFor();
      // Now what is above it has its real height.
      await line.evaluate((node) => node.scrollIntoView());
      for (const text of ['It will be in Utrecht at **18:30**.', 'The driver is Jan.'])
        answer(widget, '2026-07-02T17:02:00Z', text);
      await widget.page.locator('chat-widget .latest[data-unread="2"]').waitFor();
      await line.evaluate((node) => node.scrollIntoView());
    },
  },
  {
    name: 'long',
    about: 'The user has scrolled far back in a long conversation.',
    async arrange(widget) {
      const begin = Date.UTC(2026, 3, 1, 6);
      for (let i = 0; i < 800; i += 1) {
        const time = new Date(begin + Math.floor(i / 8) * 86_400_000 + (i % 8) * 3_600_000).toISOString();
        if (i % 2) answer(widget, time, [DELAY, 'It left Bilbao this morning and is on time.'][(i >> 1) % 2] ?? '');
        else ask(widget, time, i % 4 ? 'Is LF-20788 still planned for Thursday?' : 'How late is LF-20771?');
      }
      await openSignedIn(widget);
      await messages(widget);
      const log = widget.page.locator('chat-widget .log');
      await log.focus();
      await widget.page.keyboard.press('Home');
      await widget.page.locator('chat-widget .message[aria-posinset="1"]').waitFor();
      await log.evaluate((node) => node.scrollTo(0, 1_400));
      await widget.page.locator('chat-widget .latest').waitFor();
    },
  },
  {
    name: 'question',
    about: 'A question by form.',
    async arrange(widget) {
      ask(widget, '2026-07-02T10:00:00Z', 'I need a pickup.');
      widget.edge.publish(
        'form',
        { id: 'f', text: 'Gladly. Please fill this in:', form: PICKUP },
        'f',
        undefined,
        '2026-07-02T10:00:10Z',
      );
      await openSignedIn(widget);
      await widget.page.getByRole('button', { name: 'Request pickup' }).waitFor();
    },
  },
  {
    name: 'switched',
    about: 'Another user has signed in from another window.',
    async arrange(widget) {
      talk(widget);
      await openSignedIn(widget);
      await messages(widget);
      widget.edge.replaceSession(GRACE);
      await widget.page.getByText('You are now signed in as Grace Hopper').waitFor();
      await widget.page.getByText('No messages yet').waitFor();
    },
  },
  {
    name: 'account',
    about: 'The user’s accounts and sessions, opened by their name.',
    arrange: (widget) => openAccount(widget, 'en'),
  },
  {
    name: 'account-right-to-left',
    about: 'The same in Arabic.',
    arrange: (widget) => openAccount(widget, 'ar'),
  },
  {
    name: 'compact',
    about: 'A button in the corner, with the number of new messages.',
    async arrange(widget) {
      await readUntil(widget, '2026-07-02T08:41:10Z');
      talk(widget);
      answer(widget, '2026-07-02T09:30:00Z', 'LF-20771 is on the ferry.');
      await openSignedIn(widget, { compact: '' });
      await widget.page.locator('chat-widget .badge', { hasText: '2' }).waitFor();
    },
  },
  {
    name: 'compact-open',
    about: 'The same, open.',
    async arrange(widget) {
      talk(widget);
      await openSignedIn(widget, { compact: '' });
      await widget.page.locator('chat-widget .launcher').click();
      await messages(widget);
      await widget.page.mouse.move(0, 0);
    },
  },
  {
    name: 'right-to-left',
    about: 'Arabic. Each message has the direction of its own text.',
    async arrange(widget) {
      ask(widget, '2026-07-02T08:41:00Z', 'كم تأخرت الشحنة LF-20771؟');
      answer(widget, '2026-07-02T08:41:30Z', 'تأخرت **ثلاث ساعات** في الجمارك:\n\n- غادرت أوسلو\n- تصل يوم الخميس');
      ask(widget, '2026-07-02T08:42:00Z', 'Thank you!');
      await openSignedIn(widget, { lang: 'ar' });
      await widget.page.getByPlaceholder('اكتب رسالة').waitFor();
      await messages(widget);
    },
  },
  {
    name: 'forced-colours',
    about: 'With the colours of the system’s contrast theme.',
    async arrange(widget) {
      await widget.page.emulateMedia({ forcedColors: 'active' });
      talk(widget);
      await openSignedIn(widget);
      await messages(widget);
    },
  },
];

/** What a page has, and not the widget. */
const PAGE_RULES = ['page-has-heading-one'];

/**
 * @param {WidgetPage} widget
 * @returns {Promise<string[]>} what axe objects to
 */
export async function violationsOf({ page }) {
  await page.evaluate(await readFile(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8'));
  const found = await page.evaluate(
    (rules) =>
      Reflect.get(globalThis, 'axe').run({
        runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
        rules: Object.fromEntries(rules.map((rule) => [rule, { enabled: false }])),
      }),
    PAGE_RULES,
  );
  return found.violations.map(
    (/** @type {any} */ { id, nodes }) => `${id}: ${nodes[0]?.html} ${nodes[0]?.failureSummary}`,
  );
}
