// The settings of a local stack's edge, on either runtime.

import { ENTRA_CLIENT_ID, ENTRA_TENANT, GITHUB_CLIENT_ID } from './emulators.mjs';

/**
 * @typedef {object} EdgeOptions
 * @property {string} state
 * @property {import('../target.mjs').Ports} ports
 * @property {import('../secret.mjs').Secrets} secrets
 * @property {Record<string, string | undefined>} [variables] added to the stack's own; undefined removes one; named as
 * in docs/configuration.md
 * @property {string} [name]
 * @property {boolean} [quiet] the edge does not log each request
 * @property {(text: string) => string} [manifest] changes the deployed manifest: wrangler.toml or spin.toml
 * @property {string} [entry] source of a module that runs in front of the built Worker, `./worker/index.js`; Workers
 * only
 * @property {string} [variableStore] a file in place of a store of variables, which may change: values by name in lower
 * case, in TOML; the stand-in of the Spin CLI only
 * @property {number} [inspectorPort] where a profiler connects; workerd without wrangler only
 * @property {boolean} [profiled] a profiler finds the names of the edge's functions; the stand-in of the Spin CLI only
 * @property {boolean} [unready] the edge is misconfigured on purpose: any answer makes it ready
 */

/**
 * The settings that every edge of a local stack has.
 * @param {{ ports: import('../target.mjs').Ports, secrets: import('../secret.mjs').Secrets }} stack
 */
export function settings({ ports, secrets }) {
  return {
    PUBLIC_ORIGIN: `http://localhost:${ports.edge}`,
    HOST_ORIGINS: `http://localhost:${ports.host}`,
    SESSION_KEYS: secrets.sessionKeys,
    BRIDGE_KEYS: secrets.bridgeKeys,
    BRIDGE_URL: `http://127.0.0.1:${ports.bridge}`,
    CHANNELS: 'chat',
    ENTRA_CLIENT_ID,
    ENTRA_CLIENT_SECRET: secrets.entraClientSecret,
    ENTRA_TENANT,
    ENTRA_AUTHORITY: `http://localhost:${ports.entra}`,
    GRAPH_URL: `http://localhost:${ports.entra}`,
    GITHUB_CLIENT_ID,
    GITHUB_CLIENT_SECRET: secrets.githubClientSecret,
    GITHUB_WEBHOOK_SECRET: secrets.githubWebhookSecret,
    GITHUB_URL: `http://localhost:${ports.github}`,
    GITHUB_API_URL: `http://localhost:${ports.github}`,
    DEVELOPMENT: 'loopback',
  };
}
