// Bodies that break off, stall, never end or are not there: both ends see it for what it is, and nobody waits for nothing.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { DIFFERENCES } from '../journey/difference.mjs';
import { target } from '../journey/stack.mjs';
import { KIB, connection, lines, raw, statusOf, upload } from './exchange.mjs';
import { API_BODY_LIMIT_KIB, api, user } from './stack.mjs';

const { streamsUnsized } = DIFFERENCES[target];
const MIB = 1024 * KIB;
const sized = { 'Content-Length': String(200 * KIB) };
const chunked = { 'Transfer-Encoding': 'chunked' };

/** What sockets and pipes between the two ends may hold; a body of 100 MiB that was buffered would be far beyond. */
const UNDERWAY_BYTES = 32 * MIB;

describe('an upload that does not come to its end', () => {
  for (const [name, headers] of /** @type {const} */ ([
    ['sized', sized],
    ['chunked', chunked],
  ])) {
    for (const kind of ['sink', 'early']) {
      test(`S105: is never whole at the API: ${name}, to an API that answers ${kind === 'early' ? 'before' : 'after'} it`, async () => {
        const path = `/base/${kind}/broken-${name}`;
        const { outgoing, head } = await upload(`/bff/patient/${kind}/broken-${name}`, headers);
        outgoing.write(Buffer.alloc(100 * KIB));
        if (name === 'chunked' && !streamsUnsized) {
          outgoing.destroy();
          // It has been read, and dropped, by the time that another has been.
          assert.equal((await (await whole('/bff/patient/after')).answer)?.status, 200);
          return assert.equal(api.calls.filter((call) => call.path === path).length, 0);
        }
        const call = await api.until((call) => call.path === path && call.length > 0);
        if (kind === 'early') (await head)?.on('error', () => {});
        outgoing.destroy();
        await api.until((other) => other === call && (call.broken || call.whole));
        assert.equal(call.whole, false, 'it looks like all there is');
      });
    }
  }

  test('S105: exceeds its limit: the API never has it whole, nor the client an answer', async () => {
    const { outgoing, head, answer } = await upload('/bff/api/early/too-long', chunked);
    outgoing.write('first');
    if (streamsUnsized) assert.equal((await head)?.statusCode, 200);
    outgoing.end(Buffer.alloc(API_BODY_LIMIT_KIB * KIB));
    if (!streamsUnsized) {
      assert.equal((await answer)?.status, 413);
      return assert.deepEqual(api.to('/too-long'), []);
    }
    const call = await api.until((call) => call.path.endsWith('/too-long') && (call.broken || call.whole));
    assert.equal(call.whole, false);
    assert.ok(call.length <= API_BODY_LIMIT_KIB * KIB);
    assert.notEqual((await answer)?.whole, true);
  });

  for (const [name, headers] of /** @type {const} */ ([
    ['sized', sized],
    ['chunked', chunked],
  ])) {
    test(`S105: falls silent: the API never has it whole, nor the client an answer: ${name}`, async () => {
      const { outgoing, head, answer } = await upload(`/bff/api/early/silent-${name}`, headers);
      outgoing.write('first');
      if (name === 'chunked' && !streamsUnsized) {
        assert.equal((await answer)?.status, 408);
        return assert.deepEqual(api.to(`/silent-${name}`), []);
      }
      assert.equal((await head)?.statusCode, 200);
      const call = await api.until((call) => call.path.endsWith(`/silent-${name}`) && (call.broken || call.whole));
      assert.equal(call.whole, false);
      assert.notEqual((await answer)?.whole, true);
      outgoing.destroy();
    });
  }
});

