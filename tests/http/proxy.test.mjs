// What the proxy forwards to an API and to the page, and what it rejects.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';

import { COMPRESSED_TEXT, HOSTILE_HEADERS } from '../support/api.mjs';
import { sendRecorded } from '../support/record.mjs';
import { RUNTIME_DIFFERENCES } from '../support/runtime-difference.mjs';
import { assertProblem } from '../support/problem.mjs';
import { target } from '../support/stack.mjs';
import { KIB, requestText, raw, statusOf, types, upload } from './raw-request.mjs';
import { API_BODY_LIMIT_KIB, api, stack, user } from './stack.mjs';

describe('a request body', () => {
  test('that is large arrives while it is still being sent', async () => {
    const length = 300 * KIB;
    const { outgoing, answer } = await upload('/bff/api/large', { 'Content-Length': String(length) });
    outgoing.write(Buffer.alloc(100 * KIB));
    await api.waitFor(({ path, length: arrived }) => path === '/base/large' && arrived > 0);
    outgoing.end(Buffer.alloc(length - 100 * KIB));
    assert.equal((await answer)?.status, 200);
    const [call] = api.callsTo('/large');
    assert.equal(call?.length, length);
    // Only one header says where the body ends (S96).
    assert.equal(call?.headers['content-length'], String(length));
    assert.equal(call?.headers['transfer-encoding'], undefined);
  });

  test('without a length arrives, and while it is still being sent where the runtime can abort it', async () => {
    const { outgoing, answer } = await upload('/bff/api/lengthless', { 'Transfer-Encoding': 'chunked' });
    outgoing.write('first');
    if (RUNTIME_DIFFERENCES[target].streamsChunkedBodies)
      await api.waitFor(({ path, length }) => path === '/base/lengthless' && length > 0);
    outgoing.end('last');
    assert.equal((await answer)?.status, 200);
    const [call] = api.callsTo('/lengthless');
    assert.equal(call?.length, 9);
    assert.equal(call?.headers['content-length'] === undefined, call?.headers['transfer-encoding'] === 'chunked');
  });

  test('that is small or empty arrives with its length', async () => {
    const { browser } = await user('github', 'ada');
    assert.equal(
      (await browser.call('/bff/api/small', { method: 'POST', headers: types, body: 'x'.repeat(64 * KIB) })).status,
      200,
    );
    assert.equal(api.callsTo('/small')[0]?.length, 64 * KIB);
    assert.equal(api.callsTo('/small')[0]?.headers['content-length'], String(64 * KIB));
    assert.equal(
      (await browser.call('/bff/api/empty', { method: 'POST', headers: { 'Content-Length': '0' } })).status,
      200,
    );
    assert.equal((await browser.call('/bff/api/get')).status, 200);
    for (const { headers } of [...api.callsTo('/empty'), ...api.callsTo('/get')]) {
      assert.equal(headers['transfer-encoding'], undefined);
      assert.ok(['0', undefined].includes(headers['content-length']));
    }
  });

  test('S105: beyond the limit is rejected, with and without a declared length', async () => {
    const { browser } = await user('github', 'ada');
    const body = Buffer.alloc(API_BODY_LIMIT_KIB * KIB);
    assert.equal((await browser.call('/bff/api/just', { method: 'POST', headers: types, body })).status, 200);
    assert.equal(
      (
        await browser.call('/bff/api/just', {
          method: 'POST',
          headers: { ...types, 'Transfer-Encoding': 'chunked' },
          body,
        })
      ).status,
      200,
    );
    const more = Buffer.alloc(API_BODY_LIMIT_KIB * KIB + 1);
    const declared = await upload('/bff/api/declared', { 'Content-Length': String(more.length) });
    declared.outgoing.end(more);
    assert.equal((await declared.answer)?.status, 413);
    assert.equal(api.callsTo('/declared').length, 0, 'nothing of it is forwarded');
    const undeclared = await upload('/bff/api/undeclared', { 'Transfer-Encoding': 'chunked' });
    undeclared.outgoing.end(more);
    assert.equal((await undeclared.answer)?.status, 413);
    assert.ok(
      api.callsTo('/undeclared').every(({ complete, length }) => !complete && length <= API_BODY_LIMIT_KIB * KIB),
      'the upstream notices that it was aborted',
    );
  });

  test('S105: that does not arrive in time is given up', async () => {
    for (const [path, headers] of /** @type {const} */ ([
      ['/bff/api/slow-small', { 'Content-Length': '10' }],
      ['/bff/api/slow-large', { 'Content-Length': String(100 * KIB) }],
      ['/bff/api/slow-chunked', { 'Transfer-Encoding': 'chunked' }],
    ])) {
      const { outgoing, answer } = await upload(path, headers);
      outgoing.write('abc');
      const status = (await answer)?.status;
      assert.ok(status === 408 || status === 503, `${path}: ${status}`);
      outgoing.destroy();
    }
    assert.ok(api.calls.filter(({ path }) => path.includes('/slow-')).every(({ complete }) => !complete));
  });
});

