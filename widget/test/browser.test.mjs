// The built widget in a real Chromium, on a strict host page of another origin than the (stand-in) edge.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';

import { chromium } from 'playwright-core';

import { hostServer } from '../../examples/host/server.mjs';
import { build } from '../build.mjs';
import { StubEdge } from './stub-edge.mjs';

const ARGS =
  '--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync';
const ADA = { id: 'github:1', name: 'Ada Lovelace' };
const GRACE = { id: 'github:2', name: 'Grace Hopper' };
const HOSTILE = [
  '<img src=x onerror="globalThis.hacked=1">',
  '<script>globalThis.hacked=1</script>',
  '[link](javascript:globalThis.hacked=1) {{constructor.constructor("globalThis.hacked=1")()}}',
  '\u202Egnp.exe\u0000\u2028',
];

/** @type {import('playwright-core').Browser} */
let browser;
/** @type {import('playwright-core').BrowserContext} */
let context;
/** @type {import('playwright-core').Page} */
let page;
/** @type {StubEdge} */
let edge;
/** @type {import('node:http').Server} */
let host;
let edgeOrigin = '';
let hostOrigin = '';
let dist = '';
/** @type {string[]} */
let complaints = [];

before(async () => {
  dist = await mkdtemp(join(tmpdir(), 'chat-widget-'));
  await build(dist);
  edge = new StubEdge(dist);
  edgeOrigin = await edge.listen();
  host = hostServer(edgeOrigin);
  await new Promise((resolve) => host.listen(0, '127.0.0.1', () => resolve(undefined)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (host.address());
  hostOrigin = `http://localhost:${port}`;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium',
    args: ARGS.split(' '),
  });
});

after(async () => {
  await browser?.close();
  edge?.close();
  host?.closeAllConnections();
  host?.close();
  await rm(dist, { recursive: true, force: true });
});

beforeEach(async () => {
  edge.reset();
  complaints = [];
  context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 860 } });
  context.setDefaultTimeout(10_000);
  page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    if (/Content.Security.Policy|Trusted ?Type|violates/i.test(message.text())) complaints.push(message.text());
  });
});

afterEach(async () => {
  await context.close();
  assert.deepEqual(complaints, [], 'neither a script error nor a policy violation');
});

/** @param {string} [url] */
async function open(url = `${hostOrigin}/`) {
  await page.goto(url);
}

async function openSignedIn() {
  edge.user = ADA;
  await open();
  await status('Online');
}

/** @param {string} text */
async function status(text) {
  await page.locator('chat-widget .status', { hasText: text }).waitFor();
}

/** @param {string} name */
async function user(name) {
  await page.locator('chat-widget .name', { hasText: name }).waitFor();
}

/** @param {string} text */
async function note(text) {
  await page.waitForFunction(
    (want) => document.querySelector('chat-widget')?.shadowRoot?.querySelector('.note')?.textContent === want,
    text,
  );
}

/** @returns {() => void} lets the edge say who is signed in */
function holdSession() {
  let release = () => {};
  edge.sessionGate = new Promise((resolve) => (release = resolve));
  return release;
}

/** @param {string} text */
async function say(text) {
  await page.getByPlaceholder('Write a message').fill(text);
  await page.keyboard.press('Enter');
}

/** @param {{ role?: 'user' | 'assistant', state?: string, text?: string }} what */
async function bubble({ role, state, text }) {
  const item = page.locator(`chat-widget li${role ? `.${role}` : ''}${state ? `[data-state=${state}]` : ''}`);
  const found = text === undefined ? item : item.filter({ hasText: text });
  await found.first().waitFor();
  return found;
}

function texts() {
  return page.locator('chat-widget .bubble').allTextContents();
}

/**
 * @param {() => boolean} condition of this process, not of the page
 * @param {string} what
 */
