// Requests of a user's browser to an API, for the cases of section F.

/** @typedef {import('../bff.mjs').Bff} Bff */
/** @typedef {import('../../support/browser.mjs').Browser} Browser */

/**
 * @param {string} id @param {string} title @param {(bff: Bff, browser: Browser) => Promise<unknown>} attack
 * @returns {import('../case.mjs').Case}
 */
export const asUser = (id, title, attack) => ({
  id,
  title,
  attack: async (bff) => attack(bff, (await bff.signedIn(bff.apiRealm)).browser),
});

/**
 * Sends a request line as it is, with the session of a browser.
 * @param {Bff} bff @param {Browser} browser @param {string} line @param {string[]} more @param {string} [body]
 */
export function raw(bff, browser, line, more = [], body = '') {
  const csrf = Object.entries(bff.csrf).map(([name, value]) => `${name}: ${value}`);
  const head = [
    line,
    `Host: ${new URL(bff.origin).host}`,
    `Cookie: ${browser.cookieHeader}`,
    'Sec-Fetch-Site: same-origin',
    `Origin: ${bff.origin}`,
    ...csrf,
    'Connection: close',
    ...more,
  ];
  return bff.sendBytes(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/**
 * Whether the server in front rejected a request that it could not parse. The BFF's own answers are not excused.
 * @param {Bff} bff @param {import('../../support/exchange.mjs').Answer} answer
 */
export const isOfFrontServer = (bff, answer) => {
  const { rejects, isOwnError } = bff.profile.frontServer;
  const isOfBff =
    bff.profile.requestAnswered(answer) !== undefined ||
    bff.profile.errorType.test(String(answer.headers['content-type']));
  return !isOfBff && (rejects.includes(answer.status) || (answer.status === 500 && isOwnError(answer)));
};

/** The requests that reach the API while a function runs. @param {Bff} bff @param {() => Promise<unknown>} run */
export async function requestsDuring(bff, run) {
  const before = bff.upstream.seen.length;
  await run();
  return bff.upstream.seen.slice(before);
}
