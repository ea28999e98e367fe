// Return addresses that would lead to another site, generated class by class.

const EVIL = ['evil.example', 'evil.example/x', '//evil.example'];
const BLANKS = [
  '%09',
  '%0a',
  '%0d',
  '%0b',
  '%0c',
  '%20',
  '%00',
  '%7f',
  '%c2%a0',
  '%e2%80%8b',
  '%e3%80%80',
  '%ef%bb%bf',
];
const SLASHES = ['/', '\\', '%2f', '%5c', '%2F', '%5C'];

/** Decodes controls and spaces. @param {string[]} texts */
const decoded = (texts) =>
  texts.map((text) =>
    text.replace(/%(?:0[09abcd]|20|7f)/g, (escape) => String.fromCharCode(Number.parseInt(escape.slice(1), 16))),
  );

/**
 * All sequences of separators of this length.
 * @param {string[]} separators @param {number} length @returns {string[]}
 */
const runs = (separators, length) =>
  length === 0 ? [''] : separators.flatMap((first) => runs(separators, length - 1).map((rest) => first + rest));

/**
 * By case; each entry is a value of the return parameter before it is encoded for the query.
 * @param {string} origin of the BFF @param {string} host an origin that it may return to
 * @returns {Record<string, string[]>}
 */
export function corpus(origin, host) {
  const own = new URL(origin).host;
  const friend = new URL(host).host;
  return {
    S28: [
      ...[2, 3, 4]
        .flatMap((length) => runs(['/', '\\'], length))
        .flatMap((slashes) => EVIL.slice(0, 1).map((evil) => slashes + evil)),
      ...['/.', '/..', '/./', '/../', '/.;', '/..;/', '/x/..', '/x/../'].flatMap((dots) =>
        ['/', '//', '\\', '\\\\', '/\\'].map((slashes) => `${dots}${slashes}evil.example`),
      ),
      ...[
        '',
        ' ',
        '\\',
        '\\\\',
        'evil.example',
        './evil.example',
        '../evil.example',
        '.',
        '..',
        '/.',
        '/..',
        '/...//evil.example',
        '~//evil.example',
      ],
    ],
    S29: [
      ...BLANKS.flatMap((blank) => [
        `${blank}//evil.example`,
        `/${blank}/evil.example`,
        `//${blank}evil.example`,
        `${blank}https://evil.example`,
        `/${blank}\\evil.example`,
        `java${blank}script:alert(1)`,
      ]),
      ...decoded(BLANKS.slice(0, 8)).flatMap((blank) => [
        `${blank}//evil.example`,
        `/${blank}/evil.example`,
        `/${blank}\\evil.example`,
        `${blank}https://evil.example`,
        `${blank}javascript:alert(1)`,
        `ht${blank}tps://evil.example`,
      ]),
    ],
    S30: [
      ...runs(SLASHES, 2)
        .filter((slashes) => slashes.includes('%'))
        .flatMap((slashes) => [`${slashes}evil.example`, `/${slashes}evil.example`]),
      ...[
        '%252f',
        '%255c',
        '%25252f',
        '%u002f',
        '%u2215',
        '%c0%af',
        '%e0%80%af',
        '%f0%80%80%af',
        '%c1%9c',
        '%ef%bc%8f',
        '%2',
        '%',
        '%zz',
        '%2e%2e%2f',
        '%252e%252e%252f',
        '.%2e/',
        '%2e.%2f',
      ].flatMap((escape) => [`/${escape}evil.example`, `${escape}${escape}evil.example`, `/${escape}/evil.example`]),
    ],
    S31: [
      ...[
        'https:',
        'http:',
        'HTTPS:',
        'hTTp:',
        'ftp:',
        'ws:',
        'blob:https:',
        'filesystem:https:',
        'view-source:https:',
        'feed:https:',
        'jar:https:',
      ].flatMap((scheme) =>
        ['', '/', '//', '///', '////', '\\', '\\\\', '/\\', '\\/'].map((slashes) => `${scheme}${slashes}evil.example`),
      ),
      ...[
        'javascript:',
        'JaVaScRiPt:',
        'vbscript:',
        'data:text/html,',
        'data:text/html;base64,',
        'mailto:',
        'tel:',
        'file:///',
        'intent://',
        'about:',
        'chrome:',
        'x:',
        'urn:',
      ].flatMap((scheme) => [
        `${scheme}alert(1)`,
        `${scheme}//%0aalert(1)`,
        ` ${scheme}alert(1)`,
        `/${scheme}//evil.example`.replace('/', ''),
      ]),
      ':',
      '://',
      '://evil.example',
      ':evil.example',
      'https',
      'https//evil.example',
    ],
    S32: [
      ...[own, friend].flatMap((good) => [
        `https://${good}@evil.example`,
        `http://${good}@evil.example/`,
        `http://${good}:80@evil.example`,
        `http://${good}%40evil.example`,
        `http://${good}.evil.example`,
        `http://evil.example/${good}`,
        `http://evil.example?${good}`,
        `http://evil.example#${good}`,
        `http://evil.example\\@${good}`,
        `http://${good}\\@evil.example`,
        `http://${good}\\.evil.example`,
        `http://${good}%2eevil.example`,
        `http://user@${good}/`,
        `http://user:pass@${good}/`,
        `http://:@${good}/`,
        `http://@${good}/`,
        `//${good}@evil.example`,
        `//${good}.evil.example`,
        `//${good}`,
        `//${good}/x`,
        `http://${good.replace('localhost', 'localhost.')}`,
        `http://${good.replace('localhost', 'xlocalhost')}`,
        `http://${good.replace('localhost', 'localhostx')}`,
        `http://[::ffff:${good}]`,
        `https://${good}`,
        `${good}`,
        `${good}/x`,
        `http:${good}`,
        `http:/${good}`,
        `http:\\\\${good}`,
        `HTTP://${good}/`,
        `http://${good.toUpperCase()}/`,
      ]),
      ...['127.0.0.1', '0x7f000001', '2130706433', '0177.0.0.1', '[::1]', '127.1'].flatMap((address) => [
        `http://${address}`,
        `http://${address}:${new URL(origin).port}/`,
        `//${address}`,
      ]),
    ],
    S33: [
      ...['／', '＼', '⁄', '∕', '⧸', '╱', '⼃', '〳'].flatMap((slash) => [
        `${slash}${slash}evil.example`,
        `/${slash}evil.example`,
        `${slash}/evil.example`,
      ]),
      ...['evil。example', 'ⓔⓥⓘⓛ.example', 'ｅｖｉｌ.example', 'evil．example', 'еvil.example', '℡.example'].flatMap(
        (name) => [`//${name}`, `https://${name}`, `/\\${name}`],
      ),
      ...['＠', '﹫', '：', '﹕', '？', '＃', '﹟'].flatMap((mark) => [
        `http://${own}${mark}evil.example`,
        `/${mark}evil.example`,
        `${host}${mark}evil.example`,
      ]),
      '/\u202e//evil.example',
      '/\u2066evil.example',
      '/\ud800',
      '//evil.example\u3002',
      '\ufeff//evil.example',
    ],
    S34: [
      ...[
        '\r\n',
        '\n',
        '\r',
        '%0d%0a',
        '%0a',
        '%0d',
        '%250d%250a',
        '%e5%98%8a%e5%98%8d',
        '\u560a',
        '\u2028',
        '\u0085',
        '%c4%8d%c4%8a',
      ].flatMap((end) => [
        `/${end}Set-Cookie: evil=1`,
        `/x${end}${end}<script>alert(1)</script>`,
        `/${end}Location: https://evil.example`,
        `${end}//evil.example`,
        `${host}/${end}X-Evil: 1`,
      ]),
    ],
    S35: [
      ...['#', '%23', '?', '%3f', ';', '&', ','].flatMap((mark) => [
        `${mark}//evil.example`,
        `/${mark}//evil.example`.replace('/?', '/??'),
        `${mark}@evil.example`,
        `http://evil.example${mark}@${own}`,
        `http://${friend}${mark}@evil.example`
          .replace(`${friend}?`, `${friend}%3f`)
          .replace(`${friend}#`, `${friend}%23`),
      ]),
      ...[
        ':80',
        ':',
        ':0',
        ':99999',
        ':8080@evil.example',
        ':@evil.example',
        ':evil',
        ':80:80',
        ':-1',
        ':+80',
        ':0x50',
      ].flatMap((port) => [`http://localhost${port}`, `${origin}${port}`, `${host}${port}`]),
    ],
  };
}