describe('what a rule marks as navigable', () => {
  const path = '/bff/files/shown/page';
  const image = {
    'X-CSRF': undefined,
    Origin: undefined,
    Referer: `${stack.hostOrigin}/`,
    'Sec-Fetch-Mode': 'no-cors',
    'Sec-Fetch-Dest': 'image',
  };

  test('S164: is downloaded by a link and shown by an image of a host page, without rights of the edge', async () => {
    const { browser } = await user('github', 'ada');
    for (const answer of [await browser.visit(path), await browser.call(path, { headers: image })]) {
      assert.equal(answer.status, 200, answer.text);
      assert.equal(answer.headers['content-disposition'], 'attachment; filename="page.html"');
      assert.match(String(answer.headers['content-security-policy']), /^sandbox; default-src 'none';/);
      assert.equal(answer.headers['cross-origin-resource-policy'], 'same-site');
      assert.equal(answer.headers['x-content-type-options'], 'nosniff');
    }
    const read = await browser.call(path);
    assert.equal(read.headers['content-disposition'], 'inline; filename="page.html"', 'a script gets it unchanged');
  });

  test('S164: is not sent to other sites, nor without Fetch Metadata', async () => {
    const { browser } = await user('github', 'ada');
    const before = api.calls.length;
    for (const headers of [
      { ...image, 'Sec-Fetch-Site': 'cross-site' },
      { ...image, 'Sec-Fetch-Site': undefined },
      { ...image, 'Sec-Fetch-Site': 'none' },
      { ...image, 'Sec-Fetch-Dest': 'script' },
      { ...image, 'Sec-Fetch-Mode': undefined, 'Sec-Fetch-Dest': undefined },
      { ...image, Referer: undefined },
    ])
      assertProblem(await browser.call(path, { headers }), 403);
    assertProblem(await browser.call('/bff/files/get', { headers: image }), 403);
    assert.equal(api.calls.length, before);
  });
});

