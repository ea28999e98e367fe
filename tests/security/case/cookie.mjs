// Section D: cookies and their sealed contents.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

import { parseSetCookie, setCookies } from '../../support/browser.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../../support/browser.mjs').Browser} Browser */

/** Every way to use a session; all must reject alike. @param {Bff} bff */
const sessionTargets = (bff) => [bff.profile.api.prefix + bff.profile.api.own, bff.path.stream];

/**
 * Asserts that this Cookie header is no session, and that every rejection is the same.
 * @param {Bff} bff @param {string | string[] | undefined} cookie @param {string} why
 */
async function assertNoSession(bff, cookie, why) {
  const calls = bff.upstream.seen.length;
  const bodies = new Set();
  for (const target of sessionTargets(bff)) {
    const answer = await bff.browser().call(target, { headers: { Cookie: cookie } });
    assert.equal(answer.status, 401, `${why} at ${target}: ${answer.status}`);
    bodies.add(JSON.stringify([bff.profile.withoutItsRequest(answer), answer.headers['content-type']]));
  }
  assert.equal(
    bff.profile.user(await bff.browser().call(bff.path.session, { headers: { Cookie: cookie } })),
    undefined,
    why,
  );
  assert.equal(bff.upstream.seen.length, calls, why);
  return bodies;
}

