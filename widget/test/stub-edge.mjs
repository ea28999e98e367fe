// In-memory stub of the edge for the widget's own tests: the HTTP routes that the widget uses, with switches that make
// them fail. Tests of the real edge's behaviour run against the real edge.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';

export const ADA = { id: 'github:1', name: 'Ada Lovelace', email: 'ada@example.com' };
export const GRACE = { id: 'github:2', name: 'Grace Hopper' };

const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.html': 'text/html; charset=utf-8' };
const PROVIDERS = [
  { id: 'entra', name: 'Microsoft' },
  { id: 'github', name: 'GitHub' },
];
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "require-trusted-types-for 'script'",
].join('; ');

/** @typedef {import('node:http').IncomingMessage} Request */
/** @typedef {import('node:http').ServerResponse} Response */
/** @typedef {{ id: string, name: string, email?: string }} User */
/** @typedef {import('../src/client/types.js').OwnSession} OwnSession */
/** @typedef {import('../src/client/types.js').Connection} Connection */

export class StubEdge {
  /** User of the session that the browser's cookie belongs to. @type {User | null} */
  user = null;
  /** Session requests wait for this. @type {Promise<void> | undefined} */
  sessionGate;
  /** Accounts of the session. @type {Connection[]} */
  connections = [];
  /** The user's sessions. @type {OwnSession[]} */
  sessions = [];
  /** Statuses of the next responses about accounts and sessions, instead of success. @type {number[]} */
  accountFailures = [];
  /** Query of each sign-in. @type {string[]} */
  logins = [];
  /** Whether the next sign-in fails at the provider. */
  hasRefusal = false;
  /** Statuses of the next session responses, instead of 200. @type {number[]} */
  sessionFailures = [];
  /** @type {{ id: string, frame: string }[]} */
  history = [];
  /** @type {Set<Response>} */
  streams = new Set();
  /** Time that a session still has, in seconds. */
  expiresIn = 3600;
  /** Statuses of the next pages of history, instead of 200. @type {number[]} */
  historyFailures = [];
  /**
   * `user` is the value of X-Causeway-User, `repeat` that of X-Causeway-Repeat.
   * @type {{ key: string, text: string, user: string, repeat: unknown }[]}
   */
  posts = [];
  /**
   * Responses to the next POSTs. Status 0 closes the connection; 202 accepts the event, but never answers. isAccepted:
   * the event is accepted all the same.
   * @type {{ status: number, headers?: Record<string, string>, title?: string, code?: string, isAccepted?: boolean }[]}
   */
  postFailures = [];
  /** Statuses of the next streams, instead of 200. @type {number[]} */
  streamFailures = [];
  /** Position of each stream request, in order. @type {(string | undefined)[]} */
  lastEventIds = [];
  /** Whether sign-out continues at the provider. */
  endsAtProvider = false;
  /** `return_to` of each browser that was sent to the provider to sign out. @type {(string | null)[]} */
  logoutRedirects = [];
  /** Whether sessions are handed to the page by a code. */
  hasHandoff = false;
  /** Whether the browser blocks the edge's cookies under the page. */
  isCookieBlocked = false;
  /** Challenges by unused code. @type {Map<string, string>} */
  codes = new Map();
  /** Whether each attempt to redeem a code succeeded. @type {boolean[]} */
  redemptions = [];
  /** Further pages on the edge's origin, by path. @type {Map<string, { policy: string, html: string }>} */
  pages = new Map();
  /** Answers to further GETs, by path; and the requests for them. @type {Map<string, unknown>} */
  answers = new Map();
  /** @type {{ url: string, csrf: unknown }[]} */
  calls = [];
  #dist = '';
  #offset = 0;
  /** Idempotency keys of accepted messages. @type {Set<string>} */
  #accepted = new Set();
  #server = createServer((request, response) => void this.#handle(request, response));

