// `scripts/dev --https`: the front that browsers reach the edge through, and origins that agree with it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { request } from 'node:https';
import { join } from 'node:path';
import { test } from 'node:test';

import { edgePart } from '../../scripts/stack/part/edge.mjs';
import { certificateFiles, httpsPart } from '../../scripts/stack/part/https.mjs';
import { freePorts } from '../../scripts/stack/port.mjs';
import { Stack } from '../../scripts/stack/stack.mjs';
import { EdgeBrowser } from '../support/edge-browser.mjs';
import { target } from '../support/stack.mjs';
import { stack } from './stack.mjs';

/**
 * A request whose answer has begun. Only the certificate that was made counts as an authority.
 * @param {string} state @param {number} port @param {string} path
 */
async function get(state, port, path) {
  const ca = readFileSync(certificateFiles(state).certificate);
  const sent = request({
    host: '127.0.0.1',
    servername: 'localhost',
    port,
    path,
    ca: [ca],
    headers: { Host: `localhost:${port}` },
  });
  const [answer] = /** @type {[import('node:http').IncomingMessage]} */ (await once(sent.end(), 'response'));
  return { sent, answer };
}

test('an edge behind HTTPS sends users back to its HTTPS address', async () => {
  const state = join(stack.state, 'https');
  const ports = {
    ...(await freePorts()),
    github: stack.ports.github,
    entra: stack.ports.entra,
    redis: stack.ports.redis,
  };
  const secure = new Stack({ target, state, ports, https: true });
  assert.equal(secure.edgeOrigin, `https://localhost:${ports.https}`);
  assert.ok(secure.only.includes('https'));
  assert.ok(secure.parts.host.options.command.includes(secure.edgeOrigin));
  const seed = JSON.parse(readFileSync(join(state, 'emulators.json'), 'utf8'));
  assert.deepEqual(seed.github.oauth_apps[0].redirect_uris, [`${secure.edgeOrigin}/auth/github/callback`]);

  // The stack's own edge has keys of its own; this one shares what is running.
  const variables = { PUBLIC_ORIGIN: secure.edgeOrigin, HOST_ORIGINS: secure.hostOrigin };
  const edge = edgePart({ target, state, ports, secrets: stack.secrets, variables });
  const front = httpsPart({ state, ports });
  try {
    await edge.start();
    await front.start();
    const { answer } = await get(state, ports.https, '/auth/github/login');
    assert.equal(answer.statusCode, 303);
    const location = new URL(answer.headers.location ?? '');
    assert.equal(location.searchParams.get('redirect_uri'), `${secure.edgeOrigin}/auth/github/callback`);
    assert.match(String(answer.headers['set-cookie']), /__Host-.*; Secure/);
    answer.resume();
    const page = await get(state, ports.https, '/');
    assert.match(String(await page.answer.setEncoding('utf8').toArray()), /<main id="chat">/);
    // The bridge and the tests go on using the plain address.
    assert.equal((await new EdgeBrowser(stack).call('/healthz')).status, 200);
  } finally {
    await Promise.all([front.stop(), edge.stop()]);
  }
});

test('the front passes a stream on as it comes, and its end', async () => {
  const state = join(stack.state, 'https-stream');
  const ports = await freePorts();
  const server = createServer((sent, response) => {
    if (sent.url === '/healthz') return void response.end();
    response.writeHead(200, { 'Content-Type': 'text/event-stream' }).write('data: 1\n\n');
  });
  await once(server.listen(ports.edge, '127.0.0.1'), 'listening');
  const front = httpsPart({ state, ports });
  try {
    await front.start();
    const reached = once(server, 'request');
    const { sent, answer } = await get(state, ports.https, '/stream');
    const [chunk] = await once(answer, 'data');
    assert.equal(String(chunk), 'data: 1\n\n');
    const [, behind] = await reached;
    const ended = once(behind, 'close');
    sent.destroy();
    await ended;
  } finally {
    await front.stop();
    server.closeAllConnections();
    server.close();
  }
});