/** @param {Bff} bff */
async function session(bff) {
  const { browser, user } = await bff.signedIn(bff.apiRealm);
  return {
    browser,
    user,
    name: bff.profile.sessionCookie,
    value: browser.cookies.get(bff.profile.sessionCookie)?.value ?? '',
  };
}

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  {
    id: 'S60',
    title: 'second cookie of the same name: neither is accepted; the prefix blocks cookies of sibling hosts',
    async attack(bff) {
      const own = await session(bff);
      const other = await session(bff);
      for (const second of [own.value, other.value, 'x', '', `"${own.value}"`]) {
        await assertNoSession(bff, `${own.name}=${own.value}; ${own.name}=${second}`, `second ${second.slice(0, 8)}`);
        await assertNoSession(bff, `${own.name}=${second}; ${own.name}=${own.value}`, `first ${second.slice(0, 8)}`);
        // Node's client would join the two headers.
        for (const pair of [
          [own.value, second],
          [second, own.value],
        ]) {
          for (const target of sessionTargets(bff)) {
            const lines = [
              ...pair.map((value) => `Cookie: ${own.name}=${value}`),
              ...Object.entries(bff.csrf).map(([name, value]) => `${name}: ${value}`),
              'Sec-Fetch-Site: same-origin',
            ];
            const { status } = await bff.sendBytes(
              `GET ${target} HTTP/1.1\r\nHost: ${new URL(bff.origin).host}\r\n${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`,
            );
            assert.equal(status, 401, `in two headers, ${second.slice(0, 8)}, at ${target}`);
          }
        }
      }
      // Another application of the site may set such a cookie for all hosts. It must not invalidate the session.
      for (const sibling of ['city=Z\xc3\xbcrich', 'city=Z\xfcrich']) {
        for (const line of [`${sibling}; ${own.name}=${own.value}`, `${own.name}=${own.value}; ${sibling}`]) {
          const csrf = Object.entries(bff.csrf)
            .map(([name, value]) => `${name}: ${value}\r\n`)
            .join('');
          const { status } = await bff.sendBytes(
            `GET ${bff.profile.api.prefix}${bff.profile.api.own} HTTP/1.1\r\nHost: ${new URL(bff.origin).host}\r\nCookie: ${line}\r\n${csrf}Sec-Fetch-Site: same-origin\r\nConnection: close\r\n\r\n`,
          );
          assert.equal(status, 200, `beside another application's cookie: ${JSON.stringify(line.slice(0, 20))}`);
        }
      }
      assert.match(own.name, /^__Host-/, 'browsers reject such a cookie with a Domain');
      const cookie = own.browser.cookies.get(own.name);
      assert.ok(
        cookie &&
          cookie.attributes.has('secure') &&
          cookie.attributes.has('httponly') &&
          !cookie.attributes.has('domain'),
      );
      assert.equal(cookie.attributes.get('path'), '/');
      assert.equal(await bff.user(own.browser), own.user, 'alone it is accepted');
    },
  },
  {
    id: 'S62',
    title: 'cookie damaged at each byte: one answer for all',
    async attack(bff) {
      const { browser, user, name, value } = await session(bff);
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
      const bodies = new Set();
      for (let at = 0; at < value.length; at++) {
        const other = alphabet[(alphabet.indexOf(value[at] ?? 'A') + 1 + (at % 62)) % 64];
        for (const body of await assertNoSession(
          bff,
          `${name}=${value.slice(0, at)}${other}${value.slice(at + 1)}`,
          `byte ${at} changed`,
        ))
          bodies.add(body);
      }
      for (let length = 0; length < value.length; length += 7)
        for (const body of await assertNoSession(bff, `${name}=${value.slice(0, length)}`, `cut to ${length}`))
          bodies.add(body);
      for (const more of ['A', 'AA', '=', '==', '.', '%00', value, 'A'.repeat(3000)])
        for (const body of await assertNoSession(bff, `${name}=${value}${more}`, `longer by ${more.length}`))
          bodies.add(body);
      assert.equal(bodies.size, 1, [...bodies].join('\n'));
      assert.equal(await bff.user(browser), user);
    },
  },
  {
    id: 'S63',
    title: "sealed value in place of another: a sign-in's as session, one sign-in's as another's",
    async attack(bff) {
      const { browser, name, value } = await session(bff);
      const one = bff.browser();
      const first = await bff.begin(one);
      const two = bff.browser();
      const second = await bff.begin(two);
      const [transaction] = [...one.cookies].filter(([cookie]) => bff.profile.isOwnCookie(cookie));
      const [other] = [...two.cookies].filter(([cookie]) => bff.profile.isOwnCookie(cookie));
      if (!transaction || !other) throw new Error('a sign-in sets no cookie');
      await assertNoSession(bff, `${name}=${transaction[1].value}`, "a sign-in's cookie as session");
      const assertSwapRejected = async (
        /** @type {import('../bff.mjs').Flow} */ flow,
        /** @type {string} */ cookie,
        /** @type {string} */ why,
        /** @type {string} */ reason,
      ) => {
        const victim = bff.browser();
        const target = await flow.callback();
        await bff.assertSignInRejected(victim, () => victim.visit(target, { headers: { Cookie: cookie } }), {
          why,
          reason,
        });
      };
      await assertSwapRejected(
        first,
        `${transaction[0]}=${value}`,
        "a session's cookie as sign-in",
        'cookie of another sign-in',
      );
      await assertSwapRejected(
        first,
        `${transaction[0]}=${other[1].value}`,
        "another sign-in's value under this one's name",
        'cookie of another sign-in',
      );
      await assertSwapRejected(
        second,
        `${transaction[0]}=${transaction[1].value}`,
        "another sign-in's cookie",
        'unknown sign-in',
      );
      assert.ok(await bff.user(browser));
    },
  },
  {
    id: 'S64',
    title: 'key rotation: values sealed by the old key are valid while that key is listed',
    async attack(bff) {
      const ring = bff.needs(bff.running, 'running BFF').sessionKeys;
      const next = `next:${randomBytes(32).toString('base64url')}`;
      const { browser, user, name, value } = await session(bff);
      await bff.restarted({ SESSION_KEYS: `${next},${ring}` }, async () => {
        assert.equal(await bff.user(browser), user, 'the old key is still listed');
        const fresh = await bff.signedIn(bff.apiRealm);
        const sealed = fresh.browser.cookies.get(name)?.value ?? '';
        const keyOf = (/** @type {string} */ blob) => Buffer.from(blob, 'base64url').subarray(0, 6).toString('hex');
        assert.notEqual(keyOf(sealed), keyOf(value), 'the new key seals');
      });
      await bff.restarted({ SESSION_KEYS: next }, async () => {
        await assertNoSession(bff, `${name}=${value}`, 'sealed by a removed key');
      });
    },
  },
  {
    id: 'S67',
    title: 'cookie that claims to come in many parts: parts are not joined',
    async attack(bff) {
      const { name, value } = await session(bff);
      const half = Math.floor(value.length / 2);
      for (const cookie of [
        `${name}-chunks=1000000000; ${name}.0=${value}`,
        `${name}.count=1000000000`,
        `${name}=chunks:1000000000`,
        `${name}=chunks-1000000000; ${name}C1=x`,
        `${name}.0=${value.slice(0, half)}; ${name}.1=${value.slice(half)}`,
        `${name}_0=${value.slice(0, half)}; ${name}_1=${value.slice(half)}`,
        `${name}0=${value}`,
        Array.from({ length: 300 }, (_, index) => `${name}.${index}=x`).join('; '),
      ]) {
        const begun = Date.now();
        await assertNoSession(bff, cookie, cookie.slice(0, 60));
        assert.ok(Date.now() - begun < 5_000, `${Date.now() - begun} ms for ${cookie.slice(0, 60)}`);
      }
    },
  },
  {
    id: 'S70',
    title: 'too many cookies: an answer, not an outage; the session is still read or rejected',
    async attack(bff) {
      const { user, name, value } = await session(bff);
      const junk = (/** @type {number} */ bytes) =>
        Array.from({ length: Math.ceil(bytes / 100) }, (_, index) => `junk${index}=${'x'.repeat(90)}`).join('; ');
      for (const bytes of [4_000, 9_000, 14_000]) {
        const answer = await bff
          .browser()
          .call(bff.path.session, { headers: { Cookie: `${junk(bytes)}; ${name}=${value}` } });
        assert.ok([200, 400, 413, 431].includes(answer.status), `${bytes} bytes of cookies: ${answer.status}`);
        if (answer.status === 200) assert.equal(bff.profile.user(answer), user, `${bytes} bytes of cookies`);
      }
      // Beyond its limit the BFF answers 431 and clears its own cookies, if the server in front forwards the request.
      let ownAnswers = 0;
      for (const bytes of [40_000, 60_000, 120_000]) {
        for (const method of /** @type {const} */ (['call', 'visit'])) {
          const browser = bff.browser();
          const answer = await browser[method](bff.path.session, {
            headers: { Cookie: `${name}=${value}; ${junk(bytes)}` },
          });
          assert.ok([0, 400, 413, 431].includes(answer.status), `${bytes} bytes of cookies: ${answer.status}`);
          if (answer.status !== 431 || bff.profile.requestAnswered(answer) === undefined) continue;
          ownAnswers++;
          const cleared = setCookies(answer).map(parseSetCookie);
          assert.ok(
            cleared.length > 0 && cleared.every((cookie) => cookie.name === name && cookie.isRemoval),
            `${bytes} bytes of cookies`,
          );
          assert.match(
            String(answer.headers['content-type']),
            method === 'visit' ? /^text\/html/ : bff.profile.errorType,
          );
        }
      }
      assert.ok(ownAnswers > 0, 'the BFF itself has answered');
      // The cookies of many sign-ins stay below that limit.
      const browser = bff.browser();
      for (let count = 0; count < 12; count++) await bff.begin(browser);
      assert.ok((browser.cookieHeader ?? '').length < 4_096, `${browser.cookieHeader?.length} bytes`);
    },
  },
  {
    id: 'S145',
    title: 'cookie without the prefix is ignored',
    async attack(bff) {
      const { user, name, value, browser } = await session(bff);
      const bare = name.replace(/^__Host-(?:Http-)?/, '');
      for (const twin of [
        bare,
        `__Secure-${bare}`,
        `__Host-${bare}`,
        `__host-http-${bare}`,
        name.toLowerCase(),
        ` ${name}x`,
        `${name}[]`,
        `"${name}"`,
      ].filter((twin) => twin !== name)) {
        await assertNoSession(bff, `${twin}=${value}`, twin);
        const both = await bff.browser().call(bff.path.session, { headers: { Cookie: `${twin}=x; ${name}=${value}` } });
        assert.equal(bff.profile.user(both), user, `${twin} beside the real one`);
      }
      assert.equal(await bff.user(browser), user);
    },
  },
  {
    id: 'S159',
    title: 'session cookie that does not open: removed by the answer that refuses it, and no other cookie',
    async attack(bff) {
      const { browser, user, name, value } = await session(bff);
      const removed = (/** @type {import('../../support/exchange.mjs').Answer} */ answer) => {
        const cookies = setCookies(answer).map(parseSetCookie);
        assert.ok(
          cookies.every((cookie) => cookie.name === name && cookie.isRemoval),
          `${answer.target}: ${answer.headers['set-cookie']}`,
        );
        return cookies.length > 0;
      };
      const targets = [...sessionTargets(bff), bff.path.session];
      for (const bad of ['', 'x', value.slice(1), `${value}A`, randomBytes(64).toString('base64url')]) {
        for (const target of targets) {
          const visitor = bff.browser();
          const answer = await visitor.call(target, { headers: { Cookie: `${name}=${bad}` } });
          assert.equal(answer.status, target === bff.path.session ? 200 : 401, `${target}: ${answer.status}`);
          assert.equal(answer.headers.location, undefined);
          assert.ok(removed(answer), `${target} keeps ${bad.slice(0, 8)}`);
          const next = await visitor.call(target);
          assert.equal(next.status, answer.status);
          assert.equal(removed(next), false, `${target} removes what was not sent`);
        }
      }
      // Beside a good one, neither is accepted, and the good one stays.
      for (const pair of [
        ['x', value],
        [value, 'x'],
      ]) {
        const cookie = pair.map((one) => `${name}=${one}`).join('; ');
        for (const target of targets)
          assert.equal(removed(await bff.browser().call(target, { headers: { Cookie: cookie } })), false, target);
      }
      // Other sites cannot have it removed.
      const foreign = await bff.browser().call(bff.path.session, {
        headers: { Cookie: `${name}=x`, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
      });
      assert.equal(foreign.status, 403);
      assert.equal(removed(foreign), false);
      assert.equal(await bff.user(browser), user);
      // A user whose cookie does not open can sign in.
      const again = bff.browser();
      await again.call(bff.path.session, { headers: { Cookie: `${name}=x` } });
      assert.ok(bff.givesSession(await bff.signIn(again, bff.apiRealm)));
      assert.equal(await bff.user(again), user);
    },
  },
];

