// Section F: answers of an API, and what of them reaches the browser.

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';

import { setCookies } from '../../support/browser.mjs';
import { halfOpen } from '../../support/exchange.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../../support/browser.mjs').Browser} Browser */

/**
 * @param {string} id @param {string} title
 * @param {(bff: Bff, browser: Browser, target: string) => Promise<unknown>} attack
 * @returns {import('../case.mjs').Case}
 */
const asUser = (id, title, attack) => ({
  id,
  title,
  attack: async (bff) =>
    attack(bff, (await bff.signedIn(bff.apiRealm)).browser, `${bff.profile.api.prefix}${bff.profile.api.family}/1`),
});

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  asUser(
    'S98',
    'API that redirects beyond the rules: neither the BFF nor the browser follows',
    async (bff, browser, target) => {
      for (const status of [301, 302, 303, 307, 308]) {
        for (const location of [
          `${bff.otherUpstream.origin}/stolen`,
          `${bff.upstream.origin}/stolen`,
          '/stolen',
          '//evil.example',
          'javascript:alert(1)',
        ]) {
          bff.upstream.answer = () => ({ status, headers: { location } });
          const answer = await browser.call(target);
          assert.equal(answer.headers.location, undefined, `${status} to ${location}`);
          assert.ok(answer.status === 502 || answer.status < 300, `${status} to ${location}: ${answer.status}`);
        }
      }
      const seen = [...bff.upstream.seen, ...bff.otherUpstream.seen].filter(({ path }) => path.includes('stolen'));
      assert.deepEqual(seen, []);
    },
  ),
  asUser('S163', 'addresses in an answer: they lead back to the BFF, or are removed', async (bff, browser, target) => {
    const { prefix, family } = bff.profile.api;
    const own = new URL(bff.upstream.origin);
    const elsewhere = [
      'https://evil.example/files/2',
      '//evil.example/files/2',
      '/\\evil.example/files/2',
      `${own.protocol}//evil.example@${own.host}/files/2`,
      `${own.protocol}//${own.host}@evil.example/files/2`,
      `${own.protocol}//${own.host}.evil.example/files/2`,
      `https://${own.host}/files/2`,
      `${own.protocol}//${own.hostname}:1/files/2`,
      `${bff.otherUpstream.origin}/files/2`,
      'javascript:alert(1)',
      'data:text/html,<script>alert(1)</script>',
      `${family}/a%2f..%2fb`,
      `${family}//evil.example`,
    ];
    const names = ['location', 'operation-location', 'azure-asyncoperation'];
    for (const status of [201, 202, 301, 302, 303, 307, 308]) {
      const isRedirect = status > 300;
      for (const address of elsewhere) {
        bff.upstream.answer = () => ({
          status,
          headers: { ...Object.fromEntries(names.map((name) => [name, address])), link: `<${address}>; rel="next"` },
        });
        const answer = await browser.call(target);
        assert.equal(answer.status, isRedirect ? 502 : status, `${status} to ${address}`);
        for (const name of [...names, 'link']) assert.equal(answer.headers[name], undefined, `${name}: ${address}`);
      }
      for (const address of [`${bff.upstream.origin}${family}/2?a=b`, `${family}/2?a=b`, '2?a=b']) {
        bff.upstream.answer = () => ({ status, headers: Object.fromEntries(names.map((name) => [name, address])) });
        const answer = await browser.call(target);
        assert.equal(answer.status, status);
        assert.equal(answer.headers.location, `${prefix}${family}/2?a=b`, `${status} to ${address}`);
        if (!isRedirect) assert.equal(answer.headers['operation-location'], `${prefix}${family}/2?a=b`);
      }
    }
    bff.upstream.answer = () => ({ status: 201, headers: { location: [`${family}/2`, `${family}/3`] } });
    assert.equal((await browser.call(target)).headers.location, undefined, 'two addresses');
  }),
  asUser(
    'S99',
    'API that sets cookies and policies: only headers that describe its answer are forwarded',
    async (bff, browser, target) => {
      const evil = {
        'set-cookie': [
          `${bff.profile.sessionCookie}=evil; Path=/; Secure; HttpOnly`,
          'evil=b',
          '__Host-Http-login-x=evil; Path=/; Secure',
          `${bff.profile.sessionCookie}=evil; Path=/; Max-Age=0; Secure; HttpOnly`,
        ],
        'set-cookie2': 'evil=1',
        ...Object.fromEntries(
          [
            'www-authenticate',
            'proxy-authenticate',
            'authentication-info',
            'authorization',
            'dpop-nonce',
            'clear-site-data',
            'access-control-allow-origin',
            'access-control-allow-credentials',
            'access-control-expose-headers',
            'access-control-allow-headers',
            'access-control-allow-methods',
            'access-control-max-age',
            'strict-transport-security',
            'public-key-pins',
            'expect-ct',
            'content-security-policy',
            'content-security-policy-report-only',
            'x-frame-options',
            'x-content-type-options',
            'x-xss-protection',
            'referrer-policy',
            'permissions-policy',
            'feature-policy',
            'cross-origin-resource-policy',
            'cross-origin-opener-policy',
            'cross-origin-embedder-policy',
            'origin-agent-cluster',
            'timing-allow-origin',
            'service-worker-allowed',
            'sourcemap',
            'x-sourcemap',
            'refresh',
            'location',
            'content-location',
            'alt-svc',
            'nel',
            'report-to',
            'reporting-endpoints',
            'cache-control',
            'cdn-cache-control',
            'surrogate-control',
            'expires',
            'pragma',
            'vary',
            'age',
            'server',
            'via',
            'x-powered-by',
            'x-request-id',
            'x-accel-redirect',
            'x-sendfile',
            'accept-ch',
            'critical-ch',
            'speculation-rules',
            'no-vary-search',
            'supports-loading-mode',
            'observe-browsing-topics',
            'set-login',
            'attribution-reporting-register-source',
            'server-timing',
            'x-dns-prefetch-control',
            'x-unknown',
            'trailer',
          ].map((name) => [name, 'evil']),
        ),
        // Paging links are forwarded; links that make a page fetch something are not.
        link: '<https://evil.example/x>; rel=preload; as=script, </next>; rel="next"',
      };
      const forwarded = new Set(bff.profile.forwardedHeaders);
      for (const status of [200, 206, 404, 500]) {
        bff.upstream.answer = () => ({
          status,
          headers: { 'content-type': 'text/html', ...evil },
          body: '<script>alert(1)</script>',
        });
        const answer = await browser.call(target);
        assert.equal(answer.status, status);
        assert.deepEqual(setCookies(answer), []);
        assert.ok(!JSON.stringify(answer.headers).includes('evil'), JSON.stringify(answer.headers));
        // The headers of the BFF's own answers, and no others.
        const own = new Set(Object.keys((await browser.call(bff.path.session)).headers));
        assert.deepEqual(
          Object.keys(answer.headers).filter(
            (name) =>
              !forwarded.has(name) && !own.has(name) && name !== 'transfer-encoding' && name !== 'content-length',
          ),
          [],
        );
        assert.match(String(answer.headers['cache-control']), /no-store/);
        assert.match(
          String(answer.headers['content-security-policy']),
          /default-src 'none'/,
          'markup of an API is not active',
        );
        assert.equal(answer.headers['x-content-type-options'], 'nosniff');
      }
      bff.upstream.answer = () => ({
        status: 200,
        headers: {
          'content-type': 'application/json',
          etag: '"1"',
          link: '</items?page=2>; rel="next", </items?page=9>; rel="last"',
        },
        body: '{}',
      });
      const { headers } = await browser.call(target);
      assert.deepEqual(
        [headers['content-type'], headers.etag, headers.link],
        [
          'application/json',
          '"1"',
          `<${bff.profile.api.prefix}/items?page=2>; rel="next", <${bff.profile.api.prefix}/items?page=9>; rel="last"`,
        ],
        'headers that describe the answer are forwarded',
      );
      assert.ok(await bff.user(browser));
    },
  ),
  asUser(
    'S103',
    'API that echoes the token in its body: the only place where a page can read it',
    async (bff, browser, target) => {
      // The BFF does not read bodies, which belong to the API. Its headers, log and errors hold no token.
      bff.upstream.answer = ({ headers }) => ({
        status: 200,
        headers: { 'content-type': 'application/json', 'x-echo': headers.authorization ?? '', etag: '"x"' },
        body: JSON.stringify(headers),
      });
      bff.mayHold = /"authorization":"[^"]*"/g;
      const answer = await browser.call(target);
      bff.mayHold = undefined;
      const token = bff.upstream.tokens().at(-1) ?? '';
      assert.ok(token.length > 16);
      assert.ok(!JSON.stringify(answer.headers).includes(token), 'not in a header');
      bff.upstream.answer = ({ headers }) => ({
        status: 401,
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(headers),
      });
      const rejected = await browser.call(target);
      assert.ok(
        !rejected.text.includes(token) && !rejected.text.includes(bff.upstream.tokens().at(-1) ?? '-'),
        "the BFF's own answer holds no token",
      );
    },
  ),
  asUser(
    'S105',
    'bodies that are slow, too large or compressed: bounded, and no truncated body looks complete',
    async (bff, browser) => {
      const { prefix, own, bodyLimitKib, timeoutSeconds } = bff.needs(
        bff.profile.limitedApi,
        'API with limits that a test can wait for',
      );
      const target = `${prefix}${bff.profile.api.family}/1`;
      const limit = bodyLimitKib * 1024;
      const type = { 'Content-Type': 'application/octet-stream' };
      const post = (/** @type {import('../../support/exchange.mjs').Sent} */ sent) =>
        browser.call(target, { method: 'POST', ...sent, headers: { ...type, ...sent.headers } });
      /**
       * The sizes of the bodies that reach the API completely while a function runs.
       * @param {() => Promise<unknown>} run
       */
      const arrived = async (run) => {
        const before = bff.upstream.seen.length;
        await run();
        return bff.upstream.seen.slice(before).map(({ bytes }) => bytes);
      };
      const chunked = { 'Transfer-Encoding': 'chunked' };
      for (const headers of [{}, chunked]) {
        assert.deepEqual(
          await arrived(async () =>
            assert.equal((await post({ body: Buffer.alloc(limit, 'x'), headers })).status, 200),
          ),
          [limit],
          'a body of the allowed size',
        );
        for (const bytes of [limit + 1, 4 * limit]) {
          // A server that has rejected a request may close the connection before it has read everything.
          assert.deepEqual(
            await arrived(async () =>
              assert.ok([0, 413].includes((await post({ body: Buffer.alloc(bytes, 'x'), headers })).status)),
            ),
            [],
            `${bytes} bytes ${Object.keys(headers)}`,
          );
        }
      }
      const byHand = (/** @type {string[]} */ more, body = '') => {
        const lines = {
          Host: new URL(bff.origin).host,
          Cookie: browser.cookieHeader,
          'Sec-Fetch-Site': 'same-origin',
          Origin: bff.origin,
          ...bff.csrf,
          ...type,
          Connection: 'close',
        };
        return bff.sendBytes(
          `POST ${target} HTTP/1.1\r\n${[...Object.entries(lines).map(([name, value]) => `${name}: ${value}`), ...more].join('\r\n')}\r\n\r\n${body}`,
          timeoutSeconds * 1_000 + 5_000,
        );
      };
      // Some servers forward nothing before they have the body, and close the connection.
      assert.deepEqual(
        await arrived(async () =>
          assert.ok(
            [0, 413].includes((await byHand([`Content-Length: ${limit + 1}`])).status),
            'a declared length beyond the limit',
          ),
        ),
        [],
      );

      // Concurrent bodies that never end.
      assert.deepEqual(
        await arrived(() =>
          Promise.all(
            [
              [['Content-Length: 10'], 'abc'],
              [[`Content-Length: ${limit}`], 'abc'],
              [['Transfer-Encoding: chunked'], '3\r\nabc\r\n'],
            ].map(async ([more, body]) => {
              const { status } = await byHand(/** @type {string[]} */ (more), String(body));
              assert.ok([408, 503].includes(status), `a body that stops after three bytes, ${more}: ${status}`);
            }),
          ),
        ),
        [],
        'a truncated body looks complete',
      );
      // Request headers that never end do not block other requests.
      const heads = Array.from({ length: 60 }, () =>
        halfOpen(bff.origin, `POST ${target} HTTP/1.1\r\nHost: ${new URL(bff.origin).host}\r\nX-Slow: `),
      );
      const begun = Date.now();
      assert.equal((await browser.call(`${prefix}${own}`)).status, 200);
      assert.ok(Date.now() - begun < 5_000, `${Date.now() - begun} ms beside slow heads`);
      for (const socket of heads) socket.destroy();

      // An API that never answers, or stalls in its body. The answer must not look complete.
      const bound = async (/** @type {() => Promise<unknown>} */ what, /** @type {string} */ why) => {
        const from = Date.now();
        await what();
        assert.ok(Date.now() - from < timeoutSeconds * 1_000 + 8_000, `${why}: ${Date.now() - from} ms`);
      };
      bff.upstream.answer = () => undefined;
      await bound(async () => assert.ok([502, 503, 504].includes((await browser.call(target)).status)), 'no answer');
      for (const [why, headers] of /** @type {[string, Record<string, string>][]} */ ([
        ['in chunks', {}],
        ['of a known length', { 'Content-Length': '100' }],
      ])) {
        for (const end of [undefined, 'broken']) {
          bff.upstream.answer = (_, outgoing) => {
            outgoing
              .writeHead(200, { 'Content-Type': 'text/plain', ...headers })
              .write('first', () => void (end && outgoing.destroy()));
            return undefined;
          };
          await bound(
            async () => {
              const answer = await browser.call(target).catch(() => undefined);
              assert.ok(
                !answer || answer.status === 0 || answer.status >= 500,
                `half an answer ${why}, ${end ?? 'stalled'}, looks complete: ${answer?.status} ${answer?.text}`,
              );
            },
            `an answer ${why}, ${end ?? 'stalled'}`,
          );
        }
      }
      bff.upstream.answer = undefined;

      // A small compressed body is forwarded as it is, or rejected, but never decompressed.
      const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
      const before = bff.upstream.seen.length;
      const { status } = await post({ body: bomb, headers: { 'Content-Encoding': 'gzip' } });
      assert.ok([0, 200, 400, 415].includes(status), `a compressed body: ${status}`);
      const compressedCalls = bff.upstream.seen.slice(before);
      assert.ok(compressedCalls.length === (status === 200 ? 1 : 0), 'rejected or forwarded');
      // Without its Content-Encoding the API would misread the body.
      assert.ok(
        compressedCalls.every(({ bytes, headers }) => bytes === bomb.length && headers['content-encoding'] === 'gzip'),
        'the body is forwarded compressed, with its encoding',
      );
      bff.upstream.answer = () => ({
        status: 200,
        headers: { 'content-type': 'text/plain', 'content-encoding': 'gzip' },
        body: bomb,
      });
      const compressed = await browser.call(target, { headers: { 'Accept-Encoding': 'gzip' } });
      assert.ok(
        compressed.status === 502 ||
          (compressed.headers['content-encoding'] === 'gzip' && compressed.bytes === bomb.length),
        `${compressed.status}: an answer of ${bomb.length} bytes arrives as ${compressed.bytes}`,
      );
      bff.upstream.answer = undefined;
      assert.equal((await post({ body: 'small' })).status, 200);
    },
  ),
];