async function until(condition, what) {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    assert.ok(Date.now() < deadline, `timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('signing in', () => {
  test('offers each provider as a link that comes back to this very page', async () => {
    await open(`${hostOrigin}/?order=7#part`);
    const hrefs = await page
      .getByRole('link', { name: /Continue with/ })
      .evaluateAll((links) => links.map((a) => a.getAttribute('href')));
    const back = encodeURIComponent(`${hostOrigin}/?order=7#part`);
    assert.deepEqual(
      hrefs,
      ['entra', 'github'].map((id) => `${edgeOrigin}/auth/${id}/login?return_to=${back}`),
    );
    assert.equal(edge.resumes.length, 0, 'no stream before sign-in');
    await page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await status('Online');
    assert.equal(page.url(), `${hostOrigin}/?order=7#part`);
  });

  test('comes back to where the page has moved on to meanwhile', async () => {
    await open();
    await page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    await page.evaluate(() => history.pushState(null, '', '/?order=8#lanes'));
    await page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await status('Online');
    assert.equal(page.url(), `${hostOrigin}/?order=8#lanes`);
  });

  test('S154: says so when it did not take effect, as where cookies of other sites are blocked', async () => {
    await open();
    await page.route('**/login?*', (route) => route.fulfill({ status: 303, headers: { location: `${hostOrigin}/` } }));
    await page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await page.getByText('The sign-in did not take effect').waitFor();
  });

  test('signing out forgets the conversation and closes the stream', async () => {
    edge.publish('message', { id: 'a', text: 'secret' });
    await openSignedIn();
    await bubble({ text: 'secret' });
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('Sign in to start chatting').waitFor();
    assert.deepEqual(await texts(), []);
    await until(() => edge.streams.size === 0, 'stream closed');
  });

  test('signing out goes by way of the provider, where it can, and back to the same place', async () => {
    edge.endsAtProvider = true;
    await openSignedIn();
    await page.evaluate(() => history.pushState(null, '', '/?order=8#lanes'));
    await page.getByRole('button', { name: 'Sign out' }).click();
    await until(() => edge.departures.length === 1, 'the browser left for the provider');
    await page.waitForURL(`${hostOrigin}/?order=8#lanes`);
    await page.getByText('Sign in to start chatting').waitFor();
    assert.deepEqual(edge.departures, [`${hostOrigin}/?order=8#lanes`]);
  });

  test('a session ended from elsewhere ends the stream for good', async () => {
    await openSignedIn();
    edge.user = null;
    edge.write('event: end\ndata: {"reason":"revoked"}\n\n');
    await page.getByText('Your session has ended').waitFor();
    await until(() => edge.streams.size === 0, 'stream closed');
    assert.equal(edge.resumes.length, 1);
  });

  test('another user sees nothing of the one before', async () => {
    edge.publish('message', { id: 'a', text: 'for Ada' });
    await openSignedIn();
    await bubble({ text: 'for Ada' });
    edge.history = [];
    edge.user = GRACE;
    await page.evaluate(() => dispatchEvent(new Event('focus')));
    await user('Grace Hopper');
    await until(() => edge.streams.size === 1, 'one stream');
    assert.deepEqual(await texts(), []);
  });
});

