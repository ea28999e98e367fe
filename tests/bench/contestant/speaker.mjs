// Clients that post events of many users.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { loaded } from './loaded.mjs';

/** The data of each event. */
export const DATA = { text: 'What is the weather like in Leiden today?' };
const BODY = JSON.stringify({ type: 'message', data: DATA });

/**
 * @param {Parameters<typeof loaded>[0]} who
 * @param {{ url: string, users: readonly Record<string, string>[], state: string }} options the headers of each user
 * @returns {Promise<(clients: number) => import('../measure/round.mjs').Contestant>}
 */
export async function speakers(who, { url, users, state }) {
  const sent = { ...users[0], 'Content-Type': 'application/json' };
  const { status } = await fetch(url, { method: 'POST', headers: sent, body: BODY });
  if (status !== 202) throw new Error(`${who.name} answers ${status} to an event`);
  const script = writeScript(join(state, `say-${new URL(url).port}.lua`), users);
  return (connections) => loaded(who, { url, connections, script, mayFail: true, state });
}

/**
 * A script for wrk that sends the event of each user in turn.
 * @param {string} file @param {readonly Record<string, string>[]} users the headers of each
 */
function writeScript(file, users) {
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
