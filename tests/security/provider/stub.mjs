// An identity provider for tests only: it signs users in without a password, and misbehaves as a case tells it to. One
// server is Entra ID, GitHub and any number of OpenID Connect issuers.
//
// - realm: one provider and its overrides      - kind: the peculiarities of Entra ID and GitHub
// - key: signing keys and forged signatures    - recorded: requests and replies

import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';

import { listen } from '../../support/listen.mjs';
import { SigningKey } from './key.mjs';
import { EntraRealm, GitHubRealm } from './kind.mjs';
import { Realm } from './realm.mjs';
import { read } from './recorded.mjs';

/** Shorter values occur by chance. */
const SHORTEST_SECRET = 16;

export class ProviderStub {
  origin = '';
  /** @type {Map<string, Realm>} by id */
  realms = new Map();
  /** Every secret in use, which no browser and no log may hold: value → what it is. @type {Map<string, string>} */
  secrets = new Map();
  /** Requests to no realm's endpoint, as an attacker would try to cause. @type {import('./recorded.mjs').Recorded[]} */
  strays = [];

  /** @param {number} [port] */
  static async start(port = 0) {
    const [key, other] = await Promise.all([SigningKey.make('honest-1'), SigningKey.make('other-1')]);
    const stub = new ProviderStub(key, other);
    stub.origin = `http://localhost:${await listen(stub.server, port)}`;
    return stub;
  }

  /** @param {SigningKey} key @param {SigningKey} otherKey */
  constructor(key, otherKey) {
    this.key = key;
    /** A key that is in no key set unless a case puts it there. */
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

  /** Records a secret for the leak scan. @param {string} value @param {string} what */
  secret(value, what) {
    if (value.length >= SHORTEST_SECRET) this.secrets.set(value, what);
    return value;
  }

  /** Removes the overrides of all realms. */
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