describe('signing in on a page of another site than the edge', () => {
  beforeEach(() => {
    edge.handsOver = true;
  });

  const code = () => page.evaluate(() => sessionStorage.getItem('chat-widget-handoff'));

  test('takes the session that was begun for the page, and leaves no trace of how', async () => {
    await open(`${hostOrigin}/?order=7#part`);
    await page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await status('Online');
    assert.equal(page.url(), `${hostOrigin}/?order=7#part`, 'the address is the one of before');
    assert.deepEqual(edge.uses, [true]);
    assert.equal(await code(), null);
    await page.reload();
    await status('Online');
    assert.deepEqual(edge.uses, [true]);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await status('Online');
    assert.deepEqual(edge.uses, [true, true], 'and again, by another code');
  });

  test('serves all widgets of the page by one code', async () => {
    await page.route(`${hostOrigin}/host.js`, (route) =>
      route.fulfill({
        contentType: 'text/javascript',
        body: `import { mount } from '${edgeOrigin}/assets/chat-widget.js';
        for (const edge of ['${edgeOrigin}', '', '${edgeOrigin}']) mount(document.body, { edge });`,
      }),
    );
    await open();
    await page.getByRole('link', { name: 'Continue with GitHub' }).first().click();
    await page.waitForFunction(
      () =>
        [...document.querySelectorAll('chat-widget')].filter((widget) => Reflect.get(widget, 'status') === 'online')
          .length >= 3,
    );
    assert.deepEqual(edge.uses, [true]);
  });

  test('S154: says so where no cookie of the edge is let through, and does not send anybody round again', async () => {
    edge.isBlocked = true;
    await open();
    await page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await page.getByText('Your browser may be blocking cookies').waitFor();
    assert.equal(await page.getByRole('link', { name: /Continue with/ }).count(), 0);
    const [window] = await Promise.all([
      context.waitForEvent('page'),
      page.getByRole('link', { name: 'Open the chat in a window of its own' }).click(),
    ]);
    await window.waitForURL(`${edgeOrigin}/`);
    assert.equal(await window.evaluate(() => opener), null);
    assert.equal(page.url(), `${hostOrigin}/`, 'this page stays');
    await page.evaluate(() => dispatchEvent(new Event('focus')));
    assert.deepEqual(edge.uses, [true]);
    // Once they let the cookie through it is as ever.
    edge.isBlocked = false;
    await page.reload();
    await page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await status('Online');
  });

  test('gives up a code that does not work, or that it has no verifier for', async () => {
    await open(`${hostOrigin}/?order=7#causeway=stolen`);
    await page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    assert.equal(page.url(), `${hostOrigin}/?order=7`);
    assert.deepEqual(edge.uses, [], 'somebody else began this one');
    await page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    await page.evaluate(
      (origin) => sessionStorage.setItem('chat-widget-handoff', JSON.stringify(['another', origin, ''])),
      edgeOrigin,
    );
    await page.goto('about:blank');
    await open(`${hostOrigin}/#causeway=stolen`);
    await page.getByRole('link', { name: 'Continue with GitHub' }).waitFor();
    assert.deepEqual(edge.uses, [false]);
    assert.equal(page.url(), `${hostOrigin}/`);
    await page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await status('Online');
  });

  test("does not ask for it on the edge's own page", async () => {
    await open(`${edgeOrigin}/`);
    const href = await page.getByRole('link', { name: 'Continue with GitHub' }).getAttribute('href');
    assert.equal(href, `${edgeOrigin}/auth/github/login?return_to=%2F`);
  });
});

