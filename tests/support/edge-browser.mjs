// The browser of the HTTP journeys: aimed at a stack's edge, on its host page, with every answer recorded and
// compared with docs/openapi.yaml.

import { Browser } from './browser.mjs';
import { exchangeDescribed } from './openapi.mjs';

/** @typedef {{ edgeOrigin: string, hostOrigin: string }} Origins */

export class EdgeBrowser extends Browser {
  /** @param {Origins} stack */
  constructor({ edgeOrigin, hostOrigin }) {
    super({
      origin: edgeOrigin,
      page: hostOrigin,
      csrf: { 'X-CSRF': '1' },
      exchange: (origin, target, sent) => exchangeDescribed(origin, target, sent, edgeOrigin),
    });
    this.origins = { edgeOrigin, hostOrigin };
  }

  /**
   * Posts an event to the chat channel.
   * @param {string} type @param {unknown} data @param {Record<string, string>} [headers]
   */
  postEvent(type, data, headers = {}) {
    return this.call('/events/chat', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify({ type, data }),
    });
  }

  async session() {
    return JSON.parse((await this.call('/auth/session')).text);
  }

  /** @override */
  copy() {
    return this.copyCookiesTo(new EdgeBrowser(this.origins));
  }
}
