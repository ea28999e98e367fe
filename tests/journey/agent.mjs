// A user agent without a screen: cookies kept as a browser keeps them, headers as a browser sends them.
//
// Built on node:http and not on fetch, which overwrites some of the headers that are to be tested.

import { request } from 'node:http';

import { record, recordAddress } from './record.mjs';

/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string} text
 * @property {string} url
 */
/** @typedef {{ value: string, attributes: Map<string, string> }} Cookie */
/** @typedef {{ method?: string, headers?: Record<string, string | string[] | undefined>, body?: string | Buffer }} Sent */

/**
 * Sends one request on a connection of its own; undefined headers are left out. What an edge answers is recorded.
 * @param {string | URL} url @param {Sent} sent @param {string} [edge] its origin, if another than that of the address may be asked
 */
export function open(url, { method = 'GET', headers = {}, body } = {}, edge = new URL(url).origin) {
  const present = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
  if (body !== undefined && !('Transfer-Encoding' in present))
    present['Content-Length'] = String(Buffer.byteLength(body));
  return /** @type {Promise<import('node:http').IncomingMessage>} */ (
    new Promise((resolve, reject) => {
      const target = new URL(url);
      const outgoing = request(target, { method, headers: present, agent: false }, (incoming) => {
        if (target.origin === edge) record(incoming, target);
        resolve(incoming);
      });
      if (target.origin === edge) recordAddress(target);
      outgoing.on('error', reject);
      outgoing.end(body);
    })
  );
}

/** Asks an edge as somebody without a browser does: another server. @param {string | URL} url @param {Sent} [sent] @param {string} [edge] @returns {Promise<Answer>} */
export async function ask(url, sent = {}, edge = undefined) {
  const incoming = await open(url, sent, edge);
  let text = '';
  for await (const chunk of incoming.setEncoding('utf8')) text += chunk;
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, text, url: String(url) };
}

export class Agent {
  /** @type {Map<string, Cookie>} */
  cookies = new Map();
  /** @type {Answer[]} everything a page of this agent could have read */
  answers = [];

  /** @param {{ edgeOrigin: string, hostOrigin: string }} stack */
  constructor({ edgeOrigin, hostOrigin }) {
    this.edge = edgeOrigin;
    this.host = hostOrigin;
  }

  /** What a script of the host page would send. */
  get pageHeaders() {
    return {
      Origin: this.host,
      'Sec-Fetch-Site': 'same-site',
      'Sec-Fetch-Mode': 'cors',
      'Sec-Fetch-Dest': 'empty',
      'X-CSRF': '1',
    };
  }

  /** @returns {string | undefined} */
  get cookieHeader() {
    return [...this.cookies].map(([name, { value }]) => `${name}=${value}`).join('; ') || undefined;
  }

  /** Sends a request as the host page's script would; `headers` override, undefined removes. @param {string} path @param {Sent} [sent] */
  async call(path, { headers = {}, ...sent } = {}) {
    return this.#send(new URL(path, this.edge), {
      ...sent,
      headers: { ...this.pageHeaders, Cookie: this.cookieHeader, ...headers },
    });
  }

  /** One step of a top-level navigation: no redirect is followed. @param {string | URL} url @param {Sent} [sent] */
  async visit(url, { headers = {}, ...sent } = {}) {
    const navigation = {
      'Sec-Fetch-Site': 'same-site',
      'Sec-Fetch-Mode': 'navigate',
      'Sec-Fetch-Dest': 'document',
      'Sec-Fetch-User': '?1',
      // As the widget's links and browsers' own default send it.
      Referer: `${this.host}/`,
      Accept: 'text/html',
      Cookie: this.cookieHeader,
    };
    return this.#send(new URL(url, this.edge), { ...sent, headers: { ...navigation, ...headers } });
  }

  /** @param {string} type @param {unknown} data @param {Record<string, string>} [headers] */
  async post(type, data, headers = {}) {
    return this.call('/events/chat', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify({ type, data }),
    });
  }

  async session() {
    return JSON.parse((await this.call('/auth/session')).text);
  }

  /** A second agent with the same cookies: another tab, or a thief. */
  copy() {
    const other = new Agent({ edgeOrigin: this.edge, hostOrigin: this.host });
    other.cookies = new Map(this.cookies);
    return other;
  }

  /** @param {URL} url @param {Sent} sent @returns {Promise<Answer>} */
  async #send(url, sent) {
    const answer = await ask(url, sent, this.edge);
    this.#keep(answer.headers['set-cookie'] ?? []);
    this.answers.push(answer);
    return answer;
  }

  /** @param {string[]} lines */
  #keep(lines) {
    for (const line of lines) {
      const [pair = '', ...rest] = line.split(';').map((part) => part.trim());
      const name = pair.slice(0, pair.indexOf('='));
      const attributes = new Map(
        rest.map((part) => [part.split('=')[0]?.toLowerCase() ?? '', part.split('=')[1] ?? '']),
      );
      const gone =
        Number(attributes.get('max-age') ?? 1) <= 0 ||
        Date.parse(attributes.get('expires') ?? '9999-01-01') < Date.now();
      if (gone) this.cookies.delete(name);
      else this.cookies.set(name, { value: pair.slice(pair.indexOf('=') + 1), attributes });
    }
  }
}