describe('somebody else signs in from another window', () => {
  test('is shown at once, without what belongs to the one before', async () => {
    edge.publish('message', { id: 'a', text: 'for Ada' });
    await openSignedIn();
    await bubble({ text: 'for Ada' });
    await page.evaluate(() => {
      const root = document.querySelector('chat-widget')?.shadowRoot;
      const name = root?.querySelector('.name');
      const count = () => Object.assign(globalThis, { under: root?.querySelectorAll('.bubble').length });
      if (name) new MutationObserver(count).observe(name, { childList: true });
    });
    edge.replaceSession(GRACE);
    edge.publish('message', { id: 'b', text: 'for Grace' });
    await bubble({ text: 'for Grace' });
    await user('Grace Hopper');
    assert.equal(
      await page.evaluate(() => Reflect.get(globalThis, 'under')),
      0,
      'nothing of Ada stands under the name of Grace, even before a frame is drawn',
    );
    await note('You are now signed in as Grace Hopper.');
    assert.deepEqual(await texts(), ['for Grace']);
    await say('hello');
    await bubble({ role: 'user', state: 'done', text: 'hello' });
    assert.deepEqual(
      edge.posts.map((post) => post.user),
      [GRACE.id],
    );
    await note('');
  });

  test('never sends what the one before wrote, and keeps it for them', async () => {
    await openSignedIn();
    edge.failures = [{ status: 503, headers: { 'Retry-After': '60' } }];
    await say('from Ada');
    await until(() => edge.posts.length === 1, 'a first try');
    await page.getByPlaceholder('Write a message').fill('half a thou');
    edge.replaceSession(GRACE);
    await note(
      'You are now signed in as Grace Hopper. What Ada Lovelace had not sent is kept until they sign in again.',
    );
    assert.equal(await page.getByPlaceholder('Write a message').inputValue(), '');
    await say('from Grace');
    await bubble({ role: 'user', state: 'done', text: 'from Grace' });
    assert.deepEqual(
      edge.posts.map(({ user: id, text }) => [id, text]),
      [
        [ADA.id, 'from Ada'],
        [GRACE.id, 'from Grace'],
      ],
    );
    edge.replaceSession(ADA);
    await user('Ada Lovelace');
    assert.equal(await page.getByPlaceholder('Write a message').inputValue(), 'from Ada\nhalf a thou');
  });

  test('never mixes conversations when a stream resumes as theirs', async () => {
    edge.publish('message', { id: 'a', text: 'for Ada' });
    await openSignedIn();
    await bubble({ text: 'for Ada' });
    const answer = holdSession();
    edge.user = GRACE;
    edge.drop();
    await until(() => edge.resumes.length === 2, 'the stream is back');
    edge.publish('message', { id: 'b', text: 'for Grace' });
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))));
    assert.deepEqual(await texts(), ['for Ada']);
    edge.history.shift();
    answer();
    await bubble({ text: 'for Grace' });
    await user('Grace Hopper');
    assert.deepEqual(await texts(), ['for Grace']);
  });

  test('is noticed on a reset', async () => {
    edge.publish('message', { id: 'a', text: 'for Ada' });
    await openSignedIn();
    await bubble({ text: 'for Ada' });
    edge.user = GRACE;
    edge.history = [];
    edge.write('id\nevent: reset\ndata: {"reason":"out_of_buffer"}\n\n');
    edge.publish('message', { id: 'b', text: 'for Grace' });
    await user('Grace Hopper');
    await bubble({ text: 'for Grace' });
    assert.deepEqual(await texts(), ['for Grace']);
  });

  test("is noticed when a message is refused for being another's", async () => {
    await openSignedIn();
    edge.user = GRACE;
    edge.history = [];
    await say('from Ada');
    await note(
      'You are now signed in as Grace Hopper. What Ada Lovelace had not sent is kept until they sign in again.',
    );
    await status('Online');
    assert.deepEqual(
      edge.posts.map(({ user: id, text }) => [id, text]),
      [[ADA.id, 'from Ada']],
    );
    assert.deepEqual(edge.history, [], 'nothing was taken');
  });

  test('gets nothing of what was written while offline', async () => {
    await openSignedIn();
    await context.setOffline(true);
    await status('You are offline');
    await say('from Ada');
    await bubble({ role: 'user', state: 'sending', text: 'from Ada' });
    edge.user = GRACE;
    await context.setOffline(false);
    await note(
      'You are now signed in as Grace Hopper. What Ada Lovelace had not sent is kept until they sign in again.',
    );
    await status('Online');
    assert.deepEqual(edge.posts, []);
  });

  test('is asked about before anything is sent while the stream is down', async () => {
    await openSignedIn();
    edge.streamFailures = Array(20).fill(503);
    edge.drop();
    await status('Reconnecting');
    edge.user = GRACE;
    await say('from Ada');
    await user('Grace Hopper');
    assert.deepEqual(edge.posts, []);
  });

  test('changes nothing when it is the same user again', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await openSignedIn();
    await bubble({ text: 'one' });
    await page.getByPlaceholder('Write a message').fill('half a thou');
    const { history } = edge;
    edge.replaceSession(ADA);
    edge.history = history;
    await until(() => edge.resumes.length === 2, 'a new stream');
    edge.publish('message', { id: 'b', text: 'two' });
    await bubble({ text: 'two' });
    assert.deepEqual(await texts(), ['one', 'two']);
    assert.equal(await page.getByPlaceholder('Write a message').inputValue(), 'half a thou');
    await note('');
  });
});