describe('a client that leaves', () => {
  // The local workerd and Spin notice at a write only that nobody reads. Cloudflare says so at once.
  test("while the API has not answered costs it no more than the service's timeout", async () => {
    const { outgoing } = await upload('/bff/api/never/left', { 'Content-Length': '0' });
    outgoing.end();
    const call = await api.until((call) => call.path === '/base/never/left');
    outgoing.destroy();
    await api.until((other) => other === call && call.broken);
  });

  test('while the API is answering: the API sees it', async () => {
    const { outgoing, head } = await upload('/bff/patient/ticks/left', { 'Content-Length': '0' });
    outgoing.end();
    const incoming = await head;
    incoming?.on('error', () => {}).resume();
    const call = await api.until((call) => call.path === '/base/ticks/left');
    outgoing.destroy();
    await api.until((other) => other === call && call.broken);
  });
});

describe('an answer that does not come to its end', () => {
  for (const kind of ['silent', 'silent-sized']) {
    test(`S105: breaks off at the client once the API was silent for too long: ${kind}`, async () => {
      const { outgoing, answer } = await upload(`/bff/api/${kind}/stalled`, { 'Content-Length': '0' });
      outgoing.end();
      const { status, text, whole } = (await answer) ?? {};
      assert.deepEqual([status, text, whole], [200, 'first', false]);
      await api.until((call) => call.path === `/base/${kind}/stalled` && call.broken);
    });
  }
});

