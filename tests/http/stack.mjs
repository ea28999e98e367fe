// The stack of the HTTP journeys. It has no example backend, since the tests are the backend, and no host page.

import { generateKeyPairSync, randomUUID } from 'node:crypto';

import { Api } from '../support/api.mjs';
import { afterAll } from '../support/after-all.mjs';
import { Collector } from '../support/collector.mjs';
import { startStack } from '../support/stack.mjs';
import { Kafka } from '../support/kafka.mjs';
import { signedIn } from '../support/sign-in.mjs';

/** An API that is configured at the edge as a service, and the limits of that service. */
export const api = await Api.start();
export const API_TIMEOUT_SECONDS = 3;
export const API_BODY_LIMIT_KIB = 512;
const service = { url: `${api.origin}/base`, provider: 'github', shares_token: true, allow: ['GET /*', 'POST /*'] };
const services = [
  { ...service, name: 'api', body_limit_kib: API_BODY_LIMIT_KIB, timeout_seconds: API_TIMEOUT_SECONDS },
  // The same API with limits so high that no test reaches them: what ends early there has another cause.
  { ...service, name: 'patient', body_limit_kib: 100 * 1024, timeout_seconds: 60 },
  // The same API for links and images.
  { ...service, name: 'files', allow: ['GET /shown/* navigable', 'GET /get'] },
  // The same API for users of a provider that can be asked for claims.
  { ...service, name: 'claims', provider: 'entra', allow: ['GET /*'] },
  // The same API by narrower rules, with the settings of a service that others lack.
  {
    ...service,
    name: 'shop',
    allow: ['GET /items/*', 'POST /items/*', 'GET /jobs/'],
    request_headers: ['ConsistencyLevel', 'Prefer', 'X-GitHub-Api-Version'],
    refuse_method_override: true,
  },
  // The same API for a GitHub App.
  {
    name: 'app',
    url: service.url,
    users_of: ['github'],
    installation: { id: 7, permissions: { contents: 'read' } },
    allow: ['GET /*'],
  },
];
const appKey = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

/** The tokens that GitHub has minted for the app. @type {string[]} */
export const installationTokens = [];

/** Gets the bridge's spans. */
export const collector = await Collector.start();

export const { stack, github, graph, deliveries } = await startStack(
  ['kafka', 'redis', 'emulators', 'edge', 'bridge'],
  {
    SERVICES: JSON.stringify(services),
    GITHUB_APP_ID: 'Iv1.causewayapp',
    GITHUB_APP_KEY: String(appKey.export({ type: 'pkcs1', format: 'pem' })).replaceAll('\n', '\\n'),
  },
  () => installationTokens,
  '',
  { answers: 300, lines: 300, values: 30 },
  { OTEL_EXPORTER_OTLP_ENDPOINT: collector.origin, OTEL_BSP_SCHEDULE_DELAY: '100' },
);
github.ownAnswers.set('POST /app/installations/7/access_tokens', () => {
  const token = `ghs_${randomUUID().replaceAll('-', '')}`;
  installationTokens.push(token);
  return { token, expires_at: new Date(Date.now() + 3_600_000).toISOString(), permissions: { contents: 'read' } };
});
afterAll(() => api.close());
afterAll(() => collector.close());
export const kafka = new Kafka(stack.brokers);

/** @type {Map<string, ReturnType<typeof signedIn>>} */
const sessions = new Map();

/**
 * A signed-in user, shared by the tests that do not sign out.
 * @param {'github' | 'entra'} provider @param {string} login
 */
export function user(provider, login) {
  const name = `${provider}/${login}`;
  const session = sessions.get(name) ?? signedIn(stack, provider, login);
  sessions.set(name, session);
  return session;
}

let counted = 0;

/** A text that no other test writes. @param {string} words */
export function unique(words) {
  return `${words} #${process.pid}-${++counted}`;
}