describe('an answer of an API', () => {
  test('S105: that does not begin or stalls is given up', async () => {
    const { browser } = await user('github', 'ada');
    const never = await browser.call('/bff/api/never');
    assertProblem(never, 503);
    assert.ok(never.headers['retry-after']);
    await assert.rejects(browser.call('/bff/api/silent'), 'an aborted answer must not look complete');
  });

  test('S105: with a content encoding that was not asked for is forwarded as it is', async () => {
    const { browser } = await user('github', 'ada');
    const headers = { ...browser.scriptHeaders(), Cookie: browser.cookieHeader, 'Accept-Encoding': 'gzip' };
    const incoming = await sendRecorded(stack.edgeOrigin, '/bff/api/gzip', { headers });
    /** @type {Buffer[]} */
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    assert.equal(incoming.statusCode, 200);
    assert.equal(incoming.headers['content-encoding'], 'gzip');
    assert.equal(gunzipSync(Buffer.concat(chunks)).toString(), COMPRESSED_TEXT);
    assert.ok(['identity', undefined].includes(api.callsTo('/gzip')[0]?.headers['accept-encoding']));
  });

  test('S163: names addresses at the edge, or none', async () => {
    const { browser } = await user('github', 'ada');
    const base = `${api.origin}/base`;
    for (const [status, name, sent, expected] of /** @type {const} */ ([
      [201, 'location', `${base}/items/9`, '/bff/shop/items/9'],
      [201, 'location', '/base/items/9/', '/bff/shop/items/9/'],
      [202, 'location', '9', '/bff/shop/items/9'],
      [202, 'operation-location', `${base}/jobs/9?v=1`, '/bff/shop/jobs/9?v=1'],
      [202, 'azure-asyncoperation', `${base}/jobs/9`, '/bff/shop/jobs/9'],
      [200, 'link', '</base/items?page=2>; rel="next"', '</bff/shop/items?page=2>; rel="next"'],
      [
        200,
        'link',
        `<${base}/items?page=2>; rel="next", <//evil.example/>; rel="last"`,
        '</bff/shop/items?page=2>; rel="next"',
      ],
      [200, 'location', `${base}/items/9`, undefined],
      [201, 'location', 'https://evil.example/base/items/9', undefined],
      [201, 'location', '/other/items/9', undefined],
      [202, 'operation-location', base.replace('//', '//a:b@') + '/jobs/9', undefined],
      [202, 'azure-asyncoperation', base.replace('http:', 'https:') + '/jobs/9', undefined],
      [200, 'link', '<//evil.example/base/items?page=2>; rel="next"', undefined],
    ])) {
      const query = new URLSearchParams({ status: String(status), [name]: sent });
      const answer = await browser.call(`/bff/shop/items/7?${query}`);
      assert.equal(answer.status, status, sent);
      assert.equal(answer.headers[name], expected, sent);
      const exposed = String(answer.headers['access-control-expose-headers']).split(', ');
      assert.ok(exposed.includes(name), `a host page may read ${name}`);
    }
  });

  test('S98, S163: that redirects within the rules leads back through the edge; another is rejected', async () => {
    const { browser } = await user('github', 'ada');
    for (const status of [301, 302, 303, 307, 308]) {
      for (const [location, expected] of /** @type {const} */ ([
        ['/base/items/9/', '/bff/shop/items/9/'],
        [`${api.origin}/base/items/a%23b?c=d#e`, '/bff/shop/items/a%23b?c=d'],
        ['/base/admin', undefined],
        ['/items/9', undefined],
        ['https://evil.example/base/items/9', undefined],
        ['//evil.example/base/items/9', undefined],
        ['javascript:alert(1)', undefined],
      ])) {
        const before = api.calls.length;
        const query = new URLSearchParams({ status: String(status), location });
        const answer = await browser.call(`/bff/shop/items/7?${query}`);
        assert.equal(answer.status, expected ? status : 502, `${status} to ${location}`);
        assert.equal(answer.headers.location, expected);
        assert.equal(api.calls.length, before + 1, 'the edge itself follows none');
        if (expected) assert.equal((await browser.call(expected)).status, 200, 'the browser does');
      }
    }
  });

  test("S98, S99: is forwarded without redirects and without headers that affect the edge's origin", async () => {
    const { browser } = await user('github', 'ada');
    for (const [status, expected] of [
      [200, 200],
      [201, 201],
      [304, 304],
      [404, 404],
      [500, 500],
      [401, 401],
      [301, 502],
      [302, 502],
      [303, 502],
      [307, 502],
      [308, 502],
      [300, 502],
    ]) {
      const { headers, ...answer } = await browser.call(`/bff/api/hostile?status=${status}`);
      assert.equal(answer.status, expected, `upstream answers ${status}`);
      for (const name of Object.keys(HOSTILE_HEADERS).map((name) => name.toLowerCase())) {
        const value = String(headers[name] ?? '');
        assert.ok(
          !/evil|hostile|max-age=[03]|\*|Basic|false/.test(value) &&
            !['x-hostile', 'www-authenticate', 'location'].some((gone) => gone in headers),
          `${status} ${name}: ${value}`,
        );
      }
      assert.equal(headers['access-control-allow-origin'], stack.hostOrigin);
      assert.match(headers['cache-control'] ?? '', /no-store/);
    }
    assert.equal((await browser.session()).authenticated, true, 'the session cookie is still there');
  });
});

describe("a client's identity and forwarding headers", () => {
  test('S94: are replaced by what the edge knows', async () => {
    const { browser } = await user('github', 'ada');
    const forged = {
      'X-Forwarded-For': '6.6.6.6',
      Forwarded: 'for=6.6.6.6',
      'X-Forwarded-Host': 'evil.example',
      'X-Forwarded-User': 'root',
      X_Forwarded_User: 'root',
      'X-Original-URL': '/admin',
      'X-Real-IP': '6.6.6.6',
      'Proxy-Authorization': 'Basic eDp4',
      Authorization: 'Bearer forged',
      DPoP: 'forged',
      'X-HTTP-Method-Override': 'DELETE',
      'Spin-Client-Addr': '6.6.6.6:1',
      Via: '1.1 evil',
      TE: 'trailers',
      'X-Forwarded-Proto': 'gopher',
      'True-Client-IP': '6.6.6.6',
      Baggage: 'a=evil',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    };
    assert.equal((await browser.call('/bff/api/headers', { headers: forged })).status, 200);
    const [call] = api.callsTo('/headers');
    const sent = Object.entries(call?.headers ?? {});
    for (const [name, value] of sent)
      assert.ok(!/6\.6\.6\.6|evil|root|forged|admin|eDp4|DELETE|gopher/.test(String(value)), `${name}: ${value}`);
    assert.match(call?.headers.authorization ?? '', /^Bearer gho_/);
    assert.equal(call?.headers.traceparent, forged.traceparent);
    assert.equal(call?.headers.cookie, undefined);
    if (target === 'spin') {
      assert.match(String(call?.headers['x-forwarded-for']), /^(127\.0\.0\.1|::1)$/);
      assert.match(String(call?.headers.forwarded ?? ''), /^for=.*;host="localhost:\d+";proto=http$/);
    }
  });
});

