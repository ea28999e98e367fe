// A browser without a screen, aimed at one BFF: keeps cookies as browsers do and sends the headers browsers send.

import { exchange } from './wire.mjs';

/** @typedef {import('./wire.mjs').Answer} Answer */
/** @typedef {import('./wire.mjs').Sent} Sent */
/** @typedef {{ value: string, attributes: Map<string, string>, line: string }} Cookie */

export class Browser {
  /** @type {Map<string, Cookie>} */
  cookies = new Map();

  /** @param {{ origin: string, csrf: Record<string, string>, record: (answer: Answer, sent: Sent) => void }} bff */
  constructor(bff) {
    this.bff = bff;
  }

  /** @returns {string | undefined} */
  get cookieHeader() {
    return [...this.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ') || undefined;
  }

  /** One step of a top-level navigation to the BFF; no redirect is followed. @param {string} target @param {Sent} [sent] */
  visit(target, { headers = {}, ...sent } = {}) {
    const navigation = {
      'Sec-Fetch-Site': 'none',
      'Sec-Fetch-Mode': 'navigate',
      'Sec-Fetch-Dest': 'document',
      'Sec-Fetch-User': '?1',
      Accept: 'text/html,application/xhtml+xml',
      Cookie: this.cookieHeader,
    };
    return this.#send(target, { ...sent, headers: { ...navigation, ...headers } });
  }

  /**
   * The step of a navigation that another site began, as a provider does when it sends a browser back: whatever is
   * SameSite=Strict stays at home. @param {string} target @param {Sent} [sent]
   */
  arrive(target, { headers = {}, ...sent } = {}) {
    const lax = [...this.cookies]
      .filter(([, { attributes }]) => attributes.get('samesite') !== 'Strict')
      .map(([name, { value }]) => `${name}=${value}`);
    return this.visit(target, {
      ...sent,
      headers: { 'Sec-Fetch-Site': 'cross-site', Cookie: lax.join('; ') || undefined, ...headers },
    });
  }

  /** What a script of the BFF's own page sends: with the header against CSRF. @param {string} target @param {Sent} [sent] */
  call(target, { headers = {}, ...sent } = {}) {
    const unsafe = !['GET', 'HEAD'].includes(sent.method ?? 'GET');
    const script = {
      'Sec-Fetch-Site': 'same-origin',
      'Sec-Fetch-Mode': 'cors',
      'Sec-Fetch-Dest': 'empty',
      Accept: '*/*',
      ...(unsafe && { Origin: this.bff.origin }),
      ...this.bff.csrf,
      Cookie: this.cookieHeader,
    };
    return this.#send(target, { ...sent, headers: { ...script, ...headers } });
  }

  /** A second one with the same cookies: another tab, or a thief. */
  copy() {
    const other = new Browser(this.bff);
    other.cookies = new Map(this.cookies);
    return other;
  }

  /** @param {string} target @param {Sent} sent @returns {Promise<Answer>} */
  async #send(target, sent) {
    const answer = await exchange(this.bff.origin, target, sent);
    this.bff.record(answer, sent);
    for (const line of setCookies(answer)) this.#keep(line);
    return answer;
  }

  /** @param {string} line */
  #keep(line) {
    const { name, value, attributes, isRemoval } = parseCookie(line);
    if (isRemoval) this.cookies.delete(name);
    else this.cookies.set(name, { value, attributes, line });
  }
}

/** @param {Answer} answer @returns {string[]} */
export function setCookies({ headers }) {
  return [headers['set-cookie'] ?? []].flat();
}

/** @param {string} line the value of a Set-Cookie */
export function parseCookie(line) {
  const [pair = '', ...rest] = line.split(';').map((part) => part.trim());
  const attributes = new Map(
    rest.map((part) => [part.split('=')[0]?.toLowerCase() ?? '', part.slice(part.indexOf('=') + 1)]),
  );
  const isRemoval =
    Number(attributes.get('max-age') ?? 1) <= 0 || Date.parse(attributes.get('expires') ?? '9999-01-01') < Date.now();
  return { name: pair.slice(0, pair.indexOf('=')), value: pair.slice(pair.indexOf('=') + 1), attributes, isRemoval };
}
