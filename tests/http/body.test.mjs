// Bodies that are aborted, stall, never end or are missing: both ends notice, and neither waits without end.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { RUNTIME_DIFFERENCES } from '../support/runtime-difference.mjs';
import { target } from '../support/stack.mjs';
import { KIB, connection, requestText, raw, statusOf, upload } from './raw-request.mjs';
import { API_BODY_LIMIT_KIB, api, user } from './stack.mjs';

const { streamsChunkedBodies } = RUNTIME_DIFFERENCES[target];
const MIB = 1024 * KIB;
const sized = { 'Content-Length': String(200 * KIB) };
const chunked = { 'Transfer-Encoding': 'chunked' };

/** What sockets and pipes between the two ends may hold. A buffered body of 100 MiB would be far more. */
const MAX_IN_FLIGHT_BYTES = 32 * MIB;

describe('an incomplete upload', () => {
  for (const [name, headers] of /** @type {const} */ ([
    ['sized', sized],
    ['chunked', chunked],
  ])) {
    for (const kind of ['sink', 'early']) {
      test(`S105: that the client aborts is never complete at the API: ${name}, to an API that answers ${kind === 'early' ? 'before' : 'after'} it`, async () => {
        const path = `/base/${kind}/broken-${name}`;
        const { outgoing, head } = await upload(`/bff/patient/${kind}/broken-${name}`, headers);
        outgoing.write(Buffer.alloc(100 * KIB));
        if (name === 'chunked' && !streamsChunkedBodies) {
          outgoing.destroy();
          // Once a later upload has been read, this one has been read and dropped.
          assert.equal((await (await completeUpload('/bff/patient/after')).answer)?.status, 200);
          return assert.equal(api.calls.filter((call) => call.path === path).length, 0);
        }
        const call = await api.waitFor((call) => call.path === path && call.length > 0);
        if (kind === 'early') (await head)?.on('error', () => {});
        outgoing.destroy();
        await api.waitFor((other) => other === call && (call.aborted || call.complete));
        assert.equal(call.complete, false, 'the API takes the upload for complete');
      });
    }
  }

  test('S105: that exceeds the limit is never complete at the API, nor is the answer at the client', async () => {
    const { outgoing, head, answer } = await upload('/bff/api/early/too-long', chunked);
    outgoing.write('first');
    if (streamsChunkedBodies) assert.equal((await head)?.statusCode, 200);
    outgoing.end(Buffer.alloc(API_BODY_LIMIT_KIB * KIB));
    if (!streamsChunkedBodies) {
      assert.equal((await answer)?.status, 413);
      return assert.deepEqual(api.callsTo('/too-long'), []);
    }
    const call = await api.waitFor((call) => call.path.endsWith('/too-long') && (call.aborted || call.complete));
    assert.equal(call.complete, false);
    assert.ok(call.length <= API_BODY_LIMIT_KIB * KIB);
    assert.notEqual((await answer)?.complete, true);
  });

  for (const [name, headers] of /** @type {const} */ ([
    ['sized', sized],
    ['chunked', chunked],
  ])) {
    test(`S105: that stalls is never complete at the API, and the client gets no complete answer: ${name}`, async () => {
      const { outgoing, head, answer } = await upload(`/bff/api/early/silent-${name}`, headers);
      outgoing.write('first');
      if (name === 'chunked' && !streamsChunkedBodies) {
        assert.equal((await answer)?.status, 408);
        return assert.deepEqual(api.callsTo(`/silent-${name}`), []);
      }
      assert.equal((await head)?.statusCode, 200);
      const call = await api.waitFor(
        (call) => call.path.endsWith(`/silent-${name}`) && (call.aborted || call.complete),
      );
      assert.equal(call.complete, false);
      assert.notEqual((await answer)?.complete, true);
      outgoing.destroy();
    });
  }
});

describe('a client that disconnects', () => {
  // The local workerd and Spin notice a disconnect only at a write. Cloudflare reports it at once.
  test("before the API has answered keeps the API busy no longer than the service's timeout", async () => {
    const { outgoing } = await upload('/bff/api/never/left', { 'Content-Length': '0' });
    outgoing.end();
    const call = await api.waitFor((call) => call.path === '/base/never/left');
    outgoing.destroy();
    await api.waitFor((other) => other === call && call.aborted);
  });

  for (const query of ['', '?bytes=16000', '?bytes=200000']) {
    test(`while the API is answering is noticed by the API: ticks${query}`, async () => {
      const { outgoing, head } = await upload(`/bff/patient/ticks/left${query}`, { 'Content-Length': '0' });
      outgoing.end();
      const incoming = await head;
      incoming?.on('error', () => {}).resume();
      const call = await api.waitFor((call) => call.path === `/base/ticks/left${query}`);
      outgoing.destroy();
      await api.waitFor((other) => other === call && call.aborted);
    });
  }
});

