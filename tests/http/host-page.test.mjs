// A site behind the edge: its pages stream through, with the widget's first state in them, on both runtimes.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';

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
const STATE = /<template shadowrootmode="open">.*?<\/template>/g;

describe('a site behind the edge', () => {
  /** @type {import('node:http').IncomingMessage[]} */
  const asked = [];
  /** @type {Map<string, (response: import('node:http').ServerResponse) => void>} */
  const answers = new Map([
    ['/', (response) => response.writeHead(200, { ...HTML, 'Cache-Control': 'public, max-age=9' }).end(PAGE)],
    ['/file', (response) => response.writeHead(200, { 'Content-Type': 'application/octet-stream' }).end(FILE)],
    ['/cookie', (response) => response.writeHead(200, { ...HTML, 'Set-Cookie': 'a=1' }).end('x')],
  ]);
  /**
   * Has the site answer a path with this document.
   * @param {string} path @param {string | Buffer} html @param {Record<string, string>} [headers]
   */
  const serve = (path, html, headers = HTML) =>
    answers.set(path, (response) => response.writeHead(200, headers).end(html));
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
    const states = html.match(STATE) ?? [];
    assert.equal(states.length, 2);
    assert.equal(html.replaceAll(STATE, ''), PAGE);
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

  test('what only looks like the element stays as it is', async () => {
    const html = `<!doctype html><title><chat-widget></title><style>/* <chat-widget></chat-widget> */</style>
<script>const text = '<chat-widget></chat-widget>';</script><textarea><chat-widget></textarea>
<!-- <chat-widget></chat-widget> --><iframe srcdoc="<chat-widget></chat-widget>"></iframe>
<p title="<chat-widget>">text < chat-widget ></p><chat-widgets></chat-widgets><my-chat-widget></my-chat-widget>
</chat-widget><![CDATA[<chat-widget]]><chat-widget lang="de`;
    serve('/look-alike', html);
    assert.equal(await (await fetch(`${origin}/look-alike`)).text(), html);
  });

  test('the element is found however it is written, and wherever it stands', async () => {
    const parts = [
      '<table><tr><td><Chat-Widget',
      '\nHEADING=Desk\tdata-a="<" LANG = \'de\' />',
      '</td></table><template><chat-widget></chat-widget></template>',
      '<p><chat-widget heading="first" heading="second"><p><svg><foreignObject><chat-widg',
      'et></chat-widget></foreignObject></svg><chat-widget>',
    ];
    answers.set('/places', async (response) => {
      response.writeHead(200, HTML);
      for (const part of parts) await new Promise((resolve) => response.write(part, resolve));
      response.end();
    });
    const html = await (await fetch(`${origin}/places`)).text();
    assert.equal(html.replaceAll(STATE, ''), parts.join(''));
    const headings = (html.match(STATE) ?? []).map((state) => /class="heading">([^<]*)</.exec(state)?.[1]);
    assert.deepEqual(headings, ['Desk', 'Chat', 'first', 'Chat', 'Chat']);
    assert.match(html, /LANG = 'de' \/><template shadowrootmode="open">.*?Nicht angemeldet/);
  });

  test('a document that parsers may read in two ways passes to its end', async () => {
    const html = '<select><textarea></select><chat-widget></chat-widget><p>End</p>';
    serve('/ambiguous', html);
    assert.equal((await (await fetch(`${origin}/ambiguous`)).text()).replaceAll(STATE, ''), html);
  });

  test('attributes are text whatever they contain, and an element of another edge is not of this one', async () => {
    const hostile = `"></h2><script>alert('é')</script>&amp;{status}`;
    serve('/hostile', `<chat-widget heading='${hostile.replaceAll("'", '&#39;')}'></chat-widget>`);
    const html = await (await fetch(`${origin}/hostile`)).text();
    const escaped = '&quot;&gt;&lt;/h2&gt;&lt;script&gt;alert(&#39;é&#39;)&lt;/script&gt;&amp;{status}';
    assert.ok(html.includes(`class="heading">${escaped}</h2>`), html);
    assert.doesNotMatch(html.match(STATE)?.[0] ?? '', /<script/);
    for (const [edge, states] of /** @type {const} */ ([
      ['https://other.example', 0],
      [stack.edgeOrigin, 0],
      ['javascript:alert(1)', 0],
      ['', 1],
      ['/', 1],
      [origin, 1],
    ])) {
      serve('/edge', `<chat-widget edge="${edge}"></chat-widget>`);
      const found = (await (await fetch(`${origin}/edge`)).text()).match(STATE) ?? [];
      assert.equal(found.length, states, edge);
    }
  });

  test('a page in another charset stays readable', async () => {
    const html = '<meta charset="windows-1252"><chat-widget lang="ar" heading="Caf\xe9"></chat-widget>';
    const page = Buffer.from(html, 'latin1');
    serve('/named', page, { 'Content-Type': 'text/html; charset=windows-1252' });
    const named = Buffer.from(await (await fetch(`${origin}/named`)).arrayBuffer());
    assert.ok(named.equals(page), 'as the site sent it');
    serve('/unnamed', page, { 'Content-Type': 'text/html' });
    const unnamed = Buffer.from(await (await fetch(`${origin}/unnamed`)).arrayBuffer()).toString('latin1');
    const [state = ''] = unnamed.match(STATE) ?? [];
    assert.match(state, /dir="rtl"/);
    assert.match(state, /&#\d+;/);
    // eslint-disable-next-line no-control-regex
    assert.doesNotMatch(state, /[^\x00-\x7f]/);
    assert.equal(unnamed.replace(state, ''), page.toString('latin1'));
  });

  test('a large page passes: long attributes, and many elements that are never closed', async () => {
    const html = `<img src="data:,${'x'.repeat(6_000_000)}">${'<p>text'.repeat(8_000)}<chat-widget></chat-widget>${'<b>'.repeat(2_000)}`;
    serve('/large', html);
    const passed = await (await fetch(`${origin}/large`)).text();
    assert.equal(passed.match(STATE)?.length, 1);
    assert.ok(passed.replaceAll(STATE, '') === html);
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

  test('no other origin may read a page, whatever the site says', async () => {
    serve('/shared', 'x', { ...HTML, 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Credentials': 'true' });
    const { headers } = await fetch(`${origin}/shared`, { headers: { Origin: 'https://evil.example' } });
    assert.equal(headers.get('access-control-allow-origin'), null);
    assert.equal(headers.get('access-control-allow-credentials'), null);
    assert.equal(headers.get('cross-origin-resource-policy'), 'same-origin');
  });

  test('a file is cached as the site says, also for a signed-in user, and revalidated at the site', async () => {
    const { browser } = await user('github', 'ada');
    const cached = { 'Content-Type': 'text/css', 'Cache-Control': 'public, max-age=60', ETag: '"7"' };
    answers.set('/site.css', (response) =>
      asked.at(-1)?.headers['if-none-match'] === '"7"'
        ? response.writeHead(304, cached).end()
        : response.writeHead(200, cached).end('p{}'),
    );
    const cookie = { Cookie: browser.cookieHeader ?? '' };
    const first = await fetch(`${origin}/site.css`, { headers: { ...cookie, Range: 'bytes=0-0' } });
    assert.deepEqual([first.status, await first.text()], [200, 'p{}'], 'whole');
    assert.equal(asked.at(-1)?.headers.range, undefined);
    assert.equal(first.headers.get('cache-control'), 'public, max-age=60');
    assert.doesNotMatch(first.headers.get('vary') ?? '', /cookie/i);
    const tag = first.headers.get('etag') ?? '';
    const again = await fetch(`${origin}/site.css`, { headers: { ...cookie, 'If-None-Match': tag } });
    assert.deepEqual([again.status, await again.text()], [304, '']);
    const page = await fetch(`${origin}/`, PLAIN);
    assert.match(page.headers.get('vary') ?? '', /cookie/i);
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
  });

  test('HEAD says what GET would, and no length that GET does not have', async () => {
    for (const path of ['/', '/file', '/missing']) {
      const got = await fetch(`${origin}${path}`, PLAIN);
      const { byteLength } = await got.arrayBuffer();
      const head = await fetch(`${origin}${path}`, { ...PLAIN, method: 'HEAD' });
      assert.deepEqual([head.status, await head.text(), asked.at(-1)?.method], [got.status, '', 'HEAD']);
      for (const name of ['content-type', 'cache-control', 'vary', 'content-security-policy'])
        assert.equal(head.headers.get(name), got.headers.get(name), `${name} of ${path}`);
      assert.ok([null, String(byteLength)].includes(head.headers.get('content-length')), path);
    }
  });

  test('a page that the site has packed unasked is not passed on', async () => {
    serve('/packed', gzipSync('<p>x</p>'), { ...HTML, 'Content-Encoding': 'gzip' });
    const response = await fetch(`${origin}/packed`);
    assert.deepEqual([response.status, (await response.json()).code], [502, 'bad-gateway']);
  });

  test('the script of a service worker is refused', async () => {
    const { status } = await fetch(`${origin}/sw.js`, { headers: { 'Service-Worker': 'script' } });
    assert.equal(status, 403);
  });

  // The last one: nothing follows that needs the site.
  test('while the site is down, its pages are an error page and the edge serves its own routes', async () => {
    site.closeAllConnections();
    await new Promise((resolve) => site.close(resolve));
    const page = await fetch(`${origin}/`, { headers: { Accept: 'text/html' } });
    assert.equal(page.status, 503);
    assert.equal(page.headers.get('cache-control'), 'no-store');
    assert.match(await page.text(), /^<!doctype html>/i);
    assert.equal((await fetch(`${origin}/healthz`)).status, 200);
    assert.equal((await fetch(`${origin}/assets/chat-widget.js`)).status, 200);
  });
});
