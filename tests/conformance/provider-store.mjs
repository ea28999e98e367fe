// The provider's storage, which outlives its restarts: grants, sessions, codes and tokens, by kind and id.

/** @typedef {Record<string, any>} Payload */

/** Kinds whose id is itself the secret. */
const SECRET_KINDS = new Set(['AuthorizationCode', 'AccessToken', 'RefreshToken']);

export class ProviderStore {
  /** @type {Map<string, { payload: Payload, expiresAtMs: number }>} */
  #records = new Map();
  /** Every code and token of the run, for the leak scan. @type {Set<string>} */
  secrets = new Set();

  /** The unexpired records of a kind. @param {string} kind @returns {Payload[]} */
  all(kind) {
    return [...this.#records].filter(([key]) => key.startsWith(`${kind}:`)).flatMap(([key]) => this.#get(key) ?? []);
  }

  /** The storage adapter of one kind, as oidc-provider wants it. @param {string} kind */
  adapter(kind) {
    const key = (/** @type {string} */ id) => `${kind}:${id}`;
    /** @param {(payload: Payload) => boolean} is */
    const find = async (is) => this.all(kind).find(is);
    return {
      upsert: async (
        /** @type {string} */ id,
        /** @type {Payload} */ payload,
        /** @type {number | undefined} */ seconds,
      ) => {
        if (SECRET_KINDS.has(kind)) this.secrets.add(id);
        this.#records.set(key(id), {
          payload,
          expiresAtMs: seconds === undefined ? Infinity : Date.now() + seconds * 1000,
        });
      },
      find: async (/** @type {string} */ id) => this.#get(key(id)),
      findByUid: (/** @type {string} */ uid) => find((payload) => payload.uid === uid),
      findByUserCode: (/** @type {string} */ code) => find((payload) => payload.userCode === code),
      consume: async (/** @type {string} */ id) => {
        const payload = this.#get(key(id));
        if (payload) payload.consumed = Math.floor(Date.now() / 1000);
      },
      destroy: async (/** @type {string} */ id) => void this.#records.delete(key(id)),
      revokeByGrantId: async (/** @type {string} */ grantId) => {
        for (const [name, { payload }] of this.#records) {
          if (name.startsWith(`${kind}:`) && payload.grantId === grantId) this.#records.delete(name);
        }
      },
    };
  }

  /** @param {string} key */
  #get(key) {
    const record = this.#records.get(key);
    return record && record.expiresAtMs > Date.now() ? record.payload : undefined;
  }
}