test('an answer of known length that comes in parts is complete', async () => {
  const { browser } = await user('github', 'ada');
  const answer = await browser.call('/bff/patient/parts');
  assert.deepEqual([answer.status, answer.text], [200, 'first second']);
});

describe('an incomplete answer', () => {
  for (const query of ['', '?bytes=20000']) {
    test(`S105: that the API breaks off is broken off at the client: broken-sized${query}`, async () => {
      const { outgoing, answer } = await upload(`/bff/patient/broken-sized${query}`, { 'Content-Length': '0' });
      outgoing.end();
      const { status, text, complete } = (await answer) ?? {};
      assert.deepEqual([status, text, complete], [200, 'first', false]);
    });
  }

  // The last has more bytes than the edge takes at once.
  for (const [kind, query] of /** @type {const} */ ([
    ['silent', ''],
    ['silent-sized', ''],
    ['silent-sized', '?bytes=20000'],
  ])) {
    test(`S105: is aborted at the client once the API has stalled for too long: ${kind}${query}`, async () => {
      const path = `${kind}/stalled${query}`;
      const { outgoing, answer } = await upload(`/bff/api/${path}`, { 'Content-Length': '0' });
      outgoing.end();
      const { status, text, complete } = (await answer) ?? {};
      assert.deepEqual([status, text, complete], [200, 'first', false]);
      await api.waitFor((call) => call.path === `/base/${path}` && call.aborted);
    });
  }
});