describe('talking', () => {
  test('shows an own message at once, then the answer as it is written', async () => {
    await openSignedIn();
    await say('How late is LF-20771?');
    await bubble({ role: 'user', state: 'done', text: 'How late is LF-20771?' });
    edge.publish('delta', { id: 'a', seq: 0, text: 'Three ' });
    await bubble({ role: 'assistant', state: 'streaming', text: 'Three' });
    edge.publish('delta', { id: 'a', seq: 1, text: 'hours.' });
    await bubble({ role: 'assistant', state: 'streaming', text: 'Three hours.' });
    edge.publish('message', { id: 'a', role: 'assistant', text: 'Three hours.' });
    await bubble({ role: 'assistant', state: 'done', text: 'Three hours.' });
    assert.deepEqual(await texts(), ['How late is LF-20771?', 'Three hours.']);
    await page.locator('chat-widget [role=status]', { hasText: 'Desk: Three hours.' }).waitFor({ state: 'attached' });
  });

  test('Shift+Enter breaks the line, Enter sends, nothing is not sent', async () => {
    await openSignedIn();
    await page.getByPlaceholder('Write a message').click();
    await page.keyboard.press('Enter');
    await page.keyboard.type('one');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('two');
    await page.keyboard.press('Enter');
    await bubble({ role: 'user', state: 'done', text: 'one' });
    assert.deepEqual(
      edge.posts.map(({ text }) => text),
      ['one\ntwo'],
    );
  });

  test('keeps trying under one key, in order, when the edge is busy or the connection breaks', async () => {
    await openSignedIn();
    edge.failures = [{ status: 503, headers: { 'Retry-After': '1' } }, { status: 0 }];
    await say('first');
    await say('second');
    await bubble({ role: 'user', state: 'done', text: 'second' });
    assert.deepEqual(
      edge.posts.map(({ text }) => text),
      ['first', 'first', 'first', 'second'],
    );
    assert.equal(new Set(edge.posts.map(({ key }) => key)).size, 2);
    assert.deepEqual(await texts(), ['first', 'second']);
  });

  test('shows what was refused, and sends it again when asked', async () => {
    await openSignedIn();
    edge.failures = [{ status: 403, title: 'This channel is closed' }];
    await say('hello');
    await bubble({ role: 'user', state: 'failed', text: 'This channel is closed' });
    await page.getByRole('button', { name: 'Try again' }).click();
    await bubble({ role: 'user', state: 'done', text: 'hello' });
    assert.deepEqual(await texts(), ['hello']);
  });

  test('sends again under another key, since one may be spent on another message', async () => {
    await openSignedIn();
    edge.failures = [{ status: 422, title: 'This Idempotency-Key was used for another event.' }];
    await say('hello');
    await bubble({ role: 'user', state: 'failed', text: 'Not sent' });
    await page.getByRole('button', { name: 'Try again' }).click();
    await bubble({ role: 'user', state: 'done', text: 'hello' });
    assert.equal(new Set(edge.posts.map(({ key }) => key)).size, 2);
    assert.deepEqual(await texts(), ['hello']);
  });

  test('asks to sign in again when the session is gone, and keeps what was written', async () => {
    await openSignedIn();
    edge.user = null;
    await say('please keep me');
    await page.getByText('Your session has ended').waitFor();
    await page.getByRole('link', { name: 'Continue with GitHub' }).click();
    await status('Online');
    assert.equal(await page.getByPlaceholder('Write a message').inputValue(), 'please keep me');
  });

  test('S142: hostile text stays text', async () => {
    for (const text of HOSTILE) edge.publish('message', { text });
    edge.publish('delta', { id: 'd', seq: 0, text: HOSTILE[0] });
    edge.publish('message', { id: 'x', role: '<b>', text: HOSTILE[0] });
    edge.write('id: v1.1.0.900\ndata: not json\n\n');
    await openSignedIn();
    await bubble({ state: 'streaming' });
    assert.equal((await texts()).length, HOSTILE.length + 2);
    const found = await page.evaluate(() => [
      document.querySelector('chat-widget')?.shadowRoot?.querySelectorAll('.bubble *').length,
      'hacked' in globalThis,
    ]);
    assert.deepEqual(found, [0, false]);
  });
});

