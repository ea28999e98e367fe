// How the widget's files are served: cached as long as they can be, to pages of every origin, with integrity values.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { EdgeBrowser } from '../support/edge-browser.mjs';
import { stack } from './stack.mjs';

const browser = new EdgeBrowser(stack);
/** @type {{ files: { name: string, hashed: string, sri: string, map?: string }[] }} */
const { files } = JSON.parse((await browser.call('/assets/manifest.json')).text);
const scripts = files.filter(({ name }) => name.endsWith('.js'));

test('a hashed name is cached for a year, and its content is what the manifest says', async () => {
  assert.ok(scripts.some(({ name }) => name === 'client.js'));
  for (const { hashed, sri } of scripts) {
    const { status, headers, text } = await browser.call(`/assets/${hashed}`);
    assert.equal(status, 200, hashed);
    assert.equal(headers['cache-control'], 'public, max-age=31536000, immutable');
    assert.equal(headers['content-type'], 'text/javascript; charset=utf-8');
    assert.equal(`sha384-${createHash('sha384').update(text).digest('base64')}`, sri);
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
