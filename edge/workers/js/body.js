// The bodies of answers to calls. Their bytes enter Wasm only if the edge itself reads them.

/** The longest body that is taken whole: what the runtime gives at one read that names no size. */
const MAX_WHOLE_BYTES = 4096;

/** A body whose first part has been read. It can be read or moved once, as a stream can. */
class Begun {
  /**
   * @param {Uint8Array | undefined} first @param {ReadableStream<Uint8Array>} rest
   */
  constructor(first, rest) {
    this.first = first;
    this.rest = rest;
  }

  /** @param {WritableStream<Uint8Array>} writable */
  async pipeTo(writable) {
    const writer = writable.getWriter();
    if (this.first) await writer.write(this.first);
    writer.releaseLock();
    await this.rest.pipeTo(writable);
  }

  /** @param {any} [options] @returns {any} */
  getReader(options) {
    const { readable, writable } = new IdentityTransformStream();
    // The reader has the failure.
    this.pipeTo(writable).catch(() => {});
    return readable.getReader(options);
  }
}

/** @typedef {ReadableStream<Uint8Array> | Begun} Unread */

/**
 * The body of an answer to a call, once its first byte is there: all its bytes if it is short and they come at once, as
 * those of most APIs do. That spares a stream and its time limit: until then, the limit for the head holds.
 * @param {ReadableStream<Uint8Array>} body @param {number} length how many bytes it has, as its head says
 * @returns {Promise<Unread | Uint8Array>}
 */
export async function begun(body, length) {
  if (length === 0 || length > MAX_WHOLE_BYTES) return body;
  const reader = body.getReader();
  const { value } = await reader.read();
  if (value?.byteLength === length) return value;
  reader.releaseLock();
  return new Begun(value, body);
}

/**
 * An HTML document with more at the beginning of each element of a name. The runtime changes it while it streams.
 * @param {ReadableStream | Uint8Array<ArrayBuffer>} body @param {string} element @param {string[]} attributes
 * @param {(values: (string | null)[]) => string} html makes the HTML of an element from its attributes
 */
export const inserted = (body, element, attributes, html) =>
  new HTMLRewriter()
    .on(element, {
      element: (found) => void found.prepend(html(attributes.map((name) => found.getAttribute(name))), { html: true }),
    })
    .transform(new Response(body)).body;

/** How many bytes of a body are read at once. */
const CHUNK_BYTES = 65_536;

/**
 * The body of an answer to a call, which is aborted if nothing of it arrives for `idleMs`, or if all of it takes longer
 * than `longestMs`. Within `longestMs` the runtime moves the bytes itself, several times faster than any loop here
 * could. Without it, only a loop can tell a silent body from a slow one.
 * @param {Unread | Uint8Array} body @param {AbortController} call @param {number} idleMs
 * @param {number | undefined} longestMs
 */
export function watched(body, call, idleMs, longestMs) {
  if (body instanceof Uint8Array) return body;
  const { readable, writable } = new IdentityTransformStream();
  const moving = longestMs === undefined ? pump(body, writable, call, idleMs) : pipe(body, writable, call, longestMs);
  // The client has seen the failure: the stream that it reads has broken off.
  moving.catch(() => {});
  return readable;
}

/**
 * @param {Unread} body @param {WritableStream} writable @param {AbortController} call
 * @param {number} longestMs
 */
async function pipe(body, writable, call, longestMs) {
  const timer = setTimeout(() => call.abort(), longestMs);
  try {
    await body.pipeTo(writable);
  } finally {
    clearTimeout(timer);
    call.abort();
  }
}

/**
 * @param {Unread} body @param {WritableStream} writable @param {AbortController} call
 * @param {number} idleMs
 */
async function pump(body, writable, call, idleMs) {
  const reader = body.getReader({ mode: 'byob' });
  const writer = writable.getWriter();
  // One timer that looks again, and not one for each chunk.
  let waitsSince = Date.now();
  const look = () => {
    const silentMs = waitsSince ? Date.now() - waitsSince : 0;
    if (silentMs < idleMs) timer = setTimeout(look, idleMs - silentMs);
    else call.abort();
  };
  let timer = setTimeout(look, idleMs);
  try {
    for (;;) {
      waitsSince = Date.now();
      const { value, done } = await reader.read(new Uint8Array(CHUNK_BYTES));
      // A slow client is not a silent upstream.
      waitsSince = 0;
      if (done) break;
      await writer.write(value);
    }
    await writer.close();
  } catch (error) {
    await writer.abort(error);
  } finally {
    clearTimeout(timer);
    call.abort();
  }
}

/**
 * All bytes of a body, or nothing if there are more than the limit. With `idleMs`, the call is aborted if no byte
 * arrives for so long.
 * @param {Unread | Uint8Array} body @param {number} limitBytes
 * @param {AbortController} call aborted if the body is no longer wanted @param {number | undefined} idleMs
 */
export async function readBody(body, limitBytes, call, idleMs) {
  if (body instanceof Uint8Array) return body.byteLength > limitBytes ? undefined : body;
  const { signal } = call;
  const reader = body.getReader();
  signal.addEventListener('abort', () => reader.cancel().catch(() => {}));
  const chunks = [];
  let length = 0;
  for (;;) {
    const timer = idleMs === undefined ? undefined : setTimeout(() => call.abort(), idleMs);
    const { value, done } = await reader.read().finally(() => clearTimeout(timer));
    // A read that was cancelled looks like the end of the body.
    signal.throwIfAborted();
    if (done) break;
    length += value.byteLength;
    if (length > limitBytes) return undefined;
    chunks.push(value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return bytes;
}
