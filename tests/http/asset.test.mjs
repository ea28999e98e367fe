// How the widget's files are served: cached as long as they can be, to pages of every origin, with integrity values.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { gunzipSync } from 'node:zlib';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { send } from '../support/exchange.mjs';
import { target } from '../support/stack.mjs';
import { stack } from './stack.mjs';

const browser = new EdgeBrowser(stack);
/** @type {{ files: { name: string, hashed: string, sri: string, map?: string, bytes: number, gzip: number }[] }} */
const { files } = JSON.parse((await browser.call('/assets/manifest.json')).text);
const scripts = files.filter(({ name }) => name.endsWith('.js'));

/**
 * A file as it travels.
 * @param {string} name @param {Record<string, string>} headers @param {string} [method]
 */
async function transfer(name, headers, method = 'GET') {
  const incoming = await send(stack.edgeOrigin, `/assets/${name}`, { method, headers });
  const chunks = await incoming.toArray();
  return { status: incoming.statusCode, headers: incoming.headers, body: Buffer.concat(chunks) };
}

/** @param {Buffer} content */
const sriOf = (content) => `sha384-${createHash('sha384').update(content).digest('base64')}`;

test('a hashed name is cached for a year, and its content is what the manifest says', async () => {
  assert.ok(scripts.some(({ name }) => name === 'client.js'));
  for (const { hashed, sri } of scripts) {
    const { status, headers, text } = await browser.call(`/assets/${hashed}`);
    assert.equal(status, 200, hashed);
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable');
    assert.equal(headers['content-type'], 'text/javascript; charset=utf-8');
    assert.equal(sriOf(Buffer.from(text)), sri);
  }
});

test('a stable name is revalidated, and not sent again if it has not changed', async () => {
  for (const name of [...scripts.map((file) => file.name), 'manifest.json']) {
    const first = await browser.call(`/assets/${name}`);
    assert.equal(first.headers['cache-control'], 'public, no-cache', name);
    const tag = String(first.headers.etag);
    for (const tags of [tag, `W/${tag}`, `"other", ${tag}`]) {
      const again = await browser.call(`/assets/${name}`, { headers: { 'If-None-Match': tags } });
      assert.equal(again.status, 304, `${name} with ${tags}`);
      assert.equal(again.text, '');
      assert.equal(again.headers.etag, tag);
    }
    assert.equal((await browser.call(`/assets/${name}`, { headers: { 'If-None-Match': '"other"' } })).status, 200);
  }
});

test('a client that accepts gzip gets a third of the bytes, and every other one the plain file', async () => {
  for (const { name, hashed, sri, bytes, gzip } of files.filter((file) => file.name !== 'index.html')) {
    for (const path of [name, hashed]) {
      const packed = await transfer(path, { 'Accept-Encoding': 'br;q=0, gzip' });
      assert.equal(packed.headers['content-encoding'], 'gzip', path);
      assert.equal(sriOf(gunzipSync(packed.body)), sri, path);
      // Zopfli's are shorter, but for some of a few hundred bytes.
      assert.ok(packed.body.length <= gzip + 9, `${path} has ${packed.body.length} bytes, gzip -9 makes ${gzip}`);
      const plain = await transfer(path, { 'Accept-Encoding': 'identity' });
      assert.equal(plain.headers['content-encoding'], undefined, path);
      assert.equal(plain.body.length, bytes, path);
      assert.equal(sriOf(plain.body), sri, path);
      for (const { headers } of [packed, plain]) assert.equal(headers.vary, 'Accept-Encoding', path);
    }
  }
  for (const codings of ['gzip;q=0', 'gzip;q=0.1, identity', 'compress'])
    assert.match(
      (await transfer('client.js', { 'Accept-Encoding': codings })).body.toString(),
      /createClient/,
      codings,
    );
});

test('each form of a file is revalidated by the tag that came with it', async () => {
  for (const coding of ['gzip', 'identity']) {
    const first = await transfer('client.js', { 'Accept-Encoding': coding });
    const tag = String(first.headers.etag);
    for (const tags of [tag, `"other", W/${tag}`, '*']) {
      const again = await transfer('client.js', { 'Accept-Encoding': coding, 'If-None-Match': tags });
      assert.deepEqual([again.status, again.body.length, again.headers.etag], [304, 0, tag], `${coding} with ${tags}`);
      assert.equal(again.headers.vary, 'Accept-Encoding');
    }
  }
});

test('HEAD says what GET would, and a part of a file is answered with all of it', async () => {
  for (const coding of ['gzip', 'identity']) {
    const headers = { 'Accept-Encoding': coding };
    const got = await transfer('client.js', headers);
    const head = await transfer('client.js', headers, 'HEAD');
    assert.deepEqual([head.status, head.body.length], [200, 0]);
    for (const name of ['etag', 'vary', 'cache-control', 'content-type', 'content-encoding'])
      assert.equal(head.headers[name], got.headers[name], `${name} for ${coding}`);
    // On Workers it is the runtime that unpacks, and that says the length.
    if (coding === 'gzip' || target === 'spin')
      assert.ok(['undefined', String(got.body.length)].includes(String(head.headers['content-length'])), coding);
    const part = await transfer('client.js', { ...headers, Range: 'bytes=0-99' });
    assert.deepEqual([part.status, part.body.length], [200, got.body.length]);
  }
});

test('pages of every origin may load the files, and no type is guessed', async () => {
  const { headers } = await browser.call('/assets/client.js', { headers: { Origin: 'https://anyone.example' } });
  assert.equal(headers['access-control-allow-origin'], '*');
  assert.equal(headers['access-control-allow-credentials'], undefined);
  assert.equal(headers['cross-origin-resource-policy'], 'cross-origin');
  assert.equal(headers['x-content-type-options'], 'nosniff');
});

test('developer tools find the source map of each script, if the edge was built with them', async () => {
  const bundles = scripts.filter(({ map }) => map);
  assert.ok(bundles.length > 5);
  for (const { name, hashed, map } of bundles) {
    const isBuilt = process.env.CAUSEWAY_SOURCE_MAPS === '1';
    for (const path of [name, hashed]) {
      const { headers } = await browser.call(`/assets/${path}`);
      assert.equal(headers.sourcemap, isBuilt ? map : undefined, path);
    }
    const { status, headers, text } = await browser.call(`/assets/${map}`);
    assert.equal(status, isBuilt ? 200 : 404, map);
    if (!isBuilt) continue;
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable');
    assert.equal(headers['content-type'], 'application/json');
    assert.ok(JSON.parse(text).sources.length > 0);
  }
});
