// The settings of edge and bridge that the answers mean, named as in docs/configuration.md.

import { isOn, list, text } from './answer.mjs';
import { usesSasl } from './ask.mjs';
import { BRIDGE_WRITTEN, bridgeProblem, edgeProblem, nameIn, valueIn } from './key.mjs';
import { presetOf } from './preset.mjs';
import { Refusal } from './refusal.mjs';
import { clientSecrets } from './secret.mjs';

/** @typedef {import('./answer.mjs').Answers} Answers */
/** @typedef {import('./answer.mjs').Provider} Provider */
/** @typedef {import('./secret.mjs').Secrets} Secrets */
/** @typedef {{ variables: Record<string, string>, secrets: Record<string, string> }} EdgeSettings */

/** The free entries in spin.toml. */
const OUTBOUND_HOSTS = 8;
const DEFAULT_CHANNEL = 'chat';

/** @param {Answers} answers */
export const originOf = ({ values }) => `https://${text(values, 'domain')}`;
/** @param {Answers} answers */
export const isSpin = ({ values }) => values.runtime === 'spin';
/** Those with a client id. The others are still to be registered. @param {Answers} answers */
export const registered = ({ providers }) => providers.filter(({ values }) => text(values, 'client-id'));
/** @param {Answers} answers */
export const channelsOf = ({ values }) =>
  list(values, 'channel').length ? list(values, 'channel') : [DEFAULT_CHANNEL];

/** @param {Answers} answers @param {Secrets} all @returns {EdgeSettings} */
export function edgeSettings(answers, all) {
  const { values } = answers;
  const openid = registered(answers).filter(({ preset }) => presetOf(preset)?.kind === 'openid');
  // Those of providers that an operator has added by hand are kept, too.
  const isPending = (/** @type {string} */ id) =>
    answers.providers.some((provider) => provider.id === id && !openid.includes(provider));
  const clients = [...clientSecrets(all)].filter(([id]) => !isPending(id));
  const has = (/** @type {string} */ id) => registered(answers).some((provider) => provider.id === id);
  return {
    variables: defined({
      PUBLIC_ORIGIN: originOf(answers),
      HOST_ORIGINS: list(values, 'host-page').join(','),
      EMBED: isOn(values, 'cross-site') ? 'cross-site' : undefined,
      BRIDGE_URL: text(values, 'bridge-url'),
      CHANNELS: list(values, 'channel').join(','),
      JURISDICTION: isSpin(answers) ? undefined : text(values, 'jurisdiction'),
      REDIS_ADDRESS: isSpin(answers) ? text(values, 'redis-address') : undefined,
      ...entraVariables(answers),
      ...githubVariables(answers),
      OIDC_PROVIDERS: openid.length ? JSON.stringify(openid.map(openidEntry)) : undefined,
      ...pairsOf(values, 'set', edgeProblem),
      ...(isSpin(answers) ? outboundHosts(answers, openid) : {}),
    }),
    secrets: defined({
      SESSION_KEYS: all.SESSION_KEYS,
      BRIDGE_KEYS: all.BRIDGE_KEYS,
      REDIS_URL: isSpin(answers) ? redisUrl(answers, all) : undefined,
      ENTRA_CLIENT_SECRET: has('entra') ? all.ENTRA_CLIENT_SECRET : undefined,
      ENTRA_CLIENT_KEY: has('entra') ? all.ENTRA_CLIENT_KEY : undefined,
      GITHUB_CLIENT_SECRET: has('github') ? all.GITHUB_CLIENT_SECRET : undefined,
      GITHUB_WEBHOOK_SECRET: has('github') ? all.GITHUB_WEBHOOK_SECRET : undefined,
      GITHUB_APP_KEY: all.GITHUB_APP_KEY,
      OIDC_CLIENT_SECRETS: clients.length ? JSON.stringify(Object.fromEntries(clients)) : undefined,
    }),
  };
}

/** A provider's entry in OIDC_PROVIDERS. @param {Provider} provider */
export function openidEntry({ preset, id, values }) {
  const { title, issuer, entry } = presetOf(preset) ?? {};
  return defined({
    id,
    name: text(values, 'name') ?? (preset === 'oidc' ? undefined : title),
    issuer: issuer ?? text(values, 'issuer'),
    client_id: text(values, 'client-id'),
    ...entry,
    scopes: list(values, 'scope').length ? list(values, 'scope') : entry?.scopes,
    audience: text(values, 'audience'),
    retry_lost_refresh: isOn(values, 'no-refresh-retry') ? false : undefined,
  });
}

/** @param {Answers} answers */
function entraVariables(answers) {
  const values = registered(answers).find(({ id }) => id === 'entra')?.values;
  if (!values) return {};
  return {
    ENTRA_CLIENT_ID: text(values, 'client-id'),
    ENTRA_TENANT: text(values, 'tenant'),
    ENTRA_TENANTS: list(values, 'allowed-tenant').join(','),
    ENTRA_GROUPS: list(values, 'group').join(','),
    // On Spin the addresses are also the list of hosts that can be reached, and have no default.
    ...(isSpin(answers) && {
      ENTRA_AUTHORITY: 'https://login.microsoftonline.com',
      GRAPH_URL: 'https://graph.microsoft.com',
    }),
  };
}

/** @param {Answers} answers */
function githubVariables(answers) {
  const values = registered(answers).find(({ id }) => id === 'github')?.values;
  if (!values) return {};
  return {
    GITHUB_CLIENT_ID: text(values, 'client-id'),
    ...(isSpin(answers) && { GITHUB_URL: 'https://github.com', GITHUB_API_URL: 'https://api.github.com' }),
  };
}

