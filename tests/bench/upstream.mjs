// The API behind the proxies that are measured: `GET /bytes/N` answers N bytes, `POST /bytes` reads a body.
//
//     node upstream.mjs PORT

import { createServer } from 'node:http';

const KNOWN = new Map([1024, 64 * 1024, 1024 * 1024].map((size) => [`/bytes/${size}`, Buffer.alloc(size, 'x')]));

createServer((request, response) => {
  if (request.method === 'POST') {
    request.resume().on('end', () => void response.writeHead(200, { 'Content-Length': 2 }).end('ok'));
    return;
  }
  const body = KNOWN.get(request.url ?? '');
  const headers = { 'Content-Type': 'application/octet-stream', 'Content-Length': body?.length ?? 0 };
  response.writeHead(body ? 200 : 404, headers).end(body);
}).listen(Number(process.argv[2]), '127.0.0.1');
