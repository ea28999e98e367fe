// A page whose server includes the widget's first state, as a proxy with ESI does: with the cookies of the request.

import { createServer } from 'node:http';

import { listen } from '../support/listen.mjs';

/**
 * Serves the page.
 * @param {string} edge origin of the edge @param {number} port
 */
export async function servePage(edge, port) {
  const policy = [
    "default-src 'none'",
    `script-src ${edge}`,
    `style-src ${edge}`,
    `connect-src ${edge}`,
    "img-src 'self' data:",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ');
  const server = createServer(async ({ headers }, response) => {
    const returnTo = encodeURIComponent(`http://${headers.host}/`);
    const widget = await include(returnTo, headers.cookie);
    response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': policy });
    response.end(`<!doctype html><html lang="en"><head><title>Shop</title><link rel="icon" href="data:,">
      <script type="module" src="${edge}/assets/chat-widget.js"></script></head><body>${widget}</body></html>`);
  });

  /** @param {string} returnTo @param {string} [cookie] */
  async function include(returnTo, cookie) {
    const answer = await fetch(`${edge}/shell/chat-widget?return_to=${returnTo}`, {
      headers: cookie ? { cookie } : {},
    });
    return answer.text();
  }

  await listen(server, port);
  return server;
}