/**
 * The settings of --set or --set-bridge. Those of an earlier run are checked again: it may have been an older version.
 * @param {import('./answer.mjs').Values} values @param {string} flag
 * @param {(pair: string) => string | undefined} problem
 */
function pairsOf(values, flag, problem) {
  for (const pair of list(values, flag)) {
    const wrong = problem(pair);
    if (wrong) throw new Refusal(`--${flag} ${wrong}; an earlier run set it, --unset ${nameIn(pair)} removes it`);
  }
  return Object.fromEntries(list(values, flag).map((pair) => [nameIn(pair), valueIn(pair)]));
}

/**
 * What the component may reach beside the hosts that other variables name: issuers, endpoints, and --outbound-host.
 * @param {Answers} answers @param {Provider[]} openid
 */
function outboundHosts({ values }, openid) {
  const hosts = new Set([...openid.flatMap(originsOf), ...list(values, 'outbound-host')]);
  if (hosts.size > OUTBOUND_HOSTS)
    throw new Refusal(
      `--outbound-host and --endpoint: ${hosts.size} hosts are more than the ${OUTBOUND_HOSTS} entries in spin.toml; ` +
        'add lines to its allowed_outbound_hosts',
    );
  return Object.fromEntries([...hosts].map((host, index) => [`OUTBOUND_HOST_${index + 1}`, host]));
}

/** The origins of an OpenID provider: its issuer's, and those of its endpoints. @param {Provider} provider */
export function originsOf({ preset, values }) {
  const { issuer, endpoints = [] } = presetOf(preset) ?? {};
  const address = issuer ?? text(values, 'issuer');
  return [...(address ? [new URL(address).origin] : []), ...endpoints, ...list(values, 'endpoint')];
}

/** @param {Answers} answers */
export const redisUser = ({ values }) => text(values, 'redis-user') ?? 'causeway';

/** @param {Answers} answers @param {Secrets} all */
function redisUrl(answers, all) {
  const [scheme, place] = (text(answers.values, 'redis-address') ?? '').split('://');
  return `${scheme}://${redisUser(answers)}:${encodeURIComponent(all.REDIS_PASSWORD ?? '')}@${place}`;
}

/**
 * The bridge's environment, with what an operator has added to the one before.
 * @param {Answers} answers @param {Secrets} all
 * @param {Record<string, string>} [before] @param {string[]} [unset] names that are no longer set
 */
export function bridgeSettings(answers, all, before = {}, unset = []) {
  const { values } = answers;
  const added = Object.entries(before).filter(([name]) => !BRIDGE_WRITTEN.includes(name) && !unset.includes(name));
  const sasl = usesSasl(values);
  const byToken = values['kafka-mechanism'] === 'OAUTHBEARER';
  return defined({
    BRIDGE_KEYS: all.BRIDGE_KEYS,
    BRIDGE_EDGE_URL: isSpin(answers) ? undefined : originOf(answers),
    BRIDGE_REDIS_URL: isSpin(answers) ? redisUrl(answers, all) : undefined,
    BRIDGE_CHANNELS: bridgeChannels(answers, before.BRIDGE_CHANNELS, unset.includes('channel')),
    KAFKA_BROKERS: text(values, 'kafka-brokers'),
    KAFKA_SECURITY_PROTOCOL: text(values, 'kafka-security'),
    // A certificate of an earlier run may be left over.
    KAFKA_SSL_CA: text(values, 'kafka-security')?.endsWith('SSL') ? text(values, 'kafka-ca') : undefined,
    ...(sasl && {
      KAFKA_SASL_MECHANISM: text(values, 'kafka-mechanism'),
      ...(byToken
        ? {
            KAFKA_SASL_TOKEN_URL: text(values, 'kafka-token-url'),
            KAFKA_SASL_CLIENT_ID: text(values, 'kafka-client-id'),
            KAFKA_SASL_CLIENT_SECRET: all.KAFKA_SASL_CLIENT_SECRET,
            KAFKA_SASL_SCOPE: text(values, 'kafka-scope'),
          }
        : { KAFKA_SASL_USERNAME: text(values, 'kafka-user'), KAFKA_SASL_PASSWORD: all.KAFKA_SASL_PASSWORD }),
    }),
    ...Object.fromEntries(added),
    ...pairsOf(values, 'set-bridge', bridgeProblem),
  });
}

/**
 * The channels of the answers, each as it was before. Without an answer an operator may have added them.
 * @param {Answers} answers @param {string | undefined} before @param {boolean} isTakenBack
 */
function bridgeChannels(answers, before, isTakenBack) {
  if (!list(answers.values, 'channel').length && !isTakenBack) return before;
  /** @type {{ name?: unknown }[]} */
  let old;
  try {
    old = JSON.parse(before ?? '[]');
    if (!Array.isArray(old)) throw new TypeError('no list');
  } catch {
    throw new Refusal('bridge.env: BRIDGE_CHANNELS is not a JSON list; correct it, or remove the line');
  }
  const made = (/** @type {string} */ name) => ({ name, inbound: `${name}.inbound`, outbound: `${name}.outbound` });
  return JSON.stringify(channelsOf(answers).map((name) => old.find((it) => it?.name === name) ?? made(name)));
}

/**
 * Without what is not set. @template T @param {Record<string, T | undefined>} values
 * @returns {Record<string, T>}
 */
function defined(values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== undefined && value !== '');
  return /** @type {Record<string, T>} */ (Object.fromEntries(pairs));
}
