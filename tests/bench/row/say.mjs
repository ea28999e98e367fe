// Saying: events of many users, each answered when Kafka has it.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { EdgeBrowser } from '../../support/edge-browser.mjs';
import { signIn } from '../../support/sign-in.mjs';
import { SPIN, WORKERS } from '../contestant/edge.mjs';
import { loaded } from '../contestant/loaded.mjs';
import { EXPRESS, signInToExpress, startExpress, startRedis } from '../contestant/peer.mjs';
import { inBatches } from '../measure/batch.mjs';
import { FIGURES } from '../measure/wrk.mjs';

const CLIENTS = [1, 32, 256];
/** So many that none reaches the rate of events per user and minute that is fixed on Spin. */
const USERS = 256;
/** Signed in at once. */
const BATCH = 8;
const BODY = JSON.stringify({ type: 'message', data: { text: 'What is the weather like in Leiden today?' } });

/** @type {import('../row.mjs').Row} */
export default {
  title: 'Say',
  about:
    `\`POST /events/chat\` of ${USERS} users in turn, by 1, 32 and 256 clients at a time. The answer is 202 after all ` +
    'in-sync replicas have the record. The Express BFF writes by kafkajs. All write to one topic of one Kafka.',
  needs: ['edge', 'express'],
  figures: [...FIGURES, { key: 'failedPercent', label: 'rejected', unit: '%', digits: 1 }],
  async prepare(scope) {
    const logins = Array.from({ length: USERS }, (_, index) => `user-${index}`);
    const users = logins.map((login) => ({ login, name: login, email: `${login}@causeway.example` }));
    /** @type {import('../../../scripts/stack/target.mjs').PartName[]} */
    const parts = ['kafka', 'redis', 'emulators', 'edge', 'bridge'];
    const workers = await scope.stack('workers', { users, only: parts });
    const { brokers } = workers;
    const spin = await scope.stack('spin', { users, only: parts, brokers });
    /** @type {{ who: Parameters<typeof loaded>[0], url: string, headers: Record<string, string>[] }[]} */
    const all = [];
    for (const [name, stack] of /** @type {const} */ ([
      [WORKERS, workers],
      [SPIN, spin],
    ])) {
      scope.log(`${name}: ${USERS} users sign in`);
      const headers = await inBatches(logins, BATCH, async (login) => {
        const browser = new EdgeBrowser(stack);
        await signIn(browser, 'github', login);
        return { ...browser.scriptHeaders('POST'), Cookie: browser.cookieHeader ?? '' };
      });
      all.push({ who: { name, role: 'ours' }, url: `http://127.0.0.1:${stack.ports.edge}/events/chat`, headers });
    }
    const topics = { broker: brokers, inbound: 'chat.inbound', outbound: 'chat.outbound' };
    const express = await startExpress(scope, await startRedis(scope), topics);
    const headers = await inBatches(logins, BATCH, async (id) => ({
      Cookie: await signInToExpress(express, id),
      'X-CSRF': '1',
    }));
    all.push({ who: { name: EXPRESS, role: 'peer' }, url: `${express}/events/chat`, headers });

    for (const { who, url, headers: own } of all) {
      const sent = { ...own[0], 'Content-Type': 'application/json' };
      const { status } = await fetch(url, { method: 'POST', headers: sent, body: BODY });
      if (status !== 202) throw new Error(`${who.name} answers ${status} to an event`);
    }
    const scripts = all.map(({ headers: own }, index) => script(join(scope.state, `say-${index}.lua`), own));
    return CLIENTS.map((connections) => ({
      name: connections === 1 ? '1 client' : `${connections} clients`,
      contestants: all.map(({ who, url }, index) =>
        loaded(who, { url, connections, script: scripts[index] ?? '', mayFail: true, state: scope.state }),
      ),
    }));
  },
};

/**
 * A script for wrk that sends the event of each user in turn.
 * @param {string} file @param {readonly Record<string, string>[]} users the headers of each
 */
function script(file, users) {
  // None of these texts has a character that Lua would write in another way.
  const quoted = (/** @type {string} */ text) => JSON.stringify(text);
  const tables = users.map(
    (headers) =>
      `{${Object.entries({ ...headers, 'Content-Type': 'application/json' })
        .map(([name, value]) => `[${quoted(name)}] = ${quoted(value)}`)
        .join(', ')}}`,
  );
  writeFileSync(
    file,
    `local users = {\n${tables.join(',\n')}\n}
local body = ${quoted(BODY)}
local requests = {}
local turn = 0
function init()
  for index, headers in ipairs(users) do requests[index] = wrk.format("POST", nil, headers, body) end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
`,
    { mode: 0o600 },
  );
  return file;
}
