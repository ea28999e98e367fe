// A site behind the edge: its pages stream through, with the widget's first state in them, on both runtimes.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { edgePart } from '../../scripts/stack/part/edge.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { listen } from '../support/listen.mjs';
import { target } from '../support/stack.mjs';
import { stack, user } from './stack.mjs';

const HTML = { 'Content-Type': 'text/html; charset=utf-8' };
const PAGE = `<!doctype html><title>Shop</title><p>é</p>
<chat-widget heading="Tom &amp; Jerry" lang="en"><b>no script</b></chat-widget><CHAT-WIDGET></CHAT-WIDGET>
<!-- <chat-widget> --><p>End</p>`;
/** A runtime may pack an answer, and then holds its parts back. */
const PLAIN = { headers: { 'Accept-Encoding': 'identity' } };
const FILE = Buffer.from([0, 255, 60, 99, 104, 97, 116]);

describe('a site behind the edge', () => {
  /** @type {import('node:http').IncomingMessage[]} */
  const asked = [];
  /** @type {Map<string, (response: import('node:http').ServerResponse) => void>} */
  const answers = new Map([
    ['/', (response) => response.writeHead(200, { ...HTML, 'Cache-Control': 'public, max-age=9' }).end(PAGE)],
    ['/file', (response) => response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(FILE)],
    ['/cookie', (response) => response.writeHead(200, { ...HTML, 'Set-Cookie': 'a=1' }).end('x')],
  ]);
  const site = createServer((request, response) => {
    asked.push(request);
    const answer = answers.get(request.url ?? '');
    if (answer) answer(response);
    else response.writeHead(404, HTML).end('<h1>Nothing here</h1>');
  });
  /** @type {import('../../scripts/stack/process.mjs').Part} */
  let edge;
  let origin = '';

  before(async () => {
    const { edge: port } = await freePorts();
    origin = `http://localhost:${port}`;
    edge = edgePart({
      target,
      state: join(stack.state, 'host-page'),
      ports: { ...stack.ports, edge: port },
      secrets: stack.secrets,
      variables: { HOST_UPSTREAM: `http://127.0.0.1:${await listen(site)}` },
    });
    await edge.start();
  });
  after(async () => {
    await edge.stop();
    site.closeAllConnections();
    site.close();
  });

  test('each element of the widget has its first state, and the rest is as the site sent it', async () => {
    const response = await fetch(`${origin}/`);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get('cache-control'), 'public, max-age=9');
    assert.match(response.headers.get('content-security-policy') ?? '', /object-src 'none'.*frame-ancestors 'none'/);
    const html = await response.text();
    const states = html.match(/<template shadowrootmode="open">.*?<\/template>/g) ?? [];
    assert.equal(states.length, 2);
    assert.equal(html.replaceAll(/<template shadowrootmode="open">.*?<\/template>/g, ''), PAGE);
    assert.match(html, /<chat-widget heading="Tom &amp; Jerry" lang="en"><template .*<\/template><b>no script<\/b>/);
    assert.match(states[0] ?? '', /<h2 part="heading" class="heading">Tom &amp; Jerry<\/h2>/);
    assert.match(states[1] ?? '', /<h2 part="heading" class="heading">Chat<\/h2>/);
    assert.match(states[0] ?? '', /href="[^"]+\/auth\/github\/login\?return_to=%2F"/);
  });

  test('a widget is in its own language, or else that of its page', async () => {
    answers.set('/sprachen', (response) =>
      response
        .writeHead(200, HTML)
        .end('<!doctype html><html lang="de"><chat-widget></chat-widget><chat-widget lang="fr" compact></chat-widget>'),
    );
    const html = await (await fetch(`${origin}/sprachen`)).text();
    assert.match(html, /<html lang="de"><chat-widget><template/);
    const [german = '', french = ''] = html.match(/<template shadowrootmode="open">.*?<\/template>/g) ?? [];
    assert.match(german, /Weiter mit GitHub/);
    assert.match(french, /Continuer avec GitHub/);
    assert.ok(french.includes('class="launcher"') && !german.includes('class="launcher"'), 'a compact widget');
  });

  test('a page streams: its beginning is there before the site has sent the rest', async () => {
    /** @type {() => void} */
    let finish = () => assert.fail('not asked');
    answers.set('/slow', (response) => {
      response.writeHead(200, HTML).write('<h1>Begin</h1><chat-widget></chat-widget>');
      finish = () => response.end('<p>End</p>');
    });
    const { body } = await fetch(`${origin}/slow`, PLAIN);
    const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
    assert.ok(reader);
    let text = '';
    while (!text.includes('</template>')) text += (await reader.read()).value ?? assert.fail(text);
    assert.doesNotMatch(text, /End/);
    finish();
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    assert.match(text, /<p>End<\/p>$/);
  });

  test('a page that breaks off at the site never looks complete', async () => {
    answers.set('/broken', (response) => {
      response.writeHead(200, HTML).write('<h1>Begin</h1>');
      // Once the browser has the beginning.
      broken = () => response.destroy();
    });
    let broken = () => {};
    const { body } = await fetch(`${origin}/broken`, PLAIN);
    const reader = body?.getReader();
    await reader?.read();
    broken();
    await assert.rejects(async () => {
      while (!(await reader?.read())?.done);
    });
  });

  test('neither side sees a cookie of the other, and a signed-in user gets the chat', async () => {
    const { browser } = await user('github', 'ada');
    asked.length = 0;
    const response = await fetch(`${origin}/`, { headers: { Cookie: browser.cookieHeader ?? '' } });
    assert.equal(asked[0]?.headers.cookie, undefined);
    const html = await response.text();
    // The other edge has the keys of the first, but another origin: the cookie does not open there.
    assert.equal(response.headers.get('cache-control'), 'private, no-store');
    assert.match(html, /Continue with GitHub/);
    const { headers } = await fetch(`${origin}/cookie`);
    assert.deepEqual(headers.getSetCookie(), []);
  });

  test("other files pass unchanged, the site's 404 is a page, and the edge's routes stay its own", async () => {
    const file = await fetch(`${origin}/file`);
    assert.deepEqual(Buffer.from(await file.arrayBuffer()), FILE);
    const missing = await fetch(`${origin}/missing?a=1`);
    assert.deepEqual([missing.status, await missing.text()], [404, '<h1>Nothing here</h1>']);
    assert.equal(asked.at(-1)?.url, '/missing?a=1');
    const before = asked.length;
    assert.equal((await fetch(`${origin}/assets/missing.js`)).status, 404);
    assert.equal((await fetch(`${origin}/healthz`)).status, 200);
    assert.equal((await fetch(`${origin}/`, { method: 'POST' })).status, 405);
    assert.equal(asked.length, before, 'the site is not asked');
    const head = await fetch(`${origin}/`, { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text(), asked.at(-1)?.method], [200, '', 'HEAD']);
  });

  test('the script of a service worker is refused', async () => {
    const { status } = await fetch(`${origin}/sw.js`, { headers: { 'Service-Worker': 'script' } });
    assert.equal(status, 403);
  });
});
