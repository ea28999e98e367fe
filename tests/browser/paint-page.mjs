// The pages that paint.mjs measures: the demo host page with the widget, the same with the widget's first state in it,
// as a server includes it, and with Deep Chat in its place. Scripts are compressed and cached for a year, as from a
// content delivery network.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';

import { ROOT } from '../../scripts/stack/path.mjs';

const HOST = join(ROOT, 'examples/host');
const DIST = join(ROOT, 'widget/dist');
const WIDGET = '/assets/chat-widget.js';
/** Where the chat is in the page. */
const CHAT = /<[^>]+ id="chat"[^>]*>/;
const compress = promisify(gzip);

/** @typedef {{ type: string, path?: string, text?: string, isCached?: boolean }} File */

/**
 * @param {number} port
 * @param {string} edge its origin
 * @param {string} [deepChat] path of deepChat.bundle.js
 */
export async function servePages(port, edge, deepChat) {
  const html = await readFile(join(HOST, 'index.html'), 'utf8');
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://host');
    const isWithState = pathname === '/first-state';
    const file = isWithState
      ? await withFirstState(html, edge, request.headers)
      : fileOf(pathname, html, edge, deepChat);
    const content = file && (file.text ?? (await readFile(file.path ?? '').catch(() => undefined)));
    if (content === undefined) return void response.writeHead(404).end();
    response.writeHead(200, {
      'Content-Type': file?.type,
      'Content-Encoding': 'gzip',
      'Cache-Control': file?.isCached ? 'public, max-age=31536000, immutable' : 'no-cache',
    });
    response.end(await compress(content, { level: 9 }));
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', () => resolve(undefined)));
  return {
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/**
 * @param {string} path @param {string} html @param {string} edge @param {string} [deepChat]
 * @returns {File | undefined}
 */
function fileOf(path, html, edge, deepChat) {
  const script = { type: 'text/javascript', isCached: true };
  if (path.startsWith('/assets/')) return { ...script, path: join(DIST, basename(path)) };
  switch (path) {
    case '/':
      return page(html, WIDGET, '/start.js');
    case '/start.js':
      return {
        ...script,
        text: `import { mount } from '/assets/chat-widget.js'; mount(document.querySelector('#chat'), { edge: '${edge}' });`,
      };
    case '/deep-chat':
      return page(html, '/deepChat.bundle.js', '/start-deep-chat.js');
    case '/deepChat.bundle.js':
      return deepChat ? { ...script, path: deepChat } : undefined;
    case '/start-deep-chat.js':
      return {
        ...script,
        text: `import '/deepChat.bundle.js'; const chat = document.createElement('deep-chat'); chat.demo = true; document.querySelector('#chat').append(chat);`,
      };
    case '/host.css':
      return { type: 'text/css', path: join(HOST, 'host.css'), isCached: true };
    default:
      return undefined;
  }
}

/**
 * The host page with the first state of the sender of a request.
 * @param {string} html @param {string} edge @param {import('node:http').IncomingHttpHeaders} headers
 */
async function withFirstState(html, edge, { host, cookie }) {
  const address = encodeURIComponent(`http://${host}/first-state`);
  const answer = await fetch(`${edge}/shell/chat-widget?return_to=${address}`, { headers: cookie ? { cookie } : {} });
  const state = await answer.text();
  return page(
    html.replace(CHAT, (start) => start + state),
    WIDGET,
    WIDGET,
  );
}

/**
 * The host page with another script.
 * @param {string} html @param {string} module that is loaded ahead @param {string} start
 * @returns {File}
 */
function page(html, module, start) {
  const text = html.replace('{{edge}}/assets/chat-widget.js', module).replace('/host.js', start);
  return { type: 'text/html; charset=utf-8', text };
}