describe('answers without a body', () => {
  test('to HEAD, and with 204, 205 and 304, end correctly, and the connection serves the next request', async () => {
    for (const [method, status] of /** @type {const} */ ([
      ['HEAD', 405],
      ['GET', 204],
      ['POST', 204],
      ['GET', 205],
      ['GET', 304],
      ['GET', 200],
    ])) {
      const length = method === 'POST' ? ['Content-Length: 0'] : [];
      const first = (await requestText(`${method} /bff/api/none?status=${status} HTTP/1.1`, length)).replace(
        'Connection: close\r\n',
        '',
      );
      const back = await raw(first + (await requestText('GET /healthz HTTP/1.1')));
      const statuses = [...back.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
      assert.deepEqual(statuses, [status, 200], `${method} ${status}: ${back}`);
    }
  });
});

describe('a request with a body', () => {
  test('and Expect: 100-continue gets a 100 before the body is sent', async () => {
    const body = 'x'.repeat(100);
    const socket = await openConnection(
      await requestText('POST /bff/api/expected HTTP/1.1', [`Content-Length: ${body.length}`, 'Expect: 100-continue']),
    );
    assert.match(await socket.until(/\r\n\r\n/), /^HTTP\/1\.1 100 /);
    socket.write(body);
    assert.match(await socket.end(), /HTTP\/1\.1 200 /);
    assert.equal(api.callsTo('/expected')[0]?.length, body.length);
  });

  // workerd itself rejects it early.
  const isBehindWrangler =
    target === 'workers' && 'the proxy of wrangler dev forwards a rejection only once it has the body';

  test(
    'whose declared length is too large is rejected before the body is sent, with and without Expect',
    { skip: isBehindWrangler },
    async () => {
      for (const more of [[], ['Expect: 100-continue']]) {
        const socket = await openConnection(
          await requestText('POST /bff/api/unexpected HTTP/1.1', [
            `Content-Length: ${API_BODY_LIMIT_KIB * KIB + 1}`,
            ...more,
          ]),
        );
        const back = await socket.until(/HTTP\/1\.1 [2-5].*\r\n\r\n/s);
        socket.destroy();
        assert.match(back, /^(HTTP\/1\.1 100 .*?\r\n\r\n)?HTTP\/1\.1 413 /s);
      }
      assert.equal(api.callsTo('/unexpected').length, 0);
    },
  );

  test('in chunks with extensions and trailers arrives without the trailers', async () => {
    const head = await requestText('POST /bff/api/trailers HTTP/1.1', [
      'Transfer-Encoding: chunked',
      'Trailer: X-Forwarded-User',
    ]);
    const back = await raw(`${head}5;a=b\r\nfirst\r\n4\r\nlast\r\n0\r\nX-Forwarded-User: root\r\n\r\n`);
    assert.equal(statusOf(back), 200, back);
    const [call] = api.callsTo('/trailers');
    assert.equal(call?.length, 9);
    assert.doesNotMatch(JSON.stringify(call?.rawHeaders), /root/);
    assert.deepEqual(call?.trailers, {});
  });
});

describe('100 MiB', () => {
  test(
    'without a declared length are rejected as soon as they exceed the buffer',
    { skip: streamsChunkedBodies && 'this runtime streams them' },
    async () => {
      const { outgoing, answer } = await upload('/bff/patient/unsized', chunked);
      outgoing.write(Buffer.alloc(MIB + 1));
      assert.equal((await answer)?.status, 411);
      assert.deepEqual(api.callsTo('/unsized'), []);
      outgoing.destroy();
    },
  );

  const kinds = Object.entries({
    sized: { 'Content-Length': String(100 * MIB) },
    ...(streamsChunkedBodies && { chunked }),
  });
  for (const [name, headers] of kinds) {
    test(`to an API that reads slowly waits at the client: ${name}`, async () => {
      const { outgoing, answer } = await upload(`/bff/patient/reads-slowly/${name}`, headers);
      let [written, inFlight] = [0, 0];
      const chunk = Buffer.alloc(256 * KIB);
      const arrived = () => api.callsTo(`/reads-slowly/${name}`)[0]?.length ?? 0;
      for (; written < 100 * MIB; written += chunk.length) {
        if (!outgoing.write(chunk)) await once(outgoing, 'drain');
        inFlight = Math.max(inFlight, written - arrived());
      }
      outgoing.end();
      assert.equal((await answer)?.status, 200);
      assert.equal(arrived(), 100 * MIB);
      assert.ok(inFlight < MAX_IN_FLIGHT_BYTES, `${inFlight} bytes were in flight`);
    });
  }

  test('to a client that reads slowly waits at the API', async () => {
    const { outgoing, head } = await upload(`/bff/patient/bulk/slowly?bytes=${100 * MIB}`, { 'Content-Length': '0' });
    outgoing.end();
    const incoming = await head;
    assert.equal(incoming?.statusCode, 200);
    const [call] = api.calls.filter(({ path }) => path.startsWith('/base/bulk/slowly'));
    let [read, inFlight] = [0, 0];
    for await (const chunk of incoming) {
      read += chunk.length;
      inFlight = Math.max(inFlight, (call?.sent ?? Infinity) - read);
      await delay(1);
    }
    assert.equal(read, 100 * MIB);
    assert.ok(inFlight < MAX_IN_FLIGHT_BYTES, `${inFlight} bytes were in flight`);
  });
});

test('a slow body that the edge itself reads is answered 408, and no part of its rest becomes a request', async () => {
  const { browser } = await user('github', 'ada');
  const smuggled = `GET /bff/api/smuggled HTTP/1.1\r\nHost: x\r\nCookie: ${browser.cookieHeader}\r\nX-CSRF: 1\r\n\r\n`;
  const head = await requestText('POST /events/chat HTTP/1.1', [
    'Content-Type: application/json',
    `Content-Length: ${3 + smuggled.length}`,
  ]);
  const socket = await openConnection(head.replace('Connection: close\r\n', '') + 'abc');
  assert.equal(statusOf(await socket.until(/\r\n\r\n/)), 408);
  socket.write(smuggled + (await requestText('GET /healthz HTTP/1.1')));
  const statuses = [...(await socket.end()).matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status));
  // The edge either closes the connection or skips the body.
  assert.ok(['408', '408,200'].includes(String(statuses)), String(statuses));
  assert.equal(api.callsTo('/smuggled').length, 0);
});

/** An ordinary upload. @param {string} path */
async function completeUpload(path) {
  const sent = await upload(path, { 'Content-Length': '3' });
  sent.outgoing.end('abc');
  return sent;
}

/** A connection on which to write and read in turn. @param {string} text */
async function openConnection(text) {
  const socket = connection();
  let back = '';
  socket.setEncoding('latin1').on('data', (chunk) => (back += chunk));
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.write(text);
  return {
    write: (/** @type {string} */ more) => socket.write(more),
    destroy: () => socket.destroy(),
    /** Reads until the text matches or the connection closes. @param {RegExp} pattern */
    async until(pattern) {
      while (!pattern.test(back) && !socket.closed) await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      return back;
    },
    async end() {
      if (!socket.closed) await once(socket, 'close');
      return back;
    },
  };
}