describe('the connection', () => {
  test('S141: messages of foreign frames do nothing', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await openSignedIn();
    await bubble({ text: 'one' });
    await page.evaluate(() => {
      const forged = [
        { id: 'x', type: 'message', data: { text: 'hacked' } },
        { type: 'signed_out' },
        { event: 'end', data: { reason: 'revoked' } },
        { user: { id: 'evil:admin' } },
        'reset',
        null,
      ];
      for (const data of [...forged, ...forged.map((value) => JSON.stringify(value))]) {
        window.postMessage(data, '*');
        for (const target of [window, document, ...document.querySelectorAll('chat-widget')]) {
          target.dispatchEvent(
            new MessageEvent('message', { data, origin: 'https://evil.example', source: window, bubbles: true }),
          );
        }
      }
    });
    edge.publish('message', { id: 'b', text: 'two' });
    await bubble({ text: 'two' });
    assert.deepEqual(await texts(), ['one', 'two']);
    assert.equal(edge.streams.size, 1);
  });

  test('S153: resumes where it was cut, without doubling anything', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await openSignedIn();
    const last = edge.publish('message', { id: 'b', text: 'two' });
    await bubble({ text: 'two' });
    edge.drop();
    edge.publish('message', { id: 'c', text: 'three' });
    await bubble({ text: 'three' });
    assert.equal(edge.resumes.at(-1), last.id);
    assert.deepEqual(await texts(), ['one', 'two', 'three']);
  });

  test('comes back after being refused, from a snapshot, without doubling anything', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await openSignedIn();
    await bubble({ text: 'one' });
    edge.streamFailures = [503];
    edge.drop();
    edge.publish('message', { id: 'b', text: 'two' });
    await bubble({ text: 'two' });
    assert.equal(edge.resumes.at(-1), undefined);
    assert.deepEqual(await texts(), ['one', 'two']);
  });

  test('shows nothing more until it is known again who is signed in', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await openSignedIn();
    await bubble({ text: 'one' });
    edge.sessionFailures = [503, 503];
    edge.drop();
    edge.publish('message', { id: 'b', text: 'two' });
    await bubble({ text: 'two' });
    assert.deepEqual(edge.sessionFailures, []);
    assert.deepEqual(await texts(), ['one', 'two']);
  });

  test('notices on a refused stream that the session is gone', async () => {
    await openSignedIn();
    edge.user = null;
    edge.drop();
    await page.getByText('Your session has ended').waitFor();
  });

  test('says when it is offline and sends what was written meanwhile', async () => {
    await openSignedIn();
    await context.setOffline(true);
    await status('You are offline');
    await say('written offline');
    await bubble({ role: 'user', state: 'sending', text: 'Waiting to be sent' });
    await context.setOffline(false);
    await status('Online');
    await bubble({ role: 'user', state: 'done', text: 'written offline' });
    assert.deepEqual(
      edge.posts.map(({ text }) => text),
      ['written offline'],
    );
  });

  test('opens anew after the machine slept', async () => {
    await page.clock.install();
    edge.publish('message', { id: 'a', text: 'one' });
    await openSignedIn();
    await page.clock.fastForward('30:00');
    await until(() => edge.resumes.length === 2 && edge.streams.size === 1, 'a new stream');
    edge.publish('message', { id: 'b', text: 'two' });
    await bubble({ text: 'two' });
    assert.deepEqual(await texts(), ['one', 'two']);
  });

  test('says when an answer was interrupted', async () => {
    await page.clock.install();
    await openSignedIn();
    edge.publish('delta', { id: 'a', seq: 0, text: 'half an ans' });
    await bubble({ state: 'streaming', text: 'half an ans' });
    await page.clock.fastForward('01:05');
    await bubble({ state: 'stalled', text: 'The answer was interrupted' });
    edge.publish('delta', { id: 'a', seq: 1, text: 'wer' });
    await bubble({ state: 'streaming', text: 'half an answer' });
  });

  test('admits a gap', async () => {
    edge.publish('message', { id: 'a', text: 'one' });
    await openSignedIn();
    await bubble({ text: 'one' });
    edge.write('id\nevent: reset\ndata: {"reason":"out_of_buffer"}\n\n');
    edge.publish('message', { id: 'b', text: 'two' });
    await page.getByText('Older messages may be missing').waitFor();
    await bubble({ text: 'two' });
  });
});

