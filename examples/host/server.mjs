// Serves the demo host page, on another origin than the edge. Its content security policy is as strict as one can be:
// besides the page's own files, it allows the edge only.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { importMapHashes, wayFile } from './ways/page.mjs';

const USAGE = `usage: server.mjs [--address 127.0.0.1] [--port 8080] [--edge http://localhost:8787]

Serves the demo page that embeds the chat widget of the edge at --edge, at /live a page that uses only its client, and at
/ways/ a page for each way to embed the widget.`;

const FILES = new Map([
  ['/', { name: 'index.html', type: 'text/html; charset=utf-8' }],
  ['/live', { name: 'live.html', type: 'text/html; charset=utf-8' }],
  ['/live.js', { name: 'live.js', type: 'text/javascript; charset=utf-8' }],
  ['/host.css', { name: 'host.css', type: 'text/css; charset=utf-8' }],
  ['/host.js', { name: 'host.js', type: 'text/javascript; charset=utf-8' }],
]);
const FORMIO = '@formio/js/dist';
/** The page that renders forms by the Form.io library, and that library. @type {typeof FILES} */
const FORMIO_FILES = new Map([
  ['/formio/', { name: 'formio/index.html', type: 'text/html; charset=utf-8' }],
  ['/formio/formio.js', { name: 'formio/formio.js', type: 'text/javascript; charset=utf-8' }],
  ['/formio/formio.full.min.js', { name: `${FORMIO}/formio.full.min.js`, type: 'text/javascript; charset=utf-8' }],
  ['/formio/formio.full.min.css', { name: `${FORMIO}/formio.full.min.css`, type: 'text/css; charset=utf-8' }],
  ['/formio/bootstrap.min.css', { name: 'bootstrap/dist/css/bootstrap.min.css', type: 'text/css; charset=utf-8' }],
]);
const folder = dirname(fileURLToPath(import.meta.url));

/**
 * @param {string} edge origin of the edge
 * @returns {import('node:http').Server} not listening yet
 */
export function hostServer(edge) {
  const { origin, protocol } = new URL(edge);
  // An origin has no character with a meaning in HTML or in a policy, so it needs no escaping.
  if (!/^https?:$/.test(protocol)) throw new TypeError(`--edge must be an http(s) origin, not ${edge}`);
  const policy = (/** @type {string[]} */ hashes) =>
    [
      "default-src 'none'",
      ["script-src 'self'", origin, ...hashes].join(' '),
      "style-src 'self'",
      "img-src 'self' data:",
      `connect-src ${origin}`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
      "require-trusted-types-for 'script'",
      "trusted-types 'none'",
    ].join('; ');
  // The Form.io library sets HTML and inline styles.
  const formioPolicy = [
    "default-src 'none'",
    `script-src 'self' ${origin}`,
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data:",
    "font-src 'self' data:",
    `connect-src ${origin}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');

  return createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://host');
    const file = FILES.get(pathname) ?? FORMIO_FILES.get(pathname) ?? (await wayFile(pathname));
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (!file || (request.method !== 'GET' && request.method !== 'HEAD')) {
      response
        .writeHead(file ? 405 : 404, { 'Content-Type': 'text/plain' })
        .end(file ? 'Method not allowed\n' : 'Not found\n');
      return;
    }
    const isPackaged = /^(@formio|bootstrap)\//.test(file.name);
    const path = isPackaged ? fileURLToPath(import.meta.resolve(file.name)) : resolve(folder, file.name);
    const content = (await readFile(path, 'utf8')).replaceAll('{{edge}}', origin);
    response.writeHead(200, {
      'Content-Type': file.type,
      'Content-Security-Policy': FORMIO_FILES.has(pathname) ? formioPolicy : policy(importMapHashes(content)),
      'Referrer-Policy': 'strict-origin-when-cross-origin',
      'Cache-Control': 'no-cache',
    });
    response.end(content);
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      address: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '8080' },
      edge: { type: 'string', default: 'http://localhost:8787' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
  } else {
    hostServer(values.edge).listen(Number(values.port), values.address, () => {
      console.log(`host page: http://localhost:${values.port} (edge: ${values.edge})`);
    });
  }
}
