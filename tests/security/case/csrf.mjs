// Section E: requests of another site in the browser of a signed-in user. None is forwarded.

import assert from 'node:assert/strict';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../../support/browser.mjs').Browser} Browser */
/** @typedef {import('../../support/exchange.mjs').Sent} Sent */

const EVIL = 'https://evil.example';
/** @param {Bff} bff */
const fromOtherSite = (bff) => ({
  Origin: EVIL,
  'Sec-Fetch-Site': 'cross-site',
  'Sec-Fetch-Mode': 'no-cors',
  ...bff.withoutCsrf,
});

/** Targets that change state or read user data. @param {Bff} bff */
const targets = (bff) => [`${bff.profile.api.prefix}${bff.profile.api.family}/1`, bff.path.event, bff.path.logout];

/**
 * Asserts that a request is rejected and not forwarded, and that the user stays signed in.
 * @param {Bff} bff @param {Browser} browser @param {string} target @param {Sent} sent @param {string} why
 * @param {number[]} statuses
 */
async function assertForbidden(bff, browser, target, sent, why, statuses = [403]) {
  const before = [bff.upstream.seen.length, bff.bridge.seen.length];
  const answer = await browser.call(target, sent);
  assert.ok(statuses.includes(answer.status), `${why} at ${target}: ${answer.status} ${answer.text.slice(0, 200)}`);
  assert.deepEqual([bff.upstream.seen.length, bff.bridge.seen.length], before, `${why} at ${target} was forwarded`);
  assert.ok(
    ![EVIL, '*'].includes(String(answer.headers['access-control-allow-origin'])),
    `${why} at ${target} may be read`,
  );
  assert.ok(await bff.user(browser), `${why} at ${target}: signed out`);
  return answer;
}

/**
 * @param {string} id @param {string} title @param {(bff: Bff, browser: Browser) => Promise<unknown>} attack
 * @returns {import('../case.mjs').Case}
 */
