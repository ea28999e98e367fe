// Serves HTTPS on this machine in front of plain servers of this machine: `--route 8443:8787` passes what comes to port
// 8443 on to port 8787. Bodies are passed on as they come, so streams are live.

import { readFileSync } from 'node:fs';
import { request as send } from 'node:http';
import { createServer } from 'node:https';
import { parseArgs } from 'node:util';

const {
  key = '',
  certificate = '',
  route: routes = [],
} = parseArgs({
  options: { key: { type: 'string' }, certificate: { type: 'string' }, route: { type: 'string', multiple: true } },
}).values;
const tls = { key: readFileSync(key), cert: readFileSync(certificate) };

for (const route of routes) {
  const [from, to] = route.split(':').map(Number);
  const server = createServer(tls, (request, response) => {
    const { method, url: path, rawHeaders: headers } = request;
    const onward = send({ host: '127.0.0.1', port: to, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, answer.rawHeaders);
      response.flushHeaders();
      answer.on('error', () => response.destroy()).pipe(response);
    });
    onward.on('error', () =>
      response.headersSent ? response.destroy() : response.writeHead(502).end('Bad gateway\n'),
    );
    // A browser that has left ends the stream behind, too.
    response.on('close', () => onward.destroy());
    request.pipe(onward);
  });
  // As long-lived as what it stands in front of.
  server.requestTimeout = 0;
  server.listen(from, '127.0.0.1', () => console.log(`https://localhost:${from} in front of ${to}`));
}
