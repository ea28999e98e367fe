// Section F: paths that requests to an API name, and the rules that allow them.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';

import { sendBytes } from '../../support/exchange.mjs';
import { listen } from '../../support/listen.mjs';
import { asUser, isOfFrontServer, raw, requestsDuring } from './proxy-request.mjs';

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../../support/browser.mjs').Browser} Browser */

/**
 * How servers read a path: decoded once to three times, cut off at a query, a fragment or a parameter, with `+` as a
 * space, and with dots resolved.
 * @param {string} path
 */
function readings(path) {
  const decoded = [path];
  for (let times = 0; times < 3; times++) {
    const last = decoded.at(-1) ?? '';
    decoded.push(
      last.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => Buffer.from(escapes.replaceAll('%', ''), 'hex').toString()),
    );
  }
  return decoded
    .slice(1)
    .flatMap((text) => [text, text.replaceAll('+', ' ')])
    .flatMap((text) => [text, ...['?', '#', ';', '\0'].map((mark) => text.split(mark)[0] ?? '')])
    .flatMap((text) => [text, resolved(text)]);
}

/** A path as a file system reads it, with spaces around a name stripped. @param {string} path */
function resolved(path) {
  /** @type {string[]} */
  const names = [];
  for (const name of path.split(/[/\\]/).map((name) => name.trim())) {
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name);
  }
  return `/${names.join('/')}${path.endsWith('/') ? '/' : ''}`;
}

