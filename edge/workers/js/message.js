// What crosses between JavaScript and Wasm for each message. One call brings all of a message's head: a call for each
// header would cost more than everything else that the edge does for most requests. `body.js` has the bodies.
//
// A head is text, a line each for a name and its value. Its first line counts the lines, so a line break in a value,
// which no header can have, does not shift the lines after it unnoticed.

import { begun } from './body.js';

/** @param {string[]} lines @param {Headers} headers */
function withHeaders(lines, headers) {
  for (const [name, value] of headers) lines.push(name, value);
  return `${lines.length}\n${lines.join('\n')}`;
}

/** A request's method, URL and headers. @param {Request} request */
export const requestHead = (request) => withHeaders([request.method, request.url], request.headers);

/** An answer's status and headers. @param {Response} response */
const responseHead = (response) => withHeaders([String(response.status)], response.headers);

/**
 * The headers of a head without a first line, for `fetch` and `Response`, which take an object faster than a list.
 * @param {string} head
 */
function headersOf(head) {
  if (!head) return {};
  const lines = head.split('\n');
  /** @type {Record<string, string>} */
  const headers = {};
  for (let n = 0; n < lines.length; n += 2) {
    const name = /** @type {string} */ (lines[n]);
    if (name in headers) return repeated(lines);
    headers[name] = /** @type {string} */ (lines[n + 1]);
  }
  return headers;
}

/** The same if a name is there twice, as `Set-Cookie` may be. @param {string[]} lines */
function repeated(lines) {
  const headers = new Headers();
  append(headers, lines);
  return headers;
}

/** @param {Headers} headers @param {string[]} lines */
function append(headers, lines) {
  for (let n = 0; n < lines.length; n += 2)
    headers.append(/** @type {string} */ (lines[n]), /** @type {string} */ (lines[n + 1]));
}

/** Headers that many answers share, to be copied by the runtime. @param {string} head */
export const sharedHeaders = (head) => new Headers(headersOf(head));

/**
 * Answers a request.
 * @param {number} status
 * @param {Headers | undefined} shared
 * @param {string} head the other headers
 * @param {string | Uint8Array | ReadableStream | undefined} body bytes are copied: they may be a view of the Wasm's
 *   memory
 * @param {boolean} isCoded the body is in the content coding that its headers name, and is not compressed again
 */
export function respond(status, shared, head, body, isCoded) {
  const init = { status, headers: shared ?? headersOf(head), ...(isCoded && { encodeBody: 'manual' }) };
  try {
    const response = new Response(body instanceof Uint8Array ? body.slice() : (body ?? null), init);
    if (shared && head) append(response.headers, head.split('\n'));
    return response;
  } catch (error) {
    // Its sender would wait for a reader for ever.
    if (body instanceof ReadableStream) body.cancel(error).catch(() => {});
    throw error;
  }
}

/**
 * Sends a request, and returns the head of the answer and its body. Redirects are not followed. No shared cache is
 * used, because an answer to one user's token must not reach another user.
 * @param {string} url @param {string} method @param {string} head the headers
 * @param {Uint8Array | ReadableStream | undefined} body @param {AbortSignal} signal
 * @param {boolean} keepsCoding a compressed answer stays compressed, instead of being decoded
 */
export async function send(url, method, head, body, signal, keepsCoding) {
  const response = await fetch(url, {
    method,
    headers: headersOf(head),
    body: body instanceof Uint8Array ? body.slice() : body,
    redirect: 'manual',
    cache: 'no-store',
    signal,
    ...(keepsCoding && { encodeResponseBody: 'manual' }),
  });
  const { body: stream } = response;
  // A body that was decoded does not have the length that the headers tell.
  const length = keepsCoding ? declaredLength(response.headers) : undefined;
  return { head: responseHead(response), body: stream && length ? await begun(stream, length) : stream };
}

/** @param {Headers} headers */
function declaredLength(headers) {
  const text = headers.get('content-length') ?? '';
  return /^[0-9]{1,9}$/.test(text) ? Number(text) : undefined;
}

/**
 * A Durable Object. In a jurisdiction, the same name is another object. A location hint counts only when an object is
 * created. Core has checked both settings.
 * @param {Record<string, any>} env @param {string} binding @param {string} name
 */
function objectOf(env, binding, name) {
  const jurisdiction = env.JURISDICTION?.trim();
  const locationHint = env.LOCATION_HINT?.trim();
  const objects = jurisdiction ? env[binding].jurisdiction(jurisdiction) : env[binding];
  return objects.get(objects.idFromName(name), locationHint ? { locationHint } : undefined);
}

/**
 * Sends a request to an operation of an object. The host is never resolved.
 * @param {Record<string, any>} env @param {string} binding @param {string} name @param {string} operation
 * @param {object} init
 * @returns {Promise<Response>}
 */
const askObject = (env, binding, name, operation, init) =>
  objectOf(env, binding, name).fetch(`https://object/${operation}`, init);

/**
 * Calls a method of an object with text, for text: without a request and an answer of HTTP.
 * @param {Record<string, any>} env @param {string} binding @param {string} name @param {string} method
 * @param {string} argument
 * @returns {Promise<string>}
 */
export const callMethod = (env, binding, name, method, argument) => objectOf(env, binding, name)[method](argument);

/**
 * Calls an operation with text, for text.
 * @param {Record<string, any>} env @param {string} binding @param {string} name @param {string} operation
 * @param {string} body
 */
export async function callObject(env, binding, name, operation, body) {
  const answer = await askObject(env, binding, name, operation, { method: 'POST', body });
  if (answer.status !== 200) throw new Error(`answered ${answer.status}`);
  return answer.text();
}

/**
 * Calls an operation for a WebSocket.
 * @param {Record<string, any>} env @param {string} binding @param {string} name @param {string} operation
 * @param {string} head its headers
 */
export async function openObject(env, binding, name, operation, head) {
  const headers = new Headers(headersOf(head));
  headers.set('upgrade', 'websocket');
  return askObject(env, binding, name, operation, { headers });
}

/** What was bound at the last call. */
let last = { names: /** @type {string[]} */ ([]), values: /** @type {unknown[]} */ ([]) };

/**
 * What is bound to this Worker: the same object as at the last call if no variable, no secret and no binding's name has
 * changed since. `===` finds an unchanged string by its address. No document says that a change brings a new `env`.
 * @param {Record<string, unknown>} env
 */
export function bindings(env) {
  const names = Object.keys(env);
  if (!isLast(env, names)) last = { names, values: names.map((name) => valueOf(env[name])) };
  return last;
}

/** @param {Record<string, unknown>} env @param {string[]} names */
function isLast(env, names) {
  if (names.length !== last.names.length) return false;
  for (let n = 0; n < names.length; n++) {
    const name = /** @type {string} */ (names[n]);
    if (name !== last.names[n] || valueOf(env[name]) !== last.values[n]) return false;
  }
  return true;
}

/** Every other value is a binding to a store, an object or a rate limiter. @param {unknown} value */
const valueOf = (value) => (typeof value === 'object' || typeof value === 'function' ? typeof value : value);
