// The identity providers: npm's `emulate` as GitHub and as Microsoft Entra ID with Graph, in one process.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { npmProgram } from '../path.mjs';
import { Part } from '../process.mjs';

/** The emulator's default tenant, so that the account it adds by itself (Test User) can sign in, too. */
export const ENTRA_TENANT = '9188040d-6c67-4c5b-b112-36a304b66dad';
export const GITHUB_CLIENT_ID = 'Iv1.causewaylocal';
export const ENTRA_CLIENT_ID = '0d6e3f1c-8b7a-4c5d-9e2f-4a1b6c8d7e90';

/** @typedef {{ login: string, name: string, email: string }} User */

/** The users of both providers. @type {readonly User[]} */
export const USERS = Object.freeze([
  { login: 'ada', name: 'Ada Lovelace', email: 'ada@causeway.example' },
  { login: 'grace', name: 'Grace Hopper', email: 'grace@causeway.example' },
  { login: 'katherine', name: 'Katherine Johnson', email: 'katherine@causeway.example' },
  { login: 'hedy', name: 'Hedy Lamarr', email: 'hedy@causeway.example' },
  { login: 'margaret', name: 'Margaret Hamilton', email: 'margaret@causeway.example' },
  { login: 'dorothy', name: 'Dorothy Vaughan', email: 'dorothy@causeway.example' },
  { login: 'barbara', name: 'Barbara Liskov', email: 'barbara@causeway.example' },
]);

/**
 * @param {{ state: string, ports: import('../target.mjs').Ports, edgeOrigin: string,
 * secrets: import('../secret.mjs').Secrets, users?: readonly User[], otherClients?: readonly string[] }} options
 * `otherClients` are redirect URIs of other programs that users sign in to with Entra
 */
export function emulatorsPart({ state, ports, edgeOrigin, secrets, users = USERS, otherClients = [] }) {
  mkdirSync(state, { recursive: true });
  const seed = join(state, 'emulators.json');
  writeFileSync(seed, JSON.stringify(seedOf(edgeOrigin, secrets, users, otherClients), undefined, 2), { mode: 0o600 });
  const answers = (/** @type {number} */ port) => fetch(`http://127.0.0.1:${port}/`, { redirect: 'manual' });
  return new Part({
    name: 'emulators',
    state,
    // In another working directory it might find a configuration file.
    cwd: state,
    command: [
      npmProgram('emulate'),
      'start',
      '--service',
      'github,microsoft',
      '--port',
      String(ports.github),
      '--seed',
      seed,
    ],
    env: { EMULATE_BASE_URL: undefined, PORTLESS_URL: undefined, EMULATE_PORT: undefined, PORT: undefined },
    ports: [ports.github, ports.entra],
    ready: async () => {
      await Promise.all([answers(ports.github), answers(ports.entra)]);
      return true;
    },
    hint: 'run scripts/setup; npm must have installed `emulate`.',
  });
}

/**
 * @param {string} edgeOrigin @param {import('../secret.mjs').Secrets} secrets @param {readonly User[]} users
 * @param {readonly string[]} otherClients
 */
function seedOf(edgeOrigin, secrets, users, otherClients) {
  return {
    github: {
      users,
      oauth_apps: [
        {
          client_id: GITHUB_CLIENT_ID,
          client_secret: secrets.githubClientSecret,
          name: 'Causeway',
          redirect_uris: [`${edgeOrigin}/auth/github/callback`],
        },
      ],
    },
    microsoft: {
      users: users.map(({ name, email }) => ({ name, email, tenant_id: ENTRA_TENANT })),
      oauth_clients: [
        {
          client_id: ENTRA_CLIENT_ID,
          client_secret: secrets.entraClientSecret,
          name: 'Causeway',
          redirect_uris: [`${edgeOrigin}/auth/entra/callback`, `${edgeOrigin}/auth/entra/logged-out`, ...otherClients],
          tenant_id: ENTRA_TENANT,
        },
      ],
    },
  };
}
