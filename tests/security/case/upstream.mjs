// Section F: what an API answers, and what of that reaches the browser.

import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';

import { setCookies } from '../browser.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../browser.mjs').Browser} Browser */

/** @param {string} id @param {string} title @param {(bff: Bff, browser: Browser, target: string) => Promise<unknown>} attack @returns {import('../case.mjs').Case} */
const asUser = (id, title, attack) => ({
  id, title,
  attack: async (bff) => attack(bff, (await bff.signedIn(bff.apiRealm)).browser, `${bff.profile.api.prefix}${bff.profile.api.family}/1`),
});

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  asUser('S98', 'API that redirects: not followed, and the browser is not sent away', async (bff, browser, target) => {
    for (const status of [301, 302, 303, 307, 308]) {
      for (const location of [`${bff.otherUpstream.origin}/stolen`, `${bff.upstream.origin}/stolen`, '/stolen', '//evil.example', 'javascript:alert(1)']) {
        bff.upstream.answer = () => ({ status, headers: { location } });
        const answer = await browser.call(target);
        assert.equal(answer.headers.location, undefined, `${status} to ${location}`);
        assert.ok(answer.status === 502 || answer.status < 300, `${status} to ${location}: ${answer.status}`);
      }
    }
    const seen = [...bff.upstream.seen, ...bff.otherUpstream.seen].filter(({ path }) => path.includes('stolen'));
    assert.deepEqual(seen, []);
  }),
  asUser('S99', 'API that sets cookies and policies: stripped', async (bff, browser, target) => {
    const evil = {
      'set-cookie': [`${bff.profile.sessionCookie}=evil; Path=/; Secure; HttpOnly`, 'a=b', '__Host-Http-login-x=evil; Path=/; Secure'], 'www-authenticate': 'Basic realm="x"', 'proxy-authenticate': 'Basic', 'clear-site-data': '"*"', 'access-control-allow-origin': '*',
      'access-control-allow-credentials': 'true', 'access-control-expose-headers': '*', 'strict-transport-security': 'max-age=0', 'content-security-policy': "default-src *", 'x-frame-options': 'ALLOWALL', 'referrer-policy': 'unsafe-url', 'service-worker-allowed': '/',
      refresh: '0;url=https://evil.example', 'x-powered-by': 'evil', server: 'evil', 'cache-control': 'public, max-age=99999', 'cdn-cache-control': 'public', 'alt-svc': 'h3="evil.example:443"', link: '<https://evil.example>; rel=preload', 'nel': '{}', 'report-to': '{}', 'x-request-id': 'evil', 'public-key-pins': 'x',
      'cross-origin-resource-policy': 'cross-origin', 'timing-allow-origin': '*', 'sourcemap': 'x', 'authorization': 'Bearer evil',
    };
    for (const status of [200, 404, 500]) {
      bff.upstream.answer = () => ({ status, headers: { 'content-type': 'text/html', ...evil }, body: '<script>alert(1)</script>' });
      const answer = await browser.call(target);
      assert.equal(answer.status, status);
      assert.deepEqual(setCookies(answer), []);
      for (const name of ['www-authenticate', 'proxy-authenticate', 'clear-site-data', 'access-control-allow-origin', 'access-control-allow-credentials', 'access-control-expose-headers', 'service-worker-allowed', 'refresh', 'x-powered-by', 'cdn-cache-control', 'alt-svc', 'nel', 'report-to', 'public-key-pins', 'timing-allow-origin', 'sourcemap', 'authorization']) {
        assert.equal(answer.headers[name], undefined, name);
      }
      assert.match(String(answer.headers['cache-control']), /no-store/);
      assert.match(String(answer.headers['content-security-policy']), /default-src 'none'/, 'markup of an API does nothing');
      assert.equal(answer.headers['x-content-type-options'], 'nosniff');
      assert.notEqual(answer.headers['x-request-id'], 'evil');
      assert.notEqual(answer.headers['strict-transport-security'], 'max-age=0');
      assert.notEqual(answer.headers['referrer-policy'], 'unsafe-url');
    }
    assert.ok(await bff.user(browser));
  }),
  asUser('S103', 'API that echoes the token: the one place where a page can read it, and it says so', async (bff, browser, target) => {
    // What an API puts into a body is the API's; the BFF does not read bodies. Its headers, log and errors hold nothing.
    bff.upstream.answer = ({ headers }) => ({ status: 200, headers: { 'content-type': 'application/json', 'x-echo': headers.authorization ?? '', etag: '"x"' }, body: JSON.stringify(headers) });
    bff.mayHold = 'the API put the token into its body';
    const answer = await browser.call(target);
    bff.mayHold = undefined;
    const token = bff.upstream.tokens().at(-1) ?? '';
    assert.ok(token.length > 16);
    assert.ok(!JSON.stringify(answer.headers).includes(token), 'not in a header');
    bff.upstream.answer = ({ headers }) => ({ status: 401, headers: { 'content-type': 'application/json' }, body: JSON.stringify(headers) });
    const refused = await browser.call(target);
    assert.ok(!refused.text.includes(token) && !refused.text.includes(bff.upstream.tokens().at(-1) ?? '-'), "an answer of the BFF's own holds none");
  }),
  asUser('S105', 'bodies that are slow, too large or packed', async (bff, browser, target) => {
    const post = (/** @type {import('../wire.mjs').Sent} */ sent) => browser.call(target, { method: 'POST', ...sent, headers: { 'Content-Type': 'application/octet-stream', ...sent.headers } });
    const before = bff.upstream.seen.length;
    const large = Buffer.alloc(512 * 1024, 'x');
    for (const headers of [{}, { 'Transfer-Encoding': 'chunked' }]) {
      const { status } = await post({ body: large, headers });
      // A server that has said no may close before it has read everything.
      assert.ok([0, 413].includes(status), `too large: ${status}`);
    }
    assert.ok(bff.upstream.seen.slice(before).every(({ body }) => body.length <= 256 * 1024), 'what was sent on is within the limit');
    const after = bff.upstream.seen.length;
    // Small when packed: it stays packed or is refused, but is never unpacked here.
    const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    const { status } = await post({ body: bomb, headers: { 'Content-Encoding': 'gzip' } });
    assert.ok([200, 400, 413, 415].includes(status), `packed: ${status}`);
    for (const { body } of bff.upstream.seen.slice(after)) assert.ok(body.length <= 256 * 1024);
    bff.upstream.answer = () => ({ status: 200, headers: { 'content-type': 'text/plain', 'content-encoding': 'gzip' }, body: bomb });
    const packed = await browser.call(target);
    assert.ok(packed.status === 502 || packed.text.length <= 2 * bomb.length, `an answer grew to ${packed.text.length} bytes`);
    bff.upstream.answer = undefined;
    assert.equal((await post({ body: 'small' })).status, 200);
  }),
];
