// A stand-in for the edge, for the widget's own tests only: the HTTP surface the widget uses, held in memory, with
// switches to make it fail. What the real edge does is tested against the real edge.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';

const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html; charset=utf-8' };
const ADA = { id: 'github:1', name: 'Ada Lovelace' };
const PROVIDERS = [
  { id: 'entra', name: 'Microsoft' },
  { id: 'github', name: 'GitHub' },
];

/** @typedef {import('node:http').ServerResponse} Response */
/** @typedef {{ id: string, name: string }} User */

export class StubEdge {
  /** Whose session the browser's cookie is. @type {User | null} */
  user = null;
  /** Answers to questions for the session wait for this. @type {Promise<void> | undefined} */
  sessionGate;
  /** Answers given to the next questions for the session instead of 200. @type {number[]} */
  sessionFailures = [];
  /** @type {{ id: string, frame: string }[]} */
  history = [];
  /** @type {Set<Response>} */
  streams = new Set();
  /** @type {{ key: string, text: string, user: string }[]} `user` is who took it for theirs: the header */
  posts = [];
  /** Answers given to the next POSTs instead of 202. @type {{ status: number, headers?: Record<string, string>, title?: string }[]} */
  failures = [];
  /** Answers given to the next streams instead of 200. @type {number[]} */
  streamFailures = [];
  /** Last-Event-ID of each stream request, in order. @type {(string | undefined)[]} */
  resumes = [];
  echoes = true;
  /** Whether the provider's session can be ended, too. */
  endsAtProvider = false;
  /** Where browsers that were there went on to. @type {(string | null)[]} */
  departures = [];
  /** Whether a sign-in is handed to the page, by a code. */
  handsOver = false;
  /** Whether the browser keeps no cookie of the edge under the page. */
  isBlocked = false;
  /** Challenges of codes that were not used. @type {Map<string, string>} */
  codes = new Map();
  /** Uses of a code, and whether they worked. @type {boolean[]} */
  uses = [];
  /** Pages of another site, by path. @type {Map<string, { policy: string, html: string }>} */
  pages = new Map();
  #offset = 0;
  #accepted = new Map();
  #server = createServer((request, response) => void this.#answer(request, response));

  /** @param {string} dist folder of the built widget */
  constructor(dist) {
    this.dist = dist;
  }

