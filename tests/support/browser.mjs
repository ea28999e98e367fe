// A browser without a screen, aimed at one BFF: it keeps cookies as browsers do and sends the headers that
// browsers send.
//
// Headers given to a request override the browser's own, and undefined ones are left out, `Cookie` included: so a test
// can send what a manipulated browser would.

import { Cookie, CookieJar } from 'tough-cookie';

import { exchange as sendAndRead } from './exchange.mjs';

/** @typedef {import('./exchange.mjs').Answer} Answer */
/** @typedef {import('./exchange.mjs').Sent} Sent */
/**
 * @typedef {{ name: string, value: string, attributes: Map<string, string>, isRemoval: boolean,
 * line: string }} SetCookie
 */
/** @typedef {'same-origin' | 'same-site' | 'cross-site'} Relation */

/**
 * @typedef {object} Settings
 * @property {string} origin of the BFF
 * @property {string} [page] origin of the open page, if it is not the BFF's own: its scripts send requests, its links
 * navigate
 * @property {Record<string, string>} [csrf] headers that a page's script sends to show that it is no other site's form
 * @property {(origin: string, target: string, sent: Sent) => Promise<Answer>} [exchange] sends a request
 */

/** How a request is related to the page or site that caused it, which decides which SameSite cookies travel. */
const SAME_SITE_CONTEXT = /** @type {const} */ ({
  'same-origin': 'strict',
  'same-site': 'strict',
  'cross-site': 'none',
});

export class Browser {
  /**
   * Browsers trust loopback addresses without TLS, and tough-cookie takes `Secure` and `__Host-` cookies there, too.
   */
  #jar = new CookieJar();
  /**
   * The last Set-Cookie line that was accepted for each name: the jar keeps no attribute as it was written.
   * @type {Map<string, string>}
   */
  #lines = new Map();
  /** Everything a page in this browser could have read. @type {Answer[]} */
  answers = [];

  /** @param {Settings} settings */
  constructor(settings) {
    this.settings = settings;
    this.origin = settings.origin;
  }