  /**
   * @param {string} dist folder of the built widget
   * @returns {Promise<string>} its origin
   */
  async listen(dist) {
    this.#dist = dist;
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve(undefined)));
    const { port } = /** @type {import('node:net').AddressInfo} */ (this.#server.address());
    return `http://localhost:${port}`;
  }

  close() {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  reset() {
    this.cutStreams();
    Object.assign(this, {
      user: null,
      connections: [{ provider: 'github', own: true }],
      sessions: [],
      accountFailures: [],
      logins: [],
      hasRefusal: false,
      sessionGate: undefined,
      sessionFailures: [],
      history: [],
      posts: [],
      postFailures: [],
      streamFailures: [],
      expiresIn: 3600,
      historyFailures: [],
      lastEventIds: [],
      endsAtProvider: false,
      logoutRedirects: [],
      hasHandoff: false,
      isCookieBlocked: false,
      codes: new Map(),
      redemptions: [],
      answers: new Map(),
      calls: [],
    });
    this.#accepted.clear();
  }

  /**
   * @param {string} type
   * @param {unknown} data
   * @param {string} [id]
   * @param {true} [echo] whether it is what the user sent
   * @param {string} [time]
   */
  publish(type, data, id = `event-${this.#offset}`, echo, time = new Date().toISOString()) {
    const cursor = `v1.1.0.${(this.#offset += 1)}`;
    const event = JSON.stringify({ id, type, time, echo, data });
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
   * Delays session responses.
   * @returns {() => void} ends the delay
   */
  holdSession() {
    let release = () => {};
    this.sessionGate = new Promise((resolve) => (release = resolve));
    return release;
  }

  /**
   * Replaces the session, as when a user signs in from another window of the browser.
   * @param {User} user
   */
  replaceSession(user) {
    this.user = user;
    this.history = [];
    this.write('event: end\ndata: {"reason":"revoked"}\n\n');
    for (const stream of this.streams) stream.end();
    this.streams.clear();
  }

  /** From now on nothing reaches the pages that listen, whose connections look open. */
  deafen() {
    this.streams.clear();
  }

  /** Closes the connection of every stream without an `end` event. */
  cutStreams() {
    for (const stream of this.streams) stream.destroy();
  }

  /**
   * @param {Request} request
   * @param {Response} response
   */
  async #handle(request, response) {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://stub');
    allowOrigin(request, response);
    if (request.method === 'OPTIONS') return preflight(response);
    if (pathname === '/auth/session') return this.#session(response);
    if (pathname === '/auth/logout') return this.#logout(response);
    if (pathname === '/auth/entra/end-session') return this.#endSession(searchParams, response);
    if (/^\/auth\/\w+\/login$/.test(pathname)) return this.#login(pathname, searchParams, response);
    if (this.answers.has(pathname)) return this.#answer(request, pathname, response);
    if (/^\/auth\/(\w+\/disconnect|sessions)/.test(pathname)) return this.#account(request, pathname, response);
    if (pathname === '/auth/handoff') return this.#redeem(request, response);
    if (pathname === '/stream') return this.#stream(request, searchParams, response);
    if (pathname === '/events/chat') return this.#event(request, response);
    return this.#asset(pathname === '/' ? '/assets/index.html' : pathname, response);
  }

  /**
   * @param {Request} request
   * @param {string} pathname
   * @param {Response} response
   */
  #answer({ url = '', headers }, pathname, response) {
    this.calls.push({ url, csrf: headers['x-csrf'] });
    const failure = pathname.endsWith('/history') && this.historyFailures.shift();
    if (failure) {
      response.writeHead(failure).end();
      return;
    }
    json(response, this.user ? 200 : 401, this.answers.get(pathname));
  }

  /** @param {Response} response */
  async #session(response) {
    await this.sessionGate;
    const failure = this.sessionFailures.shift();
    const { user } = this;
    if (failure) response.writeHead(failure).end();
    else
      json(response, 200, {
        authenticated: user !== null,
        ...(user && { user, expires_in: this.expiresIn, connections: this.connections }),
        providers: PROVIDERS,
        ...(this.hasHandoff && { handoff: true }),
      });
  }

  /** @param {Response} response */
  #logout(response) {
    this.user = null;
    if (this.endsAtProvider) json(response, 200, { end_session: '/auth/entra/end-session' });
    else response.writeHead(204).end();
    this.write('event: end\ndata: {"reason":"signed_out"}\n\n');
  }

  /**
   * @param {URLSearchParams} query
   * @param {Response} response
   */
  #endSession(query, response) {
    const returnTo = query.get('return_to');
    this.logoutRedirects.push(returnTo);
    redirect(response, returnTo ?? '/');
  }

  /**
   * What a user does with accounts and sessions.
   * @param {Request} request
   * @param {string} pathname
   * @param {Response} response
   */
  #account({ method, headers }, pathname, response) {
    const failure = headers['x-csrf'] !== '1' ? 403 : this.user ? this.accountFailures.shift() : 401;
    if (failure) return json(response, failure, { title: 'Failed.', code: 'failed' });
    if (method === 'GET') return json(response, 200, { sessions: this.sessions });
    const [, , provider, id] = pathname.split('/');
    if (method === 'POST') this.connections = this.connections.filter((account) => account.provider !== provider);
    else this.sessions = this.sessions.filter((session) => (id ? session.id !== id : session.current));
    return response.writeHead(204).end();
  }

  /**
   * @param {string} pathname
   * @param {URLSearchParams} query
   * @param {Response} response
   */
  #login(pathname, query, response) {
    this.logins.push(String(query));
    const challenge = query.get('handoff');
    const returnTo = query.get('return_to') ?? '/';
    if (challenge) {
      const code = `code-${this.redemptions.length}-${this.codes.size}`;
      this.codes.set(code, challenge);
      return redirect(response, `${returnTo.split('#')[0]}#causeway=${code}`);
    }
    const [, , provider = ''] = pathname.split('/');
    if (!query.get('connect')) this.user = ADA;
    else if (!this.hasRefusal) {
      const former = this.connections.find((account) => account.provider === provider);
      const others = this.connections.filter((account) => account !== former);
      this.connections = [...others, { provider, own: former?.own }];
    }
    return redirect(response, returnTo);
  }

  /**
   * @param {Request} request
   * @param {Response} response
   */
  async #redeem(request, response) {
    const { code, verifier } = JSON.parse(await text(request));
    const isValid =
      this.codes.get(code) === createHash('sha256').update(verifier).digest('base64url') &&
      request.headers['x-csrf'] === '1';
    this.codes.delete(code);
    this.redemptions.push(isValid);
    if (isValid && !this.isCookieBlocked) this.user = ADA;
    if (isValid) response.writeHead(204).end();
    else json(response, 400, { code: 'sign-in-refused' });
  }

  /**
   * @param {Request} request
   * @param {URLSearchParams} query
   * @param {Response} response
   */
  #stream(request, query, response) {
    const header = request.headers['last-event-id'];
    const lastEventId = typeof header === 'string' ? header : (query.get('last_event_id') ?? undefined);
    this.lastEventIds.push(lastEventId);
    const failure = this.user ? this.streamFailures.shift() : 401;
    if (failure) {
      response.writeHead(failure).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    response.write('retry: 50\nevent: ping\ndata: {}\n\n');
    const start = this.history.findIndex(({ id }) => id === lastEventId) + 1;
    for (const { frame } of this.history.slice(start)) response.write(frame);
    this.streams.add(response);
    response.on('close', () => this.streams.delete(response));
  }

  /**
   * @param {Request} request
   * @param {Response} response
   */
  async #event(request, response) {
    const key = String(request.headers['idempotency-key']);
    const user = String(request.headers['x-causeway-user']);
    const { type, data } = JSON.parse(await text(request));
    const repeat = request.headers['x-causeway-repeat'];
    this.posts.push({ key, text: data.text ?? JSON.stringify(data), user, repeat });
    const failure = this.user ? this.postFailures.shift() : { status: 401 };
    if (this.user && user !== this.user.id)
      json(response, 409, { code: 'user-changed', title: 'Another user is signed in by now.' });
    else if (failure?.isAccepted) {
      this.#accept(key, type, data);
      json(response, failure.status, { title: failure.title }, failure.headers);
    } else if (failure?.status === 0) response.destroy();
    else if (failure?.status === 202) this.#accept(key, type, data);
    else if (failure) json(response, failure.status, { title: failure.title, code: failure.code }, failure.headers);
    else this.#accept(key, type, data, response);
  }

  /** The id that an event of the user gets. @param {string} key */
  idOf(key) {
    const hash = createHash('sha256').update('causeway-event-id-v1');
    for (const part of [this.user?.id ?? '', 'chat', key]) {
      const length = Buffer.alloc(8);
      length.writeBigUInt64BE(BigInt(Buffer.byteLength(part)));
      hash.update(length).update(part);
    }
    return hash.digest().subarray(0, 18).toString('base64url');
  }

  /**
   * @param {string} key
   * @param {string} type
   * @param {unknown} data
   * @param {Response} [response]
   */
  #accept(key, type, data, response) {
    const isNew = !this.#accepted.has(key);
    const id = this.idOf(key);
    this.#accepted.add(key);
    if (response) json(response, 202, { id });
    if (isNew) this.publish(type, data, id, true);
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
    const content = await readFile(join(this.#dist, path.replace('/assets/', ''))).catch(() => null);
    if (!content) {
      response.writeHead(404).end();
      return;
    }
    const type = /** @type {Record<string, string>} */ (TYPES)[extname(path)] ?? 'application/octet-stream';
    response.writeHead(200, { 'Content-Type': type, 'Content-Security-Policy': PAGE_POLICY }).end(content);
  }
}

/**
 * @param {Request} request
 * @param {Response} response
 */
function allowOrigin({ headers: { origin } }, response) {
  if (!origin) return;
  response.setHeader('Access-Control-Allow-Origin', origin);
  response.setHeader('Access-Control-Allow-Credentials', 'true');
  response.setHeader('Access-Control-Expose-Headers', 'Retry-After');
}

/** @param {Response} response */
function preflight(response) {
  response.setHeader(
    'Access-Control-Allow-Headers',
    'X-CSRF, Content-Type, Idempotency-Key, X-Causeway-User, X-Causeway-Repeat',
  );
  response.setHeader('Access-Control-Allow-Methods', 'GET, POST, DELETE');
  response.writeHead(204).end();
}

/**
 * @param {Response} response
 * @param {string} location
 */
function redirect(response, location) {
  response.writeHead(303, { Location: location }).end();
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

/**
 * @param {Request} request
 * @returns {Promise<string>} its body
 */
async function text(request) {
  let body = '';
  for await (const chunk of request) body += chunk;
  return body;
}
