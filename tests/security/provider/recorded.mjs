// The requests to a stub and its replies.

/**
 * @typedef {object} Recorded
 * @property {string} method
 * @property {string} path without the query
 * @property {URLSearchParams} query
 * @property {import('node:http').IncomingHttpHeaders} headers
 * @property {string[]} rawHeaders
 * @property {string} body
 * @property {number} bytes of the body, as received
 * @property {URLSearchParams} form the body, if it is a form
 * @property {number} at in Unix milliseconds
 */

const MAX_BODY_BYTES = 4 * 1024 * 1024;

/** @param {import('node:http').IncomingMessage} incoming @returns {Promise<Recorded>} */
export async function read(incoming) {
  /** @type {Buffer[]} */
  const chunks = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    bytes += chunk.length;
    if (bytes <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  const body = Buffer.concat(chunks).toString();
  const [path = '/', query = ''] = (incoming.url ?? '/').split(/\?(.*)/s);
  const isForm = incoming.headers['content-type']?.startsWith('application/x-www-form-urlencoded');
  return {
    method: incoming.method ?? '',
    path,
    query: new URLSearchParams(query),
    headers: incoming.headers,
    rawHeaders: incoming.rawHeaders,
    body,
    bytes,
    form: new URLSearchParams(isForm ? body : ''),
    at: Date.now(),
  };
}

/**
 * @typedef {object} Reply
 * @property {number} [status]
 * @property {Record<string, string | string[]>} [headers]
 * @property {string | Buffer} [body]
 * @property {number} [afterMs]
 * @property {boolean} [lost] the connection breaks instead, after the request was carried out
 */

/** @param {unknown} value @param {number} [status] @returns {Reply} */
export function json(value, status = 200) {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}
