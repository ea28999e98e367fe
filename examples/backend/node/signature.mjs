// Signs records for a channel that demands it. docs/events.md describes the signature.

import { createHmac } from 'node:crypto';

/**
 * The value of the header `causeway-signature`.
 * @param {string} signingKey an id, a colon and the secret in base64url
 * @param {string} channel
 * @param {string} key of the record
 * @param {Record<string, string>} headers
 * @param {string | null} value
 */
export function sign(signingKey, channel, key, headers, value) {
  const [id = '', secret = ''] = signingKey.split(':');
  const signed = Object.keys(headers)
    .filter((name) => name === 'content-type' || name.startsWith('ce_'))
    .sort();
  const parts = [part('causeway-record-v1'), part(channel), part(key), number(signed.length)];
  for (const name of signed) parts.push(part(name), part(headers[name] ?? ''));
  parts.push(value === null ? Buffer.of(0) : Buffer.concat([Buffer.of(1), part(value)]));
  const mac = createHmac('sha256', Buffer.from(secret, 'base64url'));
  return `${id}.${mac.update(Buffer.concat(parts)).digest('base64url')}`;
}

/** @param {string} text */
function part(text) {
  const bytes = Buffer.from(text);
  return Buffer.concat([number(bytes.length), bytes]);
}

/** @param {number} value */
function number(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