const asUser = (id, title, attack) => ({
  id,
  title,
  attack: async (bff) => attack(bff, (await bff.signedIn(bff.apiRealm)).browser),
});

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  asUser('S74', 'form post of another site', async (bff, browser) => {
    const crossSite = fromOtherSite(bff);
    for (const target of targets(bff)) {
      for (const headers of [
        crossSite,
        { ...crossSite, 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' },
        { ...crossSite, 'Sec-Fetch-Site': undefined, 'Sec-Fetch-Mode': undefined },
      ]) {
        await assertForbidden(
          bff,
          browser,
          target,
          {
            method: 'POST',
            headers: { ...headers, 'Content-Type': 'application/x-www-form-urlencoded' },
            body: `type=message&data=x&${new URLSearchParams(bff.csrf)}`,
          },
          'a form',
        );
      }
    }
  }),
  asUser('S75', 'multipart post of another site', async (bff, browser) => {
    const crossSite = fromOtherSite(bff);
    const body =
      '--x\r\nContent-Disposition: form-data; name="{\\"type\\":\\"message\\",\\"data\\":{}}"\r\n\r\n1\r\n--x--\r\n';
    for (const target of targets(bff))
      await assertForbidden(
        bff,
        browser,
        target,
        { method: 'POST', headers: { ...crossSite, 'Content-Type': 'multipart/form-data; boundary=x' }, body },
        'multipart',
      );
  }),
  asUser('S76', 'JSON as text/plain', async (bff, browser) => {
    const crossSite = fromOtherSite(bff);
    for (const target of targets(bff))
      await assertForbidden(
        bff,
        browser,
        target,
        {
          method: 'POST',
          headers: { ...crossSite, 'Content-Type': 'text/plain;application/json' },
          body: '{"type":"message","data":{"text":"x"}}',
        },
        'text/plain',
      );
    // Even the BFF's own page must declare the media type.
    await assertForbidden(
      bff,
      browser,
      bff.path.event,
      { method: 'POST', headers: { 'Content-Type': 'text/plain' }, body: '{"type":"message","data":{}}' },
      'text/plain of its own page',
      [400, 415],
    );
  }),
  asUser('S77', 'post without a body', async (bff, browser) => {
    const crossSite = fromOtherSite(bff);
    for (const target of targets(bff)) {
      await assertForbidden(bff, browser, target, { method: 'POST', headers: crossSite }, 'an empty post');
      await assertForbidden(
        bff,
        browser,
        target,
        { method: 'POST', headers: { ...crossSite, Origin: undefined, 'Sec-Fetch-Site': undefined } },
        'an empty post without Origin and Sec-Fetch-Site',
      );
    }
  }),
  asUser('S79', 'CSRF header missing, wrong or twice', async (bff, browser) => {
    const [[name = '', right = ''] = []] = Object.entries(bff.csrf);
    for (const target of [...targets(bff), `${bff.profile.api.prefix}${bff.profile.api.own}`]) {
      const method = target.endsWith(bff.profile.api.own) ? 'GET' : 'POST';
      for (const value of [
        undefined,
        '',
        '0',
        'true',
        `${right} `.repeat(2).trim(),
        `${right}, ${right}`,
        [right, right],
        [right, '0'],
        ` `,
        `${right}\t${right}`,
      ]) {
        await assertForbidden(
          bff,
          browser,
          target,
          {
            method,
            headers: { [name]: value, 'Content-Type': 'application/json' },
            ...(method === 'POST' && { body: '{}' }),
          },
          `${name}: ${JSON.stringify(value)}`,
        );
      }
      for (const twin of [name.replaceAll('-', '_'), `X-${name}`, `${name}-Token`])
        await assertForbidden(
          bff,
          browser,
          target,
          { method, headers: { [name]: undefined, [twin]: right } },
          `${twin} instead`,
        );
    }
    const session = await browser.call(bff.path.session, { headers: { [name]: undefined } });
    assert.ok(session.status === 403 && !session.text.includes('user'), 'the user is not disclosed either');
  }),
  asUser(
    'S80',
    'Sec-Fetch-Site of other sites, and of same-site origins that are not on the list',
    async (bff, browser) => {
      for (const target of targets(bff)) {
        for (const site of [
          'cross-site',
          'same-site',
          'none',
          'SAME-ORIGIN',
          '',
          'same-origin, cross-site',
          ['same-origin', 'cross-site'],
        ]) {
          for (const origin of [undefined, EVIL, 'http://localhost:1', 'http://sibling.localhost']) {
            await assertForbidden(
              bff,
              browser,
              target,
              {
                method: 'POST',
                headers: { Origin: origin, 'Sec-Fetch-Site': site, 'Content-Type': 'application/json' },
                body: '{}',
              },
              `Sec-Fetch-Site ${site}, Origin ${origin}`,
            );
          }
        }
      }
      const host = bff.running?.hostOrigin;
      if (!host) return;
      const answer = await browser.call(`${bff.profile.api.prefix}${bff.profile.api.own}`, {
        headers: { Origin: host, 'Sec-Fetch-Site': 'same-site' },
      });
      assert.equal(answer.status, 200, 'a same-site origin on the list is allowed');
    },
  ),
  asUser('S81', 'other, null or absent Origin of a browser without Sec-Fetch headers', async (bff, browser) => {
    for (const target of targets(bff)) {
      for (const origin of [
        undefined,
        'null',
        EVIL,
        '',
        `${bff.origin}.evil.example`,
        `${bff.origin}/`,
        bff.origin.toUpperCase(),
        `${bff.origin}, ${EVIL}`,
        [bff.origin, EVIL],
        'http://localhost',
        `${bff.origin}0`,
      ]) {
        await assertForbidden(
          bff,
          browser,
          target,
          {
            method: 'POST',
            headers: {
              Origin: origin,
              'Sec-Fetch-Site': undefined,
              'Sec-Fetch-Mode': undefined,
              'Content-Type': 'application/json',
            },
            body: '{}',
          },
          `Origin ${JSON.stringify(origin)}`,
          [400, 403],
        );
      }
    }
  }),
  asUser('S83', 'GET where only POST is allowed, and other methods that no rule lists', async (bff, browser) => {
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH']) {
      for (const target of [bff.path.event, bff.path.logout])
        await assertForbidden(bff, browser, target, { method }, method, [405]);
    }
    for (const method of ['HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND']) {
      // The BFF answers OPTIONS to preflights only, and some servers do not forward uncommon methods.
      const statuses = { OPTIONS: [404, 405], TRACE: [405, 501], PROPFIND: [405, 501] }[method] ?? [405];
      await assertForbidden(
        bff,
        browser,
        `${bff.profile.api.prefix}${bff.profile.api.own}`,
        { method },
        `${method} of an API that allows GET`,
        statuses,
      );
    }
    for (const override of [
      { 'X-HTTP-Method-Override': 'POST' },
      { 'X-HTTP-Method': 'DELETE' },
      { 'X-Method-Override': 'PUT' },
    ]) {
      const calls = bff.upstream.seen.length;
      await browser.call(`${bff.profile.api.prefix}${bff.profile.api.own}?_method=DELETE`, { headers: override });
      const sent = bff.upstream.seen.slice(calls);
      assert.equal(sent.length, 1, Object.keys(override)[0]);
      assert.ok(
        sent.every(
          ({ method, headers }) => method === 'GET' && !Object.keys(headers).some((name) => name.includes('method')),
        ),
        Object.keys(override)[0],
      );
    }
  }),
  {
    id: 'S84',
    title: 'preflight of another origin: nothing is allowed, no origin is reflected with credentials',
    async attack(bff) {
      const preflight = {
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': ['content-type', ...Object.keys(bff.csrf)].join().toLowerCase(),
        ...bff.withoutCsrf,
        'Sec-Fetch-Mode': 'cors',
      };
      const paths = [
        bff.path.session,
        bff.path.logout,
        bff.path.event,
        bff.path.stream,
        `${bff.profile.api.prefix}${bff.profile.api.own}`,
        bff.path.login(bff.realms.oidc.id),
        bff.path.callback(bff.realms.oidc.id),
        bff.path.deliver,
        '/nowhere',
        '/',
      ];
      for (const path of paths) {
        for (const origin of [
          EVIL,
          'null',
          `${bff.origin}.evil.example`,
          'http://localhost',
          'http://localhost:1',
          bff.running?.hostOrigin.replace('http', 'https'),
          `${bff.running?.hostOrigin}.evil.example`,
          '*',
          '',
        ]) {
          for (const method of ['OPTIONS', 'GET']) {
            const answer = await bff
              .browser()
              .call(path, { method, headers: { ...preflight, Origin: origin, 'Sec-Fetch-Site': 'cross-site' } });
            assert.equal(answer.headers['access-control-allow-origin'], undefined, `${method} ${path} for ${origin}`);
            assert.equal(
              answer.headers['access-control-allow-credentials'],
              undefined,
              `${method} ${path} for ${origin}`,
            );
            assert.match(String(answer.headers.vary), /origin/i, `${method} ${path}: a cache must distinguish origins`);
          }
        }
      }
      const host = bff.running?.hostOrigin;
      if (!host) return;
      const own = await bff.browser().call(bff.path.event, {
        method: 'OPTIONS',
        headers: { ...preflight, Origin: host, 'Sec-Fetch-Site': 'same-site' },
      });
      assert.equal(own.headers['access-control-allow-origin'], host);
      assert.ok(!String(own.headers['access-control-allow-headers']).includes('*'));
      assert.match(String(own.headers.vary), /origin/i);
    },
  },
  asUser('S85', 'EventSource of another site or of another origin of the same site', async (bff, browser) => {
    for (const headers of [
      { Origin: EVIL, 'Sec-Fetch-Site': 'cross-site' },
      { Origin: 'http://sibling.localhost', 'Sec-Fetch-Site': 'same-site' },
      { 'Sec-Fetch-Site': 'same-site' },
      { 'Sec-Fetch-Site': 'cross-site' },
      { Origin: EVIL, 'Sec-Fetch-Site': undefined },
      { Origin: 'null', 'Sec-Fetch-Site': undefined },
    ]) {
      await assertForbidden(
        bff,
        browser,
        bff.path.stream,
        { headers: { ...bff.withoutCsrf, Accept: 'text/event-stream', ...headers } },
        JSON.stringify(headers),
      );
    }
  }),
  asUser('S86', 'WebSocket of another site', async (bff, browser) => {
    const upgrade = {
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Version': '13',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      ...bff.withoutCsrf,
      'Sec-Fetch-Mode': 'websocket',
    };
    for (const target of [bff.path.stream, `${bff.profile.api.prefix}${bff.profile.api.own}`, bff.path.event]) {
      for (const site of ['cross-site', 'same-site', undefined]) {
        const answer = await assertForbidden(
          bff,
          browser,
          target,
          { headers: { ...upgrade, Origin: EVIL, 'Sec-Fetch-Site': site } },
          `WebSocket, ${site}`,
          target === bff.path.event ? [405] : [403],
        );
        assert.notEqual(answer.status, 101);
      }
    }
  }),
  asUser('S87', 'logout by an image, a link or a form of another site', async (bff, browser) => {
    const crossSite = fromOtherSite(bff);
    const image = { ...crossSite, Origin: undefined, 'Sec-Fetch-Dest': 'image' };
    const assertNoLogout = async (/** @type {Browser} */ user) => {
      await assertForbidden(bff, user, bff.path.logout, { headers: image }, 'an image', [405]);
      await assertForbidden(
        bff,
        user,
        bff.path.logout,
        { headers: { ...image, 'Sec-Fetch-Mode': 'navigate', 'Sec-Fetch-Dest': 'document' } },
        'a link',
        [405],
      );
    };
    await assertNoLogout(browser);
    await assertForbidden(bff, browser, bff.path.logout, { method: 'POST', headers: crossSite }, 'a form');
    await assertForbidden(
      bff,
      browser,
      bff.path.logout,
      {
        method: 'POST',
        headers: { ...crossSite, Origin: undefined, 'Sec-Fetch-Site': undefined, 'Sec-Fetch-Mode': undefined },
      },
      'a form of an old browser',
    );
    const github = bff.realms.github;
    const other = (await bff.signedIn(github)).browser;
    await assertForbidden(
      bff,
      other,
      bff.path.logout,
      { method: 'POST', headers: crossSite },
      'a user of a provider without a logout endpoint',
    );
    await assertNoLogout(other);
    // Nor by a front-channel logout that names no session, or for a provider that has none.
    const entra = (await bff.signedIn(bff.realms.entra)).browser;
    for (const [user, realm] of /** @type {const} */ ([
      [other, github],
      [entra, bff.realms.entra],
    ])) {
      for (const query of ['', '?sid=', `?iss=${encodeURIComponent(realm.issuer)}`])
        await user.visit(bff.path.frontchannelLogout(realm.id) + query, { headers: image });
      await user.visit(bff.path.endSession(realm.id), { headers: image });
      assert.ok(await bff.user(user), `${realm.id}: signed out by an image`);
    }
  }),
  {
    id: 'S88',
    title: 'no page can be framed; sign-ins do not begin in a frame',
    async attack(bff) {
      const { browser } = await bff.signedIn();
      const pages = [
        bff.path.home,
        bff.path.login('nobody'),
        bff.path.callback(bff.realms.oidc.id),
        '/nowhere',
        bff.path.session,
        bff.path.login(bff.realms.oidc.id, '/'),
      ];
      for (const page of pages) {
        const answer = await browser.visit(page);
        assert.match(String(answer.headers['content-security-policy']), /frame-ancestors 'none'/, page);
      }
      for (const dest of ['iframe', 'frame', 'embed', 'object', 'fencedframe']) {
        const answer = await browser.visit(bff.path.login(bff.realms.oidc.id, '/'), {
          headers: { 'Sec-Fetch-Dest': dest, 'Sec-Fetch-Site': 'cross-site' },
        });
        assert.ok(answer.status >= 400 && !answer.headers.location, `a sign-in in an ${dest}`);
      }
    },
  },
  asUser('S89', "widget's event from another site", async (bff, browser) => {
    const crossSite = fromOtherSite(bff);
    const body = '{"type":"message","data":{"text":"x"}}';
    for (const headers of [
      crossSite,
      { ...crossSite, ...bff.csrf },
      { Origin: 'null', 'Sec-Fetch-Site': 'cross-site', ...bff.csrf },
      { Origin: undefined, 'Sec-Fetch-Site': undefined, ...bff.csrf },
    ]) {
      for (const type of ['application/json', 'text/plain', 'application/csp-report', undefined]) {
        await assertForbidden(
          bff,
          browser,
          bff.path.event,
          { method: 'POST', headers: { ...headers, 'Content-Type': type }, body },
          JSON.stringify({ ...headers, type }),
          [403],
        );
      }
    }
    const beacon = await assertForbidden(
      bff,
      browser,
      bff.path.event,
      {
        method: 'POST',
        headers: { ...crossSite, 'Content-Type': 'application/x-www-form-urlencoded' },
        body: new URLSearchParams({ [body]: '' }).toString(),
      },
      'a beacon',
    );
    assert.ok(beacon.status === 403);
  }),
  asUser(
    'S164',
    'image, form, script, frame or prefetch, or no Fetch Metadata, where links and images need no CSRF header',
    async (bff, browser) => {
      const { prefix, family, navigable } = bff.profile.api;
      const target = `${prefix}${bff.needs(navigable, 'API that links and images may request')}/1`;
      /** @param {string} mode @param {string} dest @param {string | string[] | undefined} site */
      const fetched = (mode, dest, site = 'same-origin') => ({
        ...bff.withoutCsrf,
        Origin: undefined,
        'Sec-Fetch-Site': site,
        'Sec-Fetch-Mode': mode,
        'Sec-Fetch-Dest': dest,
      });
      const image = fetched('no-cors', 'image');
      const link = { ...fetched('navigate', 'document'), 'Sec-Fetch-User': '?1' };
      const sites = ['cross-site', 'same-site', 'none', 'SAME-ORIGIN', '', ['same-origin', 'cross-site']];
      const host = bff.running?.hostOrigin;
      for (const [why, headers] of /** @type {[string, Sent['headers']][]} */ ([
        ...sites.flatMap((site) => [
          [`an image, ${site}`, { ...image, 'Sec-Fetch-Site': site }],
          [`a link or a form, ${site}`, { ...link, 'Sec-Fetch-Site': site }],
        ]),
        ['a page that is not on the list', { ...image, 'Sec-Fetch-Site': 'same-site', Referer: `${EVIL}/` }],
        ['a listed page by way of another site', { ...link, 'Sec-Fetch-Site': 'cross-site', Referer: `${host}/` }],
        ['another origin', { ...image, Origin: EVIL }],
        [
          'no Fetch Metadata',
          { ...image, 'Sec-Fetch-Site': undefined, 'Sec-Fetch-Mode': undefined, 'Sec-Fetch-Dest': undefined },
        ],
        ['no site', { ...image, 'Sec-Fetch-Site': undefined }],
        ['no mode', { ...image, 'Sec-Fetch-Mode': undefined }],
        ['no destination', { ...image, 'Sec-Fetch-Dest': undefined }],
        ...['script', 'style', 'object', 'embed', 'font', 'worker', 'serviceworker', 'empty'].map((dest) => [
          `a ${dest}`,
          fetched('no-cors', dest),
        ]),
        ...['iframe', 'frame', 'embed', 'object', 'fencedframe'].map((dest) => [
          `navigation in ${dest}`,
          fetched('navigate', dest),
        ]),
        ['a script that may read the answer', fetched('cors', 'empty')],
        ['an image that a script may read', fetched('cors', 'image')],
        ['a navigation without its user', { ...link, 'Sec-Fetch-User': '?0' }],
        ['a prefetch', { ...link, 'Sec-Purpose': 'prefetch' }],
      ]))
        await assertForbidden(bff, browser, target, { headers }, why);
      for (const method of ['POST', 'PUT', 'DELETE'])
        await assertForbidden(bff, browser, target, { method, headers: link }, `a form by ${method}`);
      for (const other of [`${prefix}${family}/1`, `${prefix}${bff.profile.api.own}`])
        await assertForbidden(bff, browser, other, { headers: link }, 'a link to what no rule marks');
      // A page of the API must not run with the rights of the BFF's origin.
      bff.upstream.answer = () => ({
        headers: {
          'content-type': 'text/html',
          'content-disposition': 'inline; filename="page.html"',
          'content-security-policy': 'default-src *',
        },
        body: '<script>document.cookie</script>',
      });
      for (const headers of [link, image]) {
        const answer = await browser.call(target, { headers });
        assert.equal(answer.status, 200, answer.text);
        assert.equal(answer.headers['content-disposition'], 'attachment; filename="page.html"');
        assert.match(String(answer.headers['content-security-policy']), /^sandbox; default-src 'none';/);
        assert.equal(answer.headers['x-content-type-options'], 'nosniff');
        assert.match(String(answer.headers['cache-control']), /no-store/);
      }
    },
  ),
];