/** Cases that check every answer of a run, and so run last. @type {import('../case.mjs').Case[]} */
export const wholeRunCases = [
  {
    id: 'S68',
    title: 'no answer with a cookie or of a session may be cached; every cookie is Secure and HttpOnly',
    async attack(bff) {
      const { browser } = await session(bff);
      await browser.call(bff.profile.api.prefix + bff.profile.api.own);
      await browser.call(bff.profile.api.prefix + bff.profile.api.secret);
      await browser.call(bff.path.session);
      await browser.call('/nowhere');
      await browser.call(bff.path.logout, { method: 'POST' });
      let checked = 0;
      const isOpen = bff.origin.startsWith('http:');
      // Every answer of this run.
      for (const { answer } of bff.traffic) {
        const context = `${answer.target.slice(0, 120)} (${answer.status})`;
        const cookies = setCookies(answer);
        if (!bff.profile.requestAnswered(answer)) {
          // The server in front has answered, or the connection broke: no session is involved.
          assert.ok(
            bff.profile.frontServer.statuses.includes(answer.status) ||
              (answer.status === 500 && bff.profile.frontServer.isOwnError(answer)),
            `${context} is not an answer of the BFF`,
          );
          assert.deepEqual(cookies, [], context);
          continue;
        }
        checked++;
        if (!bff.profile.isPublic(answer) || cookies.length)
          assert.match(String(answer.headers['cache-control']), /(?:^|, )no-store(?:,|$)/, `${context} may be cached`);
        for (const name of ['cdn-cache-control', 'surrogate-control', 'expires'])
          assert.equal(answer.headers[name], undefined, `${name} of ${context}`);
        for (const cookie of cookies) {
          const { name, value, attributes, isRemoval } = parseSetCookie(cookie);
          const site = bff.profile.returningCookies.test(name) ? /^(?:Strict|Lax)$/ : /^Strict$/;
          assert.ok(
            attributes.has('secure') &&
              attributes.has('httponly') &&
              attributes.get('path') === '/' &&
              (isRemoval || site.test(attributes.get('samesite') ?? '')) &&
              !attributes.has('domain'),
            cookie.replace(/=[^;]*/, '=…'),
          );
          assert.ok(name.length + value.length <= 4096);
        }
        const vary = String(answer.headers.vary)
          .toLowerCase()
          .split(/\s*,\s*/);
        const names = bff.profile.isPublic(answer) ? [] : ['cookie', 'origin', 'sec-fetch-site'];
        for (const name of names) assert.ok(vary.includes(name), `${context} varies by ${vary}`);
        assert.equal(answer.headers['x-content-type-options'], 'nosniff', context);
        // Browsers ignore it for an origin without TLS.
        assert.equal(answer.headers['strict-transport-security'] === undefined, isOpen, context);
      }
      assert.ok(checked >= 8, `${checked} answers checked`);
    },
  },
];