describe('a request for a service', () => {
  test('S161: has its path byte for byte, with a last slash and encoded reserved characters', async () => {
    const { browser } = await user('github', 'ada');
    for (const path of [
      '/items/7/',
      '/jobs/',
      '/items/ada_corp.example%23EXT%23%40tenant.onmicrosoft.com',
      '/items/a%2Bb%26c%3dd%3Ae%20f%3Fg',
      '/items/100%25.txt',
      '/items/the%20%22new%22%20plan.docx',
      '/items/a%3Cb%3E',
    ]) {
      assert.equal((await browser.call(`/bff/shop${path}`)).status, 200, path);
      assert.equal(api.calls.at(-1)?.path, `/base${path}`);
    }
    const before = api.calls.length;
    for (const [path, status] of /** @type {const} */ ([
      ['/items/', 404],
      ['/jobs', 404],
      ['/items%23/7', 404],
      ['/items//7', 400],
      ['/items/7//', 400],
      ['/items/a%2Fb', 400],
      ['/items/a%5Cb', 400],
      ['/items/%23', 400],
      ['/items/..%23/x', 400],
      ['/items/..%3F/x', 400],
      ['/items/%22%3C/x', 400],
      ['/items/*', 400],
      ['/items/%CA%BA%CA%BA/x', 400],
      ['/items/a;b', 400],
      ['/items/a%3Bb', 400],
      ['/items/%00', 400],
      ['/items/a%252Fb', 400],
      ['/items/%252e%252e/x', 400],
      ['/items/%c0%ae%c0%ae/x', 400],
    ]))
      assertProblem(await browser.call(`/bff/shop${path}`), status);
    assert.equal(api.calls.length, before);
  });

  test('S162: has the headers that the service names, and its preflight allows them', async () => {
    const { browser } = await user('github', 'ada');
    const headers = { ConsistencyLevel: 'eventual', Prefer: 'return=minimal', 'X-Other': '1' };
    for (const [service, isNamed] of /** @type {const} */ ([
      ['shop', true],
      ['api', false],
    ])) {
      assert.equal((await browser.call(`/bff/${service}/items/named`, { headers })).status, 200);
      const sent = api.calls.at(-1)?.headers ?? {};
      assert.equal(sent.consistencylevel, isNamed ? 'eventual' : undefined);
      assert.equal(sent.prefer, isNamed ? 'return=minimal' : undefined);
      assert.equal(sent['x-other'], undefined);
      const preflight = await browser.call(`/bff/${service}/items/named`, {
        method: 'OPTIONS',
        headers: {
          'Access-Control-Request-Method': 'GET',
          'Access-Control-Request-Headers': 'consistencylevel,x-csrf',
        },
      });
      const allowed = String(preflight.headers['access-control-allow-headers']).split(', ');
      assert.ok(allowed.includes('x-csrf'));
      assert.equal(allowed.includes('consistencylevel'), isNamed);
      assert.equal(allowed.includes('x-github-api-version'), isNamed);
    }
  });

  test('is rejected with another method in its query, where the service says so', async () => {
    const { browser } = await user('github', 'ada');
    for (const query of ['_method=DELETE', 'a=1&%5Fmethod=DELETE', '_METHOD%5B%5D=DELETE']) {
      const before = api.calls.length;
      assertProblem(await browser.call(`/bff/shop/items/7?${query}`), 400);
      assert.equal(api.calls.length, before);
      assert.equal((await browser.call(`/bff/api/queried?${query}`)).status, 200);
      assert.equal(api.calls.at(-1)?.path, `/base/queried?${query}`);
    }
  });
});