  /** The cookies that are alive, of all paths, by name. @returns {Map<string, SetCookie>} */
  get cookies() {
    const cookies = this.#jar.getCookiesSync(this.origin, { allPaths: true });
    return new Map(cookies.map(({ key }) => [key, parseSetCookie(this.#lines.get(key) ?? '')]));
  }

  /** The `Cookie` header of a script's request. @returns {string | undefined} */
  get cookieHeader() {
    return this.#cookieHeader(new URL(this.origin), SAME_SITE_CONTEXT[this.#relation]);
  }

  /**
   * What a script of the open page sends beside its cookies.
   * @param {string} [method] @returns {Record<string, string>}
   */
  scriptHeaders(method = 'GET') {
    const { page = this.origin, csrf } = this.settings;
    // Browsers omit Origin only from GET and HEAD requests of the same origin.
    const hasOrigin = page !== this.origin || !['GET', 'HEAD'].includes(method);
    return {
      ...(hasOrigin && { Origin: page }),
      'Sec-Fetch-Site': this.#relation,
      'Sec-Fetch-Mode': 'cors',
      'Sec-Fetch-Dest': 'empty',
      Accept: '*/*',
      ...csrf,
    };
  }

  /**
   * Sends a request as a script of the open page does.
   * @param {string} target as on the request line @param {Sent} [sent]
   */
  call(target, { headers = {}, ...sent } = {}) {
    const own = this.scriptHeaders(sent.method);
    return this.#send(target, { ...sent, headers: { ...own, ...headers } }, SAME_SITE_CONTEXT[this.#relation]);
  }

  /**
   * One step of a top-level navigation: by a link of the open page or, without one, from the address bar. No redirect
   * is followed. @param {string | URL} target at the BFF, as on the request line; or any address @param {Sent} [sent]
   */
  visit(target, { headers = {}, ...sent } = {}) {
    const { page } = this.settings;
    const own = {
      'Sec-Fetch-Site': page === undefined ? 'none' : this.#relation,
      'Sec-Fetch-Mode': 'navigate',
      'Sec-Fetch-Dest': 'document',
      'Sec-Fetch-User': '?1',
      // The widget's links, and browsers by default, send the origin alone across origins.
      Referer: page && `${page}/`,
      Accept: 'text/html,application/xhtml+xml',
    };
    const context = page !== undefined && this.#relation === 'cross-site' ? 'lax' : 'strict';
    return this.#send(target, { ...sent, headers: { ...own, ...headers } }, context);
  }

  /**
   * One step of a navigation that another site began, as a provider does when it sends a browser back: no cookie that
   * is SameSite=Strict is sent. @param {string | URL} target as {@link visit} has it @param {Sent} [sent]
   */
  arrive(target, { headers = {}, ...sent } = {}) {
    const own = {
      'Sec-Fetch-Site': 'cross-site',
      'Sec-Fetch-Mode': 'navigate',
      'Sec-Fetch-Dest': 'document',
      'Sec-Fetch-User': '?1',
      Accept: 'text/html,application/xhtml+xml',
    };
    return this.#send(target, { ...sent, headers: { ...own, ...headers } }, 'lax');
  }

  /** A second browser with the same cookies: another tab, or a thief. @returns {Browser} */
  copy() {
    return this.copyCookiesTo(new Browser(this.settings));
  }

  /** @template {Browser} B @param {B} other @returns {B} */
  copyCookiesTo(other) {
    other.#jar = this.#jar.cloneSync() ?? new CookieJar();
    other.#lines = new Map(this.#lines);
    return other;
  }

  /** How the BFF is related to the open page. @returns {Relation} */
  get #relation() {
    const { page = this.origin } = this.settings;
    const [from, to] = [new URL(page), new URL(this.origin)];
    if (from.origin === to.origin) return 'same-origin';
    return from.protocol === to.protocol && from.hostname === to.hostname ? 'same-site' : 'cross-site';
  }

  /** @param {URL} url @param {'strict' | 'lax' | 'none'} sameSiteContext */
  #cookieHeader(url, sameSiteContext) {
    return this.#jar.getCookieStringSync(url.href, { sameSiteContext }) || undefined;
  }

  /**
   * @param {string | URL} target @param {Sent} sent @param {'strict' | 'lax' | 'none'} context
   * @returns {Promise<Answer>}
   */
  async #send(target, { headers, ...sent }, context) {
    const origin = target instanceof URL ? target.origin : this.origin;
    const line = target instanceof URL ? target.pathname + target.search : target;
    // A target need not be a path, and none leads to the cookies of another host.
    const url = new URL(origin);
    url.pathname = line.startsWith('/') ? (line.split('?')[0] ?? '') : '/';
    const withCookies = { ...sent, headers: { Cookie: this.#cookieHeader(url, context), ...headers } };
    const { exchange = sendAndRead } = this.settings;
    const answer = await exchange(origin, line, withCookies);
    for (const cookie of setCookies(answer)) this.#keep(cookie, url, context);
    this.answers.push(answer);
    return answer;
  }

  /** @param {string} line @param {URL} url @param {'strict' | 'lax' | 'none'} sameSiteContext */
  #keep(line, url, sameSiteContext) {
    const kept = this.#jar.setCookieSync(line, url.href, { sameSiteContext, ignoreError: true });
    if (kept) this.#lines.set(kept.key, line);
  }
}

/** @param {Pick<Answer, 'headers'>} answer @returns {string[]} */
export function setCookies({ headers }) {
  return [headers['set-cookie'] ?? []].flat();
}

/**
 * @param {string} line the value of a Set-Cookie
 * @returns {SetCookie} with its attributes as they are written, by lower-case name
 */
export function parseSetCookie(line) {
  const cookie = Cookie.parse(line);
  if (!cookie) throw new Error(`not a Set-Cookie: ${line}`);
  const [, ...rest] = line.split(';').map((part) => part.trim());
  const attributes = new Map(
    rest.map((part) => [part.split('=')[0]?.toLowerCase() ?? '', part.slice(part.indexOf('=') + 1)]),
  );
  return { name: cookie.key, value: cookie.value, attributes, isRemoval: cookie.TTL() <= 0, line };
}
