// Section F: headers and bodies of a browser's requests through the BFF to an API.

import assert from 'node:assert/strict';

import { asUser, isOfFrontServer, raw, requestsDuring } from './proxy-request.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../../support/browser.mjs').Browser} Browser */

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  asUser('S94', "client's identity and forwarding headers are dropped or rebuilt", async (bff, browser) => {
    const { prefix, own } = bff.profile.api;
    const forged = {
      Authorization: 'Bearer of-the-client',
      DPoP: 'eyJ',
      'Proxy-Authorization': 'Basic eA==',
      'Proxy-Connection': 'keep-alive',
      Forwarded: 'for=6.6.6.6;host=evil.example',
      'X-Forwarded-For': '6.6.6.6',
      'X-Forwarded-Host': 'evil.example',
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-User': 'admin',
      X_Forwarded_User: 'admin',
      'X-Forwarded-Email': 'admin@x',
      'X-Forwarded-Uri': '/admin',
      'X-Forwarded-Prefix': '/admin',
      'X-Original-URL': '/admin',
      'X-Rewrite-URL': '/admin',
      'X-Real-IP': '6.6.6.6',
      'X-Client-IP': '6.6.6.6',
      'True-Client-IP': '6.6.6.6',
      'X-User': 'admin',
      'X-Remote-User': 'admin',
      Remote_User: 'admin',
      'X-MS-CLIENT-PRINCIPAL': 'admin',
      'X-Auth-Request-User': 'admin',
      'X-Access-Token': 'x',
      Via: '1.1 evil',
      'Keep-Alive': 'x',
      TE: 'trailers',
      'X-Internal-Secret': 'x',
      'Spin-Client-Addr': '6.6.6.6',
      'Spin-Full-Url': 'http://evil.example/',
      'X-HTTP-Method-Override': 'DELETE',
      Referer: 'https://page.example/secret',
      'Sec-Fetch-Site': 'same-origin',
      Expect: undefined,
    };
    const [request] = await requestsDuring(bff, () => browser.call(`${prefix}${own}`, { headers: forged }));
    assert.ok(request, 'the request is forwarded');
    const forwarded = JSON.stringify(request.rawHeaders);
    for (const value of [
      'of-the-client',
      '6.6.6.6',
      'evil',
      'admin',
      'eyJ"',
      'page.example',
      'Basic eA==',
      bff.profile.sessionCookie,
    ])
      assert.ok(!forwarded.includes(value), `${value} in ${forwarded}`);
    for (const name of [
      'cookie',
      'dpop',
      ...Object.keys(bff.csrf).map((name) => name.toLowerCase()),
      'origin',
      'referer',
      'sec-fetch-site',
      'via',
      'te',
      'x-http-method-override',
    ])
      assert.equal(request.headers[name], undefined, name);
    assert.equal(
      bff.apiRealm.granted.has(request.headers.authorization?.replace('Bearer ', '') ?? ''),
      true,
      "the user's own token",
    );
    assert.equal(request.rawHeaders.filter((name) => name.toLowerCase() === 'authorization').length, 1);
    // A `Connection` header must not make the BFF drop the headers that it adds.
    let status = 0;
    const hops = await requestsDuring(
      bff,
      async () =>
        void ({ status } = await raw(bff, browser, `GET ${prefix}${own} HTTP/1.1`, [
          `Connection: ${['authorization', 'close', ...Object.keys(bff.csrf)].join(', ')}`,
        ])),
    );
    // The request is rejected, or the API is called as usual.
    assert.ok(
      hops.length ? status === 200 : status >= 400 && status < 500,
      `Connection: authorization: ${status}, ${hops.length} calls`,
    );
    for (const { headers } of hops)
      assert.ok(headers.authorization?.startsWith('Bearer '), 'Connection: authorization');
  }),
  asUser('S96', 'malformed framing of a request', async (bff, browser) => {
    const { prefix, family } = bff.profile.api;
    const target = `${prefix}${family}/1`;
    const smuggled = `0\r\n\r\nGET ${prefix}${family}/smuggled HTTP/1.1\r\nHost: x\r\n\r\n`;
    /** @type {[string, string[], string][]} */
    const attacks = [
      ['length and chunks', ['Content-Length: 5', 'Transfer-Encoding: chunked'], smuggled],
      ['chunks and length', ['Transfer-Encoding: chunked', 'Content-Length: 5'], smuggled],
      ['two lengths', ['Content-Length: 5', 'Content-Length: 6'], '0123456'],
      ['a list of lengths', ['Content-Length: 5, 6'], '0123456'],
      ['a negative length', ['Content-Length: -1'], 'x'],
      ['a length with a sign', ['Content-Length: +5'], '01234'],
      ['a length in hex', ['Content-Length: 0x5'], '01234'],
      ['chunked, misspelt', ['Transfer-Encoding: xchunked'], smuggled],
      ['chunked twice', ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], smuggled],
      ['chunked after a tab', ['Transfer-Encoding:\tchunked', 'Content-Length: 5'], smuggled],
      ['a space before the colon', ['Content-Length : 5'], '01234'],
      ['a folded header', ['X-A: 1\r\n Transfer-Encoding: chunked'], ''],
      ['a bare CR', ['X-A: 1\rX-B: 2'], ''],
      ['NUL', ['X-A: a\u0000b'], ''],
      ['no colon', ['X-A'], ''],
      ['an empty name', [': x'], ''],
      ['a bad chunk', ['Transfer-Encoding: chunked'], 'zz\r\nx\r\n0\r\n\r\n'],
    ];
    /** Here the chunks count (RFC 9112 §6.3), and the body is empty; or the request is rejected. */
    const chunked = new Set(['length and chunks', 'chunks and length', 'chunked after a tab']);
    for (const [why, headers, body] of attacks) {
      const requests = await requestsDuring(bff, async () => {
        const answer = await raw(
          bff,
          browser,
          `POST ${target} HTTP/1.1`,
          ['Content-Type: text/plain', ...headers],
          body,
        );
        // The server in front may reject what it cannot parse. The BFF itself must answer 400.
        const isRead = bff.profile.frontServer.prefersChunks && chunked.has(why) && answer.status === 200;
        assert.ok(
          answer.status === 400 || isOfFrontServer(bff, answer) || isRead,
          `${why}: ${answer.status} ${answer.text.slice(0, 200)}`,
        );
      });
      if (chunked.has(why))
        assert.deepEqual(
          requests.map(({ body: forwarded }) => forwarded),
          requests.map(() => ''),
          `${why}: read by its length`,
        );
      assert.ok(
        !requests.some(({ path }) => path.includes('smuggled')),
        `${why}: a second request was read from the body of the first`,
      );
      for (const { rawHeaders } of requests) {
        const framing = rawHeaders.filter(
          (name, index) => index % 2 === 0 && /^(?:content-length|transfer-encoding)$/i.test(name),
        );
        assert.ok(framing.length <= 1, `${why}: forwarded with ${framing}`);
      }
    }
    for (const line of [
      'GET  / HTTP/1.1',
      'GET / HTTP/9.9',
      'GET /\u0000 HTTP/1.1',
      'GET / HTTP/1.1 x',
      'G\u0000T / HTTP/1.1',
      ' GET / HTTP/1.1',
      `GET /${'a'.repeat(70_000)} HTTP/1.1`,
    ]) {
      const answer = await raw(bff, browser, line);
      assert.ok(
        (answer.status >= 400 && answer.status < 500) || isOfFrontServer(bff, answer),
        `${line.slice(0, 40)}: ${answer.status}`,
      );
    }
    assert.ok(await bff.user(browser), 'the BFF still serves');
  }),
  {
    id: 'S101',
    title: 'two accounts in one session: tokens go to their own API only, and end with their account',
    async attack(bff) {
      const { api, otherApi } = bff.profile;
      const apis = [
        { ...api, stub: bff.upstream, realm: bff.apiRealm },
        {
          ...otherApi,
          stub: bff.otherUpstream,
          realm: bff.needs(bff.provider.realms.get(otherApi.provider), 'second provider'),
        },
      ];
      const callApi = (
        /** @type {Browser} */ browser,
        /** @type {{ prefix: string, own: string }} */ { prefix, own },
      ) => browser.call(prefix + own);
      for (const [first, second] of [apis, apis.toReversed()]) {
        if (!first || !second) throw new Error('two APIs');
        const { browser, user } = await bff.signedIn(first.realm);
        const others = async () => second.stub.seen.length;
        const begun = await others();
        assert.equal((await callApi(browser, second)).status, 401, `${second.prefix} without an account there`);
        assert.equal(await others(), begun, 'nothing is sent without the right token');

        await bff.connect(browser, second.realm);
        assert.equal(await bff.user(browser), user, 'still the same user');
        const before = apis.map(({ stub }) => stub.seen.length);
        // Concurrent calls to both, so that state kept between requests would be mixed up.
        const answers = await Promise.all(
          Array.from({ length: 40 }, (_, index) => callApi(browser, index % 2 ? first : second)),
        );
        assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
        for (const [index, { stub, realm, prefix }] of apis.entries()) {
          const tokens = stub.tokens().slice(before[index]);
          assert.equal(tokens.length, 20, prefix);
          for (const token of tokens)
            assert.equal(
              realm.granted.get(token)?.id,
              realm.user.id,
              `a token at ${prefix} that is not its provider's`,
            );
        }

        assert.equal((await browser.call(bff.path.disconnect(second.realm.id), { method: 'POST' })).status, 204);
        const after = await others();
        for (let count = 0; count < 3; count++) {
          const rejected = await callApi(browser, second);
          assert.equal(rejected.status, 401);
          assert.match(String(rejected.headers['content-type']), bff.profile.errorType);
          assert.ok(bff.profile.signInNeeded(rejected), rejected.text);
          assert.equal((await callApi(browser, first)).status, 200, 'the other account stays');
        }
        assert.equal(await others(), after, 'its API gets no more requests');
        assert.equal(await bff.user(browser), user);
      }
    },
  },
  {
    id: 'S147',
    title: "client's own bearer token beside the cookie: the checks still run, the header is dropped",
    async attack(bff) {
      const { browser } = await bff.signedIn(bff.apiRealm);
      const target = `${bff.profile.api.prefix}${bff.profile.api.own}`;
      const stolen = [...bff.apiRealm.granted.keys()].at(-1);
      for (const authorization of [`Bearer ${stolen}`, 'Bearer x', 'Basic eDp4', 'DPoP x', ['Bearer a', 'Bearer b']]) {
        const requests = await requestsDuring(bff, async () => {
          const otherSite = await browser.call(target, {
            headers: {
              Authorization: authorization,
              ...bff.withoutCsrf,
              Origin: 'https://evil.example',
              'Sec-Fetch-Site': 'cross-site',
            },
          });
          assert.equal(otherSite.status, 403, `${authorization} from another site`);
          const bare = await bff.browser().call(target, { headers: { Authorization: authorization } });
          assert.equal(bare.status, 401, `${authorization} without a cookie`);
        });
        assert.deepEqual(requests, [], String(authorization));
        const [forwarded] = await requestsDuring(bff, () =>
          browser.call(target, { headers: { Authorization: authorization } }),
        );
        assert.ok(
          forwarded && bff.apiRealm.granted.has(forwarded.headers.authorization?.replace('Bearer ', '') ?? ''),
          `${authorization} in place of the user's token`,
        );
      }
    },
  },
];
