// An identity provider for tests, and only for tests: it signs anybody in without asking, and lies when it is told to.
// One server stands for Entra ID, for GitHub and for any number of OpenID Connect issuers.
//
// - realm: one provider, honest, and what it can be told to do wrong   - kind: what Entra ID and GitHub do differently
// - key: signing keys and forged signatures                            - recorded: what was asked, what is answered

import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

import { SigningKey } from './key.mjs';
import { EntraRealm, GitHubRealm } from './kind.mjs';
import { Realm } from './realm.mjs';
import { read } from './recorded.mjs';

/** Shorter ones are found everywhere by chance. */
const SHORTEST_SECRET = 16;

export class ProviderStub {
  origin = '';
  /** @type {Map<string, Realm>} by id */
  realms = new Map();
  /** Everything that was in use and must never be seen by a browser or in a log: value → what it is. @type {Map<string, string>} */
  secrets = new Map();
  /** What was asked of no realm at all: where an attacker would be glad of a request. @type {import('./recorded.mjs').Recorded[]} */
  strays = [];

  /** @param {number} [port] */
  static async start(port = 0) {
    const [key, other] = await Promise.all([SigningKey.make('honest-1'), SigningKey.make('other-1')]);
    const stub = new ProviderStub(key, other);
    stub.server.listen(port, '127.0.0.1');
    await once(stub.server, 'listening');
    const address = /** @type {import('node:net').AddressInfo} */ (stub.server.address());
    stub.origin = `http://localhost:${address.port}`;
    return stub;
  }

  /** @param {SigningKey} key @param {SigningKey} otherKey */
  constructor(key, otherKey) {
    this.key = key;
    /** One that no key set shows unless a case puts it there. */
    this.otherKey = otherKey;
  }

  server = createServer(async (incoming, outgoing) => {
    try {
      const request = await read(incoming);
      const found = this.#find(request.path);
      if (!found) this.strays.push(request);
      const reply = found ? await found.realm.answer(found.endpoint, request) : { status: 404 };
      if (reply.afterMs) await delay(reply.afterMs);
      if (reply.lost) return void incoming.socket.destroy();
      outgoing.writeHead(reply.status ?? 200, reply.headers).end(reply.body);
    } catch (error) {
      outgoing.writeHead(500).end(String(error));
    }
  });

  /** @param {Omit<import('./realm.mjs').Registration, 'key'>} registration */
  oidc(registration) {
    return this.#add(new Realm(this, { key: this.key, ...registration }));
  }

  /** @param {Omit<import('./realm.mjs').Registration, 'key' | 'base'> & { tenant: string }} registration */
  entra(registration) {
    return this.#add(new EntraRealm(this, { key: this.key, ...registration }));
  }

  /** @param {Omit<import('./realm.mjs').Registration, 'key' | 'base'>} registration */
  github(registration) {
    return this.#add(new GitHubRealm(this, { key: this.key, base: '', ...registration }));
  }

  /** Notes what must not leak. @param {string} value @param {string} what */
  secret(value, what) {
    if (value.length >= SHORTEST_SECRET) this.secrets.set(value, what);
    return value;
  }

  /** Every realm is honest again. */
  reset() {
    for (const realm of this.realms.values()) realm.reset();
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
  }

  /** @template {Realm} R @param {R} realm @returns {R} */
  #add(realm) {
    this.realms.set(realm.id, realm);
    return realm;
  }

  /** @param {string} path */
  #find(path) {
    for (const realm of this.realms.values()) {
      const endpoint = Object.keys(realm.paths).find((name) => realm.base + realm.paths[name] === path);
      if (endpoint) return { realm, endpoint };
    }
    return undefined;
  }
}