  /** @returns {Promise<string>} its origin */
  async listen() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve(undefined)));
    const { port } = /** @type {import('node:net').AddressInfo} */ (this.#server.address());
    return `http://localhost:${port}`;
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  reset() {
    this.drop();
    Object.assign(this, {
      user: null,
      history: [],
      posts: [],
      failures: [],
      streamFailures: [],
      resumes: [],
      echoes: true,
    });
    Object.assign(this, { sessionGate: undefined, sessionFailures: [], endsAtProvider: false, departures: [] });
    Object.assign(this, { handsOver: false, isBlocked: false, codes: new Map(), uses: [] });
    this.#accepted.clear();
  }

  /**
   * @param {string} type
   * @param {unknown} data
   * @param {string} [id]
   */
  publish(type, data, id = `event-${this.#offset}`) {
    const cursor = `v1.1.0.${(this.#offset += 1)}`;
    const event = JSON.stringify({ id, type, time: new Date().toISOString(), data });
    const record = { id: cursor, frame: `id: ${cursor}\ndata: ${event}\n\n` };
    this.history.push(record);
    this.write(record.frame);
    return record;
  }

  /** @param {string} frame */
  write(frame) {
    for (const stream of this.streams) stream.write(frame);
  }

  /**
   * Somebody signs in from another window of the browser: their session takes the place of the one before.
   * @param {User} user
   */
  replaceSession(user) {
    this.user = user;
    this.history = [];
    this.write('event: end\ndata: {"reason":"revoked"}\n\n');
    for (const stream of this.streams) stream.end();
    this.streams.clear();
  }

  /** Cuts every stream without a word. */
  drop() {
    for (const stream of this.streams) stream.destroy();
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {Response} response
   */
  async #answer(request, response) {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://stub');
    const { origin } = request.headers;
    if (origin) {
      response.setHeader('Access-Control-Allow-Origin', origin);
      response.setHeader('Access-Control-Allow-Credentials', 'true');
      response.setHeader('Access-Control-Expose-Headers', 'Retry-After');
    }
    if (request.method === 'OPTIONS') {
      response.setHeader('Access-Control-Allow-Headers', 'X-CSRF, Content-Type, Idempotency-Key, X-Causeway-User');
      response.setHeader('Access-Control-Allow-Methods', 'GET, POST');
      response.writeHead(204).end();
    } else if (pathname === '/auth/session') {
      await this.sessionGate;
      const failure = this.sessionFailures.shift();
      const { user } = this;
      if (failure) response.writeHead(failure).end();
      else
        json(response, 200, {
          authenticated: user !== null,
          ...(user && { user, expires_in: 3600 }),
          providers: PROVIDERS,
          ...(this.handsOver && { handoff: true }),
        });
    } else if (pathname === '/auth/logout') {
      this.user = null;
      if (this.endsAtProvider) json(response, 200, { end_session: '/auth/entra/end-session' });
      else response.writeHead(204).end();
      this.write('event: end\ndata: {"reason":"signed_out"}\n\n');
    } else if (pathname === '/auth/entra/end-session') {
      this.departures.push(searchParams.get('return_to'));
      response.writeHead(303, { Location: searchParams.get('return_to') ?? '/' }).end();
    } else if (/^\/auth\/\w+\/login$/.test(pathname)) {
      const challenge = searchParams.get('handoff');
      const back = searchParams.get('return_to') ?? '/';
      if (challenge) {
        const code = `code-${this.uses.length}-${this.codes.size}`;
        this.codes.set(code, challenge);
        response.writeHead(303, { Location: `${back.split('#')[0]}#causeway=${code}` }).end();
        return;
      }
      this.user = ADA;
      response.writeHead(303, { Location: back }).end();
    } else if (pathname === '/auth/handoff') {
      let body = '';
      for await (const chunk of request) body += chunk;
      const { code, verifier } = JSON.parse(body);
      const works =
        this.codes.get(code) === createHash('sha256').update(verifier).digest('base64url') &&
        request.headers['x-csrf'] === '1';
      this.codes.delete(code);
      this.uses.push(works);
      if (works && !this.isBlocked) this.user = ADA;
      if (works) response.writeHead(204).end();
      else json(response, 400, { code: 'sign-in-refused' });
    } else if (pathname === '/stream') {
      this.#stream(request, response);
    } else if (pathname === '/events/chat') {
      await this.#event(request, response);
    } else {
      await this.#asset(pathname === '/' ? '/assets/index.html' : pathname, response);
    }
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {Response} response
   */
  #stream(request, response) {
    const last = request.headers['last-event-id'];
    this.resumes.push(typeof last === 'string' ? last : undefined);
    const failure = this.user ? this.streamFailures.shift() : 401;
    if (failure) {
      response.writeHead(failure).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write('retry: 50\n: open\n\n');
    const from = this.history.findIndex(({ id }) => id === last) + 1;
    for (const { frame } of this.history.slice(from)) response.write(frame);
    this.streams.add(response);
    response.on('close', () => this.streams.delete(response));
  }

  /**
   * @param {import('node:http').IncomingMessage} request
   * @param {Response} response
   */
  async #event(request, response) {
    let body = '';
    for await (const chunk of request) body += chunk;
    const key = String(request.headers['idempotency-key']);
    const { text } = JSON.parse(body).data;
    const user = String(request.headers['x-causeway-user']);
    this.posts.push({ key, text, user });
    const failure = this.user ? this.failures.shift() : { status: 401 };
    if (this.user && user !== this.user.id)
      json(response, 409, { code: 'user-changed', title: 'Somebody else is signed in by now.' });
    else if (failure?.status === 0) response.destroy();
    else if (failure) json(response, failure.status, { title: failure.title }, failure.headers);
    else {
      const isNew = !this.#accepted.has(key);
      const id = this.#accepted.get(key) ?? `in-${this.#accepted.size}`;
      this.#accepted.set(key, id);
      json(response, 202, { id });
      if (isNew && this.echoes) this.publish('message', { id, role: 'user', text });
    }
  }

  /**
   * @param {string} path
   * @param {Response} response
   */
  async #asset(path, response) {
    const page = this.pages.get(path);
    if (page) {
      response
        .writeHead(200, { 'Content-Type': TYPES['.html'], 'Content-Security-Policy': page.policy })
        .end(page.html);
      return;
    }
    const content = await readFile(join(this.dist, path.replace('/assets/', ''))).catch(() => null);
    if (!content) {
      response.writeHead(404).end();
      return;
    }
    const type = /** @type {Record<string, string>} */ (TYPES)[extname(path)] ?? 'application/octet-stream';
    response.writeHead(200, {
      'Content-Type': type,
      'Content-Security-Policy':
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; require-trusted-types-for 'script'",
    });
    response.end(content);
  }
}

/**
 * @param {Response} response
 * @param {number} status
 * @param {unknown} body
 * @param {Record<string, string>} [headers]
 */
function json(response, status, body, headers) {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}