describe('answers without a body', () => {
  test('to HEAD, and of 204, 205 and 304, end where they end, and the connection serves the next request', async () => {
    for (const [method, status] of /** @type {const} */ ([
      ['HEAD', 405],
      ['GET', 204],
      ['POST', 204],
      ['GET', 205],
      ['GET', 304],
      ['GET', 200],
    ])) {
      const length = method === 'POST' ? ['Content-Length: 0'] : [];
      const first = (await lines(`${method} /bff/api/none?status=${status} HTTP/1.1`, length)).replace(
        'Connection: close\r\n',
        '',
      );
      const back = await raw(first + (await lines('GET /healthz HTTP/1.1')));
      const statuses = [...back.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
      assert.deepEqual(statuses, [status, 200], `${method} ${status}: ${back}`);
    }
  });
});

describe('ways to send a body', () => {
  test('Expect: 100-continue gets its 100 before the body is sent', async () => {
    const body = 'x'.repeat(100);
    const socket = await open(
      await lines('POST /bff/api/expected HTTP/1.1', [`Content-Length: ${body.length}`, 'Expect: 100-continue']),
    );
    assert.match(await socket.until(/\r\n\r\n/), /^HTTP\/1\.1 100 /);
    socket.write(body);
    assert.match(await socket.end(), /HTTP\/1\.1 200 /);
    assert.equal(api.to('/expected')[0]?.length, body.length);
  });

  // workerd alone does so.
  const isBehindWrangler =
    target === 'workers' && 'the proxy of wrangler dev passes a refusal on only once it has the body';

  test(
    'a body that says that it is too large is refused before it is sent, expected or not',
    { skip: isBehindWrangler },
    async () => {
      for (const more of [[], ['Expect: 100-continue']]) {
        const socket = await open(
          await lines('POST /bff/api/unexpected HTTP/1.1', [
            `Content-Length: ${API_BODY_LIMIT_KIB * KIB + 1}`,
            ...more,
          ]),
        );
        const back = await socket.until(/HTTP\/1\.1 [2-5].*\r\n\r\n/s);
        socket.destroy();
        assert.match(back, /^(HTTP\/1\.1 100 .*?\r\n\r\n)?HTTP\/1\.1 413 /s);
      }
      assert.equal(api.to('/unexpected').length, 0);
    },
  );

  test('chunks with extensions and trailers: the body arrives, the trailers end at the edge', async () => {
    const head = await lines('POST /bff/api/trailers HTTP/1.1', [
      'Transfer-Encoding: chunked',
      'Trailer: X-Forwarded-User',
    ]);
    const back = await raw(`${head}5;a=b\r\nfirst\r\n4\r\nlast\r\n0\r\nX-Forwarded-User: root\r\n\r\n`);
    assert.equal(statusOf(back), 200, back);
    const [call] = api.to('/trailers');
    assert.equal(call?.length, 9);
    assert.doesNotMatch(JSON.stringify(call?.rawHeaders), /root/);
    assert.deepEqual(call?.trailers, {});
  });
});

describe('100 MiB', () => {
  test(
    'that do not say so are refused as soon as they are too many to be held',
    { skip: streamsUnsized && 'they are streamed here' },
    async () => {
      const { outgoing, answer } = await upload('/bff/patient/unsized', chunked);
      outgoing.write(Buffer.alloc(MIB + 1));
      assert.equal((await answer)?.status, 411);
      assert.deepEqual(api.to('/unsized'), []);
      outgoing.destroy();
    },
  );

  const kinds = Object.entries({ sized: { 'Content-Length': String(100 * MIB) }, ...(streamsUnsized && { chunked }) });
  for (const [name, headers] of kinds) {
    test(`to an API that reads slowly are held back at the client: ${name}`, async () => {
      const { outgoing, answer } = await upload(`/bff/patient/reluctant/${name}`, headers);
      let [written, underway] = [0, 0];
      const chunk = Buffer.alloc(256 * KIB);
      const arrived = () => api.to(`/reluctant/${name}`)[0]?.length ?? 0;
      for (; written < 100 * MIB; written += chunk.length) {
        if (!outgoing.write(chunk)) await once(outgoing, 'drain');
        underway = Math.max(underway, written - arrived());
      }
      outgoing.end();
      assert.equal((await answer)?.status, 200);
      assert.equal(arrived(), 100 * MIB);
      assert.ok(underway < UNDERWAY_BYTES, `${underway} bytes were on their way`);
    });
  }

  test('to a client that reads slowly are held back at the API', async () => {
    const { outgoing, head } = await upload(`/bff/patient/pour/slowly?bytes=${100 * MIB}`, { 'Content-Length': '0' });
    outgoing.end();
    const incoming = await head;
    assert.equal(incoming?.statusCode, 200);
    const [call] = api.calls.filter(({ path }) => path.startsWith('/base/pour/slowly'));
    let [read, underway] = [0, 0];
    for await (const chunk of incoming) {
      read += chunk.length;
      underway = Math.max(underway, (call?.sent ?? Infinity) - read);
      await delay(1);
    }
    assert.equal(read, 100 * MIB);
    assert.ok(underway < UNDERWAY_BYTES, `${underway} bytes were on their way`);
  });
});

test('a body that the edge itself reads and that comes too slowly is 408, and no part of its rest becomes a request', async () => {
  const { agent } = await user('github', 'ada');
  const smuggled = `GET /bff/api/smuggled HTTP/1.1\r\nHost: x\r\nCookie: ${agent.cookieHeader}\r\nX-CSRF: 1\r\n\r\n`;
  const head = await lines('POST /events/chat HTTP/1.1', [
    'Content-Type: application/json',
    `Content-Length: ${3 + smuggled.length}`,
  ]);
  const socket = await open(head.replace('Connection: close\r\n', '') + 'abc');
  assert.equal(statusOf(await socket.until(/\r\n\r\n/)), 408);
  socket.write(smuggled + (await lines('GET /healthz HTTP/1.1')));
  const statuses = [...(await socket.end()).matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
  // The connection is either closed, or knows where the body ends.
  assert.ok(['408', '408,200'].includes(String(statuses)), String(statuses));
  assert.equal(api.to('/smuggled').length, 0);
});

/** An upload that is nothing special. @param {string} path */
async function whole(path) {
  const sent = await upload(path, { 'Content-Length': '3' });
  sent.outgoing.end('abc');
  return sent;
}

/** A connection that is written and read in turns. @param {string} text */
async function open(text) {
  const socket = connection();
  let back = '';
  socket.setEncoding('latin1').on('data', (chunk) => (back += chunk));
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(text);
  return {
    write: (/** @type {string} */ more) => socket.write(more),
    destroy: () => socket.destroy(),
    /** All that came, once it looks like this or no more comes. @param {RegExp} look */
    async until(look) {
      while (!look.test(back) && !socket.closed) await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      return back;
    },
    async end() {
      if (!socket.closed) await once(socket, 'close');
      return back;
    },
  };
}