/** @type {import('../case.mjs').Case[]} */
export const cases = [
  asUser('S90', 'spellings of another path: rejected, nothing is forwarded', async (bff, browser) => {
    const { prefix, family, secret, own } = bff.profile.api;
    const dots = [
      '..',
      '%2e%2e',
      '%2E%2E',
      '%252e%252e',
      '.%2e',
      '%2e.',
      '..;',
      '..;a=b',
      '..%00',
      '..%3b',
      '%c0%ae%c0%ae',
      '%e0%80%ae%e0%80%ae',
      '%u002e%u002e',
      '..%20',
      '..%09',
      '.',
      '%2e',
      '...',
      '',
    ];
    const slashes = ['/', '%2f', '%2F', '%252f', '\\', '%5c', '%255c', '%c0%af', '%c1%9c', '//'];
    const below = dots.flatMap((dot) =>
      slashes
        .map((slash) => `${family}/x/${dot}${slash}${dot}${slash}${secret.slice(1)}`)
        .concat(slashes.map((slash) => `${family}${slash}${dot}${slash}..${secret}`)),
    );
    const others = [
      `${family}/%00`,
      `${family}/a%00b`,
      `${family}/%0d%0aX-Evil:1`,
      `${family}/a%3bb`,
      `${family}/a;b`,
      `${family}//a`,
      `${family}/`,
      `${family}/%`,
      `${family}/%zz`,
      `${family}/%f`,
      `${family}/%ff`,
      `${family}/%23`,
      `${family}/%3f`,
      `${family}/%25`,
      `/${own}`,
      `${own}/`,
      `${own}/x`,
      `${own}%20`,
      `${own}%2f`,
      secret,
      `/${secret}`,
    ];
    const { resolvesDots } = bff.profile.frontServer;
    // Unambiguous paths that no rule allows.
    const plain = new Set([`${own}/x`, `${own}/`, `${own}%20`, `${family}/`, secret]);
    for (const path of [...below, ...others]) {
      const requests = await requestsDuring(bff, async () => {
        const answer = path.includes('\\')
          ? await raw(bff, browser, `GET ${prefix}${path} HTTP/1.1`)
          : await browser.call(`${prefix}${path}`);
        const isElsewhere = resolvesDots && new URL(bff.origin + prefix + path).pathname !== prefix + path;
        const statuses = isElsewhere ? [200, 400, 404] : plain.has(path) ? [404] : [400];
        assert.ok(
          statuses.includes(answer.status) || (path.includes('\\') && isOfFrontServer(bff, answer)),
          `${path}: ${answer.status}`,
        );
        assert.ok(answer.status !== 0 || path.includes('\\'), `${path}: no answer`);
      });
      for (const request of requests) {
        const read = new URL(bff.origin + prefix + path).pathname;
        assert.ok(
          resolvesDots && read !== prefix + path && read === prefix + request.path,
          `${path} was sent as ${request.path}`,
        );
        assert.ok(
          request.path === own ||
            (request.path.startsWith(`${family}/`) &&
              /^[A-Za-z0-9/._~-]+$/.test(request.path) &&
              !/\/\.{1,2}(?:\/|$)|\/\//.test(request.path)),
          `${path} was sent as ${request.path}`,
        );
      }
    }
    assert.equal((await browser.call(`${prefix}${family}/a/caf%C3%A9`)).status, 200, 'a plain path is forwarded');
  }),
  asUser(
    'S91',
    'request targets that name another host: rejected, and nothing is sent to that host',
    async (bff, browser) => {
      const { prefix, own, family } = bff.profile.api;
      let connections = 0;
      const otherHost = createServer((socket) => {
        connections++;
        socket.on('error', () => {}).end('HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nreached');
      });
      const port = await listen(otherHost);
      try {
        assert.equal(
          (await sendBytes(`http://127.0.0.1:${port}`, 'GET / HTTP/1.1\r\n\r\n')).text,
          'reached',
          'the other host is up',
        );
        connections = 0;
        for (const evil of [`127.0.0.1:${port}`, `localhost:${port}`]) {
          const targets = [
            `http://${evil}${prefix}${own}`,
            `https://${evil}${prefix}${own}`,
            `http://${evil}/`,
            `HTTP://${evil}/`,
            `http:${evil}${own}`,
            `http:/${evil}${own}`,
            `http://user@${evil}${prefix}${own}`,
            `ws://${evil}/`,
            `file://${evil}/`,
            `//${evil}${prefix}${own}`,
            `///${evil}${own}`,
            `/\\${evil}${own}`,
            `\\\\${evil}${own}`,
            `/@${evil}${own}`,
            `@${evil}${prefix}${own}`,
            evil,
            `${evil}${own}`,
            `${prefix}@${evil}${own}`,
            `${prefix}/@${evil}${own}`,
            `${prefix}:80@${evil}${own}`,
            `${prefix}%40${evil}${own}`,
            `${prefix}.${evil}${own}`,
            `${prefix}:${port}${own}`,
            `${prefix}%3a${port}${own}`,
            `${prefix}/:${port}${own}`,
            `${prefix}//${evil}${own}`,
            `${prefix}///${evil}${own}`,
            `${prefix}/\\${evil}${own}`,
            `${prefix}/\\\\${evil}${own}`,
            `${prefix}/%2f${evil}${own}`,
            `${prefix}/http://${evil}${own}`,
            `${prefix}/http:%2f%2f${evil}${own}`,
            `${prefix}/http:${evil}${own}`,
            `${prefix}${family}//${evil}/x`,
            `/bff/http:%2f%2f${evil}${own}`,
            `/bff/${evil}${own}`,
            `/bff/..${own}`,
            `/bff//${evil}${own}`,
            `/bff/@${evil}${own}`,
            '*',
          ];
          for (const target of targets) {
            // A server must accept the absolute form (RFC 9112 §3.2.2), and treat it as its path alone. Some front
            // servers take any target without a leading slash for the absolute form of `/`.
            const [, alone = target.startsWith('/') ? undefined : '/'] =
              target.match(/^[a-z]+:\/\/[^/]+(\/.*)$/i) ?? [];
            const own = alone === undefined ? undefined : await raw(bff, browser, `GET ${alone} HTTP/1.1`);
            const requests = await requestsDuring(bff, async () => {
              const answer = await raw(bff, browser, `GET ${target} HTTP/1.1`);
              assert.ok(
                answer.status === own?.status ||
                  (answer.status >= 400 && answer.status < 500) ||
                  isOfFrontServer(bff, answer),
                `${target}: ${answer.status} ${answer.text.slice(0, 200)}`,
              );
            });
            const destinations = requests.map(({ headers, path }) => `http://${headers.host}${prefix}${path}`);
            assert.deepEqual(
              destinations.filter((destination) => destination !== `${bff.upstream.origin}${alone}`),
              [],
              target,
            );
          }
          const connect = await raw(bff, browser, `CONNECT ${evil} HTTP/1.1`);
          assert.ok(
            (connect.status >= 400 && connect.status < 500) || isOfFrontServer(bff, connect),
            `CONNECT ${connect.status}`,
          );
          // Plain paths are forwarded to the configured host, whatever headers and query name.
          const forwarded = await requestsDuring(bff, async () => {
            for (const path of [`${family}/@${evil}`, `${family}/x:${port}`, own])
              await browser.call(`${prefix}${path}?host=${evil}&url=http://${evil}/`, {
                headers: {
                  'X-Forwarded-Host': evil,
                  'X-Host': evil,
                  Forwarded: `host=${evil}`,
                  'X-Original-URL': `http://${evil}/`,
                },
              });
            await browser.call(`${prefix}${own}`, { headers: { Host: evil } });
          });
          assert.ok(
            forwarded.some(({ path }) => path === own),
            'a plain path is forwarded',
          );
          for (const { headers, path } of forwarded)
            assert.equal(headers.host, new URL(bff.upstream.origin).host, path);
        }
        assert.equal(connections, 0, 'the other host got a request');
      } finally {
        otherHost.close();
      }
    },
  ),
  asUser(
    'S161',
    'encoded spellings: what passes is sent byte for byte, and no decoder reads it as a path that no rule allows',
    async (bff, browser) => {
      const { prefix, family, own, secret } = bff.profile.api;
      const odd = [
        '%23',
        '%3f',
        '%2b',
        '%26',
        '%3d',
        '%3a',
        '%40',
        '%20',
        '%25',
        '%2f',
        '%5c',
        '%2e',
        '%3b',
        '%00',
        '%22',
        '%3c',
        '%3e',
      ];
      const names = odd.flatMap((escape) => [
        escape,
        `..${escape}`,
        `.${escape}`,
        `${escape}..`,
        `a${escape}`,
        `a${escape}b`,
        `a${escape}2fb`,
        `a${escape}.b`,
        `a%25${escape.slice(1)}b`,
        `%2e%2e${escape}`,
        `..%20${escape}x`,
      ]);
      const paths = [...names, '%c0%af', '%c0%ae%c0%ae', '%ef%bc%8f', '%ef%bc%8e%ef%bc%8e', '..+', '%2b%2b', '..;', '']
        .flatMap((name) => [
          `${family}/${name}`,
          `${family}/${name}/`,
          `${family}/x/${name}/..${secret}`,
          `${family}/${name}${secret}`,
          `${own}${name}`,
          `${family}${name}/x`,
        ])
        // A front server that resolves dots does so before the BFF sees the path.
        .filter((path) => new URL(bff.origin + prefix + path).pathname === prefix + path);
      for (const path of paths) {
        const requests = await requestsDuring(bff, async () => {
          const { status } = await browser.call(`${prefix}${path}`);
          assert.ok([200, 400, 404].includes(status), `${path}: ${status}`);
        });
        for (const request of requests) {
          assert.equal(request.path, path, 'byte for byte');
          for (const reading of readings(path))
            assert.ok(
              reading === own || (reading.startsWith(`${family}/`) && reading.length > family.length + 1),
              `${path} may be read as ${reading}`,
            );
        }
      }
      const named = ['हिन्दी', 'John’s – 100 €', '“日本・語” ❤️'].map(encodeURIComponent);
      for (const name of [
        'x%23EXT%23%40y.example',
        'a%2Bb',
        'a%26b%3Dc%3Ad',
        'a&b',
        '50%25off',
        '7/',
        'a%20b/',
        ...named,
      ])
        assert.deepEqual(
          (await requestsDuring(bff, () => browser.call(`${prefix}${family}/${name}`))).map(({ path }) => path),
          [`${family}/${name}`],
          'reserved characters and a last slash pass',
        );
    },
  ),
  asUser('S92', 'query and fragment do not choose the route', async (bff, browser) => {
    const { prefix, own, family, secret } = bff.profile.api;
    for (const target of [
      `${prefix}${secret}?${own}`,
      `${prefix}${secret}?x=${prefix}${own}`,
      `${prefix}${secret}?/../..${own}`,
      `${prefix}${secret}#${own}`,
      `${prefix}${secret}%23${own}`,
      `${prefix}${secret}%3f${family}/x`,
      `/nowhere?path=${prefix}${own}`,
      `${bff.path.home}?${prefix}${own}`,
    ]) {
      const requests = await requestsDuring(bff, async () => {
        const answer = target.includes('#')
          ? await raw(bff, browser, `GET ${target} HTTP/1.1`)
          : await browser.call(target);
        assert.ok([0, 200, 400, 403, 404].includes(answer.status), `${target}: ${answer.status}`);
      });
      assert.deepEqual(requests, [], target);
    }
    const [request] = await requestsDuring(bff, () => browser.call(`${prefix}${own}?next=${secret}&a=%2e%2e%2f`));
    assert.equal(request?.path, own);
    assert.equal(request?.query.get('next'), secret, 'the query is forwarded unchanged');
  }),
  asUser('S93', 'prefixes and case of paths are exact', async (bff, browser) => {
    const { prefix, own, family } = bff.profile.api;
    for (const path of [
      `${prefix}x${own}`,
      `${prefix.toUpperCase()}${own}`,
      `/BFF${prefix.slice(4)}${own}`,
      `${prefix}${own.toUpperCase()}`,
      `${prefix}${own}x`,
      `${prefix}${family}`,
      `${prefix}${family}x/1`,
      `${prefix}${family.slice(0, -1)}/1`,
      `${prefix}`,
      `${prefix}/`,
      `/bff${own}`,
      `${prefix}%67raph`,
    ]) {
      const requests = await requestsDuring(bff, async () => {
        const answer = await browser.call(path);
        assert.ok([400, 404].includes(answer.status), `${path}: ${answer.status}`);
      });
      assert.deepEqual(requests, [], path);
    }
  }),
];
