// The widget's first state, as a page or a cache in between includes it: the same for every visitor, and nothing in it
// of any user.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { assertProblem } from '../support/problem.mjs';
import { stack, user } from './stack.mjs';

const PATH = '/shell/chat-widget';
const SHARED = 'public, max-age=60';
const NOT_SHARED = 'private, no-store';
const CHAT = /<textarea /;
const HIDDEN_CHAT = /<div part="composer" class="composer" hidden>/;

/** @param {string} [query] */
const visit = (query = '') => new EdgeBrowser(stack).call(`${PATH}${query}`);

test('a visitor gets the ways to sign in, which every cache may keep for a while', async () => {
  const answer = await visit();
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.headers['content-type'], 'text/html; charset=utf-8');
  assert.equal(answer.headers['cache-control'], SHARED);
  assert.equal(answer.headers.vary, 'Cookie');
  assert.equal(answer.headers['set-cookie'], undefined);
  assert.match(
    answer.text,
    /^<chat-widget edge="[^"]+"><template shadowrootmode="open">.*<\/template><\/chat-widget>\n$/,
  );
  assert.match(answer.text, HIDDEN_CHAT);
  for (const name of ['GitHub', 'Microsoft']) assert.match(answer.text, new RegExp(`Continue with ${name}</a>`));
  assert.equal((await visit()).text, answer.text, 'the same for all');
});

test('it needs neither a script nor a style in the page', async () => {
  const { text } = await visit();
  assert.doesNotMatch(text, /<script|<style| style=| on\w+=/);
  const [, origin, name] = /<link rel="stylesheet" href="([^"]+)(\/assets\/shell\.[0-9a-f]{8}\.css)">/.exec(text) ?? [];
  assert.equal(origin, stack.edgeOrigin);
  const style = await new EdgeBrowser(stack).call(String(name));
  assert.equal(style.status, 200);
  assert.equal(style.headers['content-type'], 'text/css; charset=utf-8');
  assert.equal(style.headers['cache-control'], 'public, max-age=31536000, immutable');
});

test('pages of every origin and caches may read it, without credentials; as a page it does nothing', async () => {
  const browser = new EdgeBrowser({ ...stack, hostOrigin: 'https://anyone.example' });
  const { status, headers } = await browser.call(PATH);
  assert.equal(status, 200);
  assert.equal(headers['access-control-allow-origin'], '*');
  assert.equal(headers['access-control-allow-credentials'], undefined);
  assert.equal(headers['cross-origin-resource-policy'], 'cross-origin');
  assert.equal(headers['x-content-type-options'], 'nosniff');
  assert.equal(headers['content-security-policy'], "default-src 'none'; frame-ancestors 'none'");
  const fromCache = await browser.call(PATH, {
    headers: { Origin: undefined, 'Sec-Fetch-Site': undefined, 'X-CSRF': undefined },
  });
  assert.equal(fromCache.status, 200);
});

test('a signed-in user gets the chat, which no cache keeps and which says nothing of them', async () => {
  const { browser } = await user('github', 'ada');
  const answer = await browser.call(PATH);
  assert.equal(answer.headers['cache-control'], NOT_SHARED);
  assert.match(answer.text, CHAT);
  assert.doesNotMatch(answer.text, HIDDEN_CHAT);
  assert.doesNotMatch(answer.text, /Continue with/);
  const { user: known } = await browser.session();
  for (const value of [known.id, known.name, known.email].filter(Boolean))
    assert.ok(!answer.text.includes(value), value);
});

test("a session cookie that does not open gives a visitor's answer, which no cache keeps", async () => {
  const answer = await new EdgeBrowser(stack).call(PATH, { headers: { Cookie: '__Host-Http-session=forged' } });
  assert.equal(answer.headers['cache-control'], NOT_SHARED);
  assert.equal(answer.text, (await visit()).text);
  const other = await new EdgeBrowser(stack).call(PATH, { headers: { Cookie: 'analytics=1' } });
  assert.equal(other.headers['cache-control'], SHARED);
});

test('options are attributes of the element, and text whatever they contain', async () => {
  const hostile = '"></h2><script>alert(1)</script>{status}';
  const { text } = await visit(`?${new URLSearchParams({ heading: hostile, channel: 'support', lang: hostile })}`);
  const escaped = '&quot;&gt;&lt;/h2&gt;&lt;script&gt;alert(1)&lt;/script&gt;{status}';
  assert.ok(text.includes(` lang="${escaped}" heading="${escaped}" channel="support">`), text);
  assert.ok(text.includes(`<h2 part="heading" class="heading">${escaped}</h2>`), text);
  assert.doesNotMatch(text, /<script/);
  assert.equal((await visit('?heading=a&heading=b')).text, (await visit()).text, 'repeated, an option is left out');
});

test('a compact widget begins as its button, in its language; switches are attributes unless off', async () => {
  const { text } = await visit('?lang=de&compact&open=true&popup=false&deletable=');
  assert.match(text, /^<chat-widget edge="[^"]+" lang="de" compact open deletable>/);
  assert.match(text, /class="launcher" aria-expanded="false" aria-label="Chat öffnen"/);
  assert.match(text, /class="close" aria-label="Chat schließen"/);
  assert.doesNotMatch((await visit('?compact=false')).text, /compact|launcher|class="close"/);
});

test('links of a page that a sign-in must not leave wait for the script', async () => {
  const page = `return_to=${encodeURIComponent(`${stack.hostOrigin}/`)}`;
  assert.match((await visit(`?${page}&popup=false`)).text, /<a href/);
  const { text } = await visit(`?${page}&popup`);
  assert.match(text, /^<chat-widget edge="[^"]+" popup>/);
  assert.doesNotMatch(text, /<a href/);
});

test('links work without the script if the page says where it is, and lead nowhere else', async () => {
  assert.doesNotMatch((await visit()).text, /<a href/);
  for (const [page, expected] of [
    [`${stack.hostOrigin}/orders?id=7`, `${stack.hostOrigin}/orders?id=7`],
    ['https://evil.example/', '/'],
  ]) {
    const { text } = await visit(`?${new URLSearchParams({ return_to: String(page) })}`);
    const [, href = ''] = /<a href="([^"]+\/auth\/github\/login[^"]+)" part="sign-in-link"/.exec(text) ?? [];
    const url = new URL(href.replaceAll('&amp;', '&'));
    assert.equal(url.origin, stack.edgeOrigin);
    assert.equal(url.searchParams.get('return_to'), expected);
    assert.match(text, /prompt=select_account" part="other-account"/);
  }
});

test('another widget does not exist, and HEAD has no body', async () => {
  assertProblem(await new EdgeBrowser(stack).call('/shell/other'), 404);
  const head = await new EdgeBrowser(stack).call(PATH, { method: 'HEAD' });
  assert.deepEqual([head.status, head.text, head.headers['cache-control']], [200, '', SHARED]);
});