describe('the page around it', () => {
  test('may mount and unmount a hundred times and is left with nothing', { timeout: 60_000 }, async () => {
    edge.user = ADA;
    await open();
    await status('Online');
    await page.evaluate(async (url) => {
      document.querySelector('chat-widget')?.remove();
      const { mount } = await import(url);
      const div = document.body.appendChild(document.createElement('div'));
      for (let i = 0; i < 100; i += 1) {
        const unmount = mount(div);
        // Every other one gets far enough to open its stream.
        if (i % 2)
          await new Promise((resolve) =>
            div.firstChild?.addEventListener(
              'chat-status',
              (event) => /** @type {CustomEvent} */ (event).detail.status === 'online' && resolve(undefined),
            ),
          );
        unmount();
        unmount();
      }
      Object.assign(globalThis, { left: mount(div) });
    }, `${edgeOrigin}/assets/chat-widget.js`);
    await status('Online');
    await until(() => edge.streams.size === 1, 'one stream is open');
    await page.evaluate(() => Reflect.get(globalThis, 'left')());
    await until(() => edge.streams.size === 0, 'no stream is open');
    assert.equal(await page.locator('chat-widget').count(), 0);
  });

  test('may be the edge itself, or use the classic script', async () => {
    edge.user = ADA;
    await open(edgeOrigin);
    await status('Online');
    edge.pages.set('/classic', {
      policy: "script-src 'self'; require-trusted-types-for 'script'",
      html: '<!doctype html><script src="/assets/chat-widget.iife.js"></script><body></body>',
    });
    await open(`${edgeOrigin}/classic`);
    await page.evaluate(() => {
      Reflect.get(globalThis, 'ChatWidget').mount(document.body, { heading: 'Classic' });
    });
    await page.getByRole('heading', { name: 'Classic' }).waitFor();
    await status('Online');
  });

  test('hears status and messages, and may translate', async () => {
    edge.user = ADA;
    edge.publish('message', { id: 'a', text: 'one' });
    await open();
    await status('Online');
    const heard = await page.evaluate(async () => {
      const widget = /** @type {HTMLElement & { strings: object, status: string }} */ (
        document.querySelector('chat-widget')
      );
      const message = new Promise((resolve) =>
        widget.addEventListener('chat-message', (event) => resolve(/** @type {CustomEvent} */ (event).detail)),
      );
      widget.strings = { online: 'Verbunden' };
      return message;
    });
    assert.deepEqual(heard, { id: 'a', role: 'assistant', text: 'one' });
    await status('Verbunden');
    assert.equal(await page.locator('chat-widget:state(online)').count(), 1);
  });
});
