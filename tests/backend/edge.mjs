// What the edge does at the bridge: posts what a user says, and opens their stream. Without an edge, a test shows what
// backends and bridge owe each other and nothing else.

import { createHash, createHmac, randomBytes } from 'node:crypto';

import { exchange, send } from '../support/exchange.mjs';
import { Stream } from '../support/stream.mjs';

const WIRE_VERSION = 2;
const SOURCE = 'https://chat.example.com';

export class Edge {
  #keys;

  /** @param {string} bridge origin @param {string} keys `BRIDGE_KEYS` */
  constructor(bridge, keys) {
    this.bridge = bridge;
    this.#keys = keys;
  }

  /**
   * Posts an event as a page would. Returns once Kafka has it.
   * @param {string} channel @param {string} user @param {string} type @param {unknown} data
   */
  async say(channel, user, type, data) {
    const id = randomBytes(18).toString('base64url');
    const traceparent = `00-${randomBytes(16).toString('hex')}-${randomBytes(8).toString('hex')}-01`;
    const event = {
      channel,
      id,
      type,
      source: SOURCE,
      subject: user,
      time: new Date().toISOString(),
      traceparent,
      data,
    };
    const body = JSON.stringify({ version: WIRE_VERSION, ...event });
    const headers = { ...this.#signature('POST', '/v1/events', body), 'Content-Type': 'application/json' };
    const { status, text } = await exchange(this.bridge, '/v1/events', { method: 'POST', headers, body });
    if (status !== 202) throw new Error(`the bridge answered ${status}: ${text}`);
    return { id, traceparent };
  }

  /** Opens the stream of a user. @param {string} user @param {string} channel */
  async listen(user, channel) {
    const open = {
      version: WIRE_VERSION,
      subject: user,
      session: randomBytes(32).toString('base64url'),
      channels: [channel],
      session_ends_in_ms: 3_600_000,
      jitter: 0.5,
    };
    const target = `/v1/stream?open=${Buffer.from(JSON.stringify(open)).toString('base64url')}`;
    const incoming = await send(this.bridge, target, { headers: this.#signature('GET', target, '') });
    if (incoming.statusCode !== 200) throw new Error(`the bridge answered ${incoming.statusCode}`);
    return new Stream(incoming.setEncoding('utf8')).opened();
  }

  /** As edge/protocol/src/signature.rs. @param {string} method @param {string} target @param {string} body */
  #signature(method, target, body) {
    const [id = '', secret = ''] = this.#keys.split(':');
    const seconds = Math.floor(Date.now() / 1000);
    const digest = createHash('sha256').update(body).digest();
    const mac = createHmac('sha256', Buffer.from(secret, 'base64url'));
    for (const part of ['causeway-request-v1', 'edge-to-bridge', id, number(seconds), method, target, digest])
      mac.update(number(Buffer.byteLength(part))).update(part);
    const values = ['v1', id, seconds, digest.toString('base64url'), mac.digest('base64url')];
    return { 'causeway-signature': values.join() };
  }
}

/** @param {number} value */
function number(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