describe('an ambiguous request', () => {
  test('S90: with any spelling of another path is not forwarded there', async () => {
    const spellings = [
      '..',
      '%2e%2e',
      '%252e%252e',
      '.%2e',
      '..;',
      '..;a=b',
      '\\..\\',
      '%5c',
      '%2f',
      '%3b',
      '%00',
      '',
      '%c0%ae%c0%ae',
      '%ef%bc%8f',
      '.',
      '%u002e',
      '%zz',
      '%',
      '%e2%80%a5',
      'a%0d%0aX-Evil:1',
      '%7f',
    ];
    const before = api.calls.length;
    for (const spelling of spellings) {
      for (const path of [`/bff/api/a/${spelling}/secret`, `/bff/api/${spelling}/secret`, `/bff/api/a/${spelling}`]) {
        const status = statusOf(await raw(await requestText(`GET ${path} HTTP/1.1`)));
        const sent = api.calls.slice(before).map((call) => call.path);
        // A runtime may resolve dots before the edge sees the path. Then the resolved path is what was asked for.
        const resolved = new URL(path, stack.edgeOrigin).pathname;
        const asked =
          resolved.startsWith('/bff/api/') && /^(?:\/\w+){3,}\/?$/.test(resolved)
            ? [resolved.replace('/bff/api', '/base')]
            : [];
        assert.ok(
          sent.every((path) => asked.includes(path)),
          `${path} became ${sent}`,
        );
        assert.ok([400, 404, 0].includes(status) || sent.length > 0, `${path}: ${status}`);
        api.calls.length = before;
      }
    }
  });

  test('S91: whose request line names another host is not forwarded there', async () => {
    const before = api.calls.length;
    for (const target of [
      'http://evil.example/bff/api/x91',
      '//evil.example/bff/api/x91',
      'http://evil.example@localhost/bff/api/x91',
      '/bff/api/@evil.example/..//x91',
      '/bff/api:80/x91',
      '/bff//evil.example/x91',
      '/bff/http://evil.example/x91',
    ]) {
      const back = await raw(await requestText(`GET ${target} HTTP/1.1`));
      const sent = api.calls.slice(before);
      assert.ok(
        sent.every(({ headers, path }) => headers.host === new URL(api.origin).host && path === '/base/x91'),
        `${target}: ${JSON.stringify(sent)}`,
      );
      assert.ok(sent.length > 0 || statusOf(back) === 0 || statusOf(back) >= 400, `${target}: ${back.slice(0, 40)}`);
      api.calls.length = before;
    }
  });

  test('S96: with two ends is rejected, or ends where its chunks do', async () => {
    const smuggled = 'GET /bff/api/smuggled HTTP/1.1\r\n';
    const before = api.calls.length;
    /** @type {string[]} */
    const wrong = [];
    for (const more of [
      ['Content-Length: 4', 'Transfer-Encoding: chunked'],
      ['Transfer-Encoding: chunked', 'Content-Length: 4'],
      ['Content-Length: 4', 'Content-Length: 5'],
      ['Content-Length: +4'],
      ['Content-Length: 0x4'],
      ['Transfer-Encoding: xchunked'],
      ['Transfer-Encoding : chunked'],
      ['Transfer-Encoding: chunked, identity'],
      ['Content-Length: 4', ' folded: yes'],
      ['X-Null: a\0b'],
      ['X-Bare: a\rb'],
    ]) {
      const text = (await requestText('POST /bff/api/s96 HTTP/1.1', more)) + `0\r\n\r\n${smuggled}Host: x\r\n\r\n`;
      const status = statusOf(await raw(text));
      const sent = api.calls.slice(before);
      // RFC 9112 §6.3 lets a server follow the chunks if it forwards no Content-Length: then only one reading is left.
      const isBoth = more.length === 2 && more.some((line) => line.endsWith('chunked'));
      const isOneReading =
        isBoth &&
        sent.every(
          ({ path, length, headers }) =>
            path === '/base/s96' && length === 0 && !(headers['content-length'] && headers['transfer-encoding']),
        );
      if (sent.some(({ path }) => path.includes('smuggled'))) wrong.push(`${more}: the body became a request`);
      if (!isOneReading && (sent.length > 0 || ![400, 501, 0].includes(status)))
        wrong.push(`${more}: ${status}, upstream saw ${JSON.stringify(sent)}`);
      api.calls.length = before;
    }
    assert.deepEqual(wrong, []);
  });
});
