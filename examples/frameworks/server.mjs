// Serves a page for each framework, on another origin than the edge.

import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

import { APPS, buildApps } from './build.mjs';

/** @typedef {import('./build.mjs').App} App */

const USAGE = `usage: server.mjs [--port 8080] [--edge http://localhost:8787]

Builds the apps, and serves them at http://localhost:8080/. They embed the chat widget of the edge at --edge, which must
have that origin in HOST_ORIGINS. Once: npm ci, here and in the repository's root.`;

/**
 * A page that contains nothing but the widget needs no more than this.
 * @param {string} edge origin of the edge
 * @param {string} [scripts] further sources of scripts
 * @param {string} [trustedTypes] allowed policies
 */
export function pagePolicy(edge, scripts = '', trustedTypes = "'none'") {
  return [
    "default-src 'none'",
    `script-src ${edge}${scripts}`,
    `connect-src ${edge}`,
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    `trusted-types ${trustedTypes}`,
  ].join('; ');
}

/**
 * @param {string} edge origin of the edge
 * @param {string} app
 */
const page = (edge, app) => `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>${app}</title>
    <script type="module" src="/${app}.js"></script>
  </head>
  <body>
    <div id="app" data-edge="${edge}"></div>
  </body>
</html>
`;

const index = `<!doctype html>
<title>The widget in frameworks</title>
<ul>${Object.keys(APPS)
  .map((app) => `<li><a href="/${app}/">${app}</a></li>`)
  .join('')}</ul>
`;

/**
 * @param {string} edge origin of the edge
 * @param {Map<string, string>} scripts from `buildApps`
 * @returns {import('node:http').Server} not listening yet
 */
export function frameworkServer(edge, scripts) {
  // An origin has no character with a meaning in HTML or in a policy, so it needs no escaping.
  const { origin } = new URL(edge);

  return createServer(({ url }, response) => {
    const [, name = '', ending] = /^\/(\w+)(\/|\.js)$/.exec(url ?? '') ?? [];
    const script = scripts.get(name);
    const app = APPS[/** @type {App} */ (name)];
    response.setHeader('X-Content-Type-Options', 'nosniff');
    if (url === '/') {
      response.writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' }).end(index);
    } else if (!script || !app) {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('Not found\n');
    } else if (ending === '.js') {
      response.writeHead(200, { 'Content-Type': 'text/javascript; charset=utf-8' }).end(script);
    } else {
      const { trustedTypes, evaluates } = app;
      response.writeHead(200, {
        'Content-Type': 'text/html; charset=utf-8',
        'Content-Security-Policy': pagePolicy(origin, ` 'self'${evaluates ? " 'unsafe-eval'" : ''}`, trustedTypes),
        'Referrer-Policy': 'strict-origin-when-cross-origin',
      });
      response.end(page(origin, name));
    }
  });
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '8080' },
      edge: { type: 'string', default: 'http://localhost:8787' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
  } else {
    frameworkServer(values.edge, await buildApps()).listen(Number(values.port), '127.0.0.1', () => {
      console.log(`apps: http://localhost:${values.port}/ (edge: ${values.edge})`);
    });
  }
}
