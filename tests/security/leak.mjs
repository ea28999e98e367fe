// The leak scan: no secret of a run may be in anything that a browser received or an operator can read.

import { parseSetCookie, setCookies } from '../support/browser.mjs';
import { ID_TOKEN_HINT, finder, forms } from '../support/secret-finder.mjs';

/** @typedef {import('./bff.mjs').Bff} Bff */
/** @typedef {(text: string) => string[]} Find */

/** Of a cookie's value. A sealed value is longer. */
const SHORTEST_COOKIE = 32;

/** The keys that a BFF binds tokens to. Their values are known to the BFF only, so they are searched by form. */
export const PRIVATE_KEY = /\\*"d\\*"\s*:\s*\\*"[\w-]{43}(?![\w-])|-----BEGIN [A-Z ]*PRIVATE KEY/;

/** What a scan must have searched at least, in a run of all cases and in a run of a few. */
const LEAST = {
  whole: { answers: 3_000, lines: 1_000, secrets: 1_500, cookies: 200 },
  part: { answers: 1, lines: 1, secrets: 1, cookies: 0 },
};

/**
 * @param {Bff} bff @param {import('./provider/stub.mjs').ProviderStub} provider
 * @param {boolean} runsAllCases whether every case was run
 * @returns {import('./case.mjs').Result}
 */
export function leakResult(bff, provider, runsAllCases) {
  const secrets = [
    ...[...provider.secrets].map(([value, what]) => ({ what, forms: forms(value) })),
    ...(bff.running?.secrets ?? []).map((value) => ({ what: 'key of the BFF', forms: forms(value) })),
  ];
  const cookies = cookieValues(bff);
  const withKeys = (/** @type {Find} */ find) => (/** @type {string} */ text) => [
    ...find(text),
    ...(PRIVATE_KEY.test(text) ? ['a private key'] : []),
  ];
  const find = withKeys(finder(secrets));
  const findInLog = withKeys(
    finder([...secrets, ...[...cookies].map((value) => ({ what: 'cookie', forms: forms(value) }))]),
  );
  const log = bff.running?.log() ?? '';
  const leaks = [
    ...leaksInAnswers(bff, provider, find),
    ...leaksInAddresses(bff, provider, find),
    ...leaksInLog(log, findInLog),
  ];
  const amount = {
    answers: bff.traffic.length,
    lines: log.split('\n').filter((line) => line.trim()).length,
    secrets: secrets.length,
    cookies: cookies.size,
  };
  const title = `${amount.answers} answers and ${amount.lines} log lines searched for ${amount.secrets} secrets, the log for ${amount.cookies} cookies, too`;
  console.log(`scan   S133  ${title}`);
  const result = /** @type {const} */ ({ id: 'S133', title, kind: 'http', where: 'leak scan' });
  if (leaks.length) return { ...result, outcome: 'failed', detail: leaks.slice(0, 20).join('\n') };
  if (!bff.running)
    return {
      ...result,
      outcome: 'cannot run',
      detail: 'needs a BFF whose log can be read: the answers alone prove too little',
    };
  const least = LEAST[runsAllCases ? 'whole' : 'part'];
  const scarce = Object.entries(amount).filter(
    ([what, number]) => number < least[/** @type {keyof typeof least} */ (what)],
  );
  return scarce.length
    ? {
        ...result,
        outcome: 'failed',
        detail: `too little was searched: ${scarce.map(([what, number]) => `${number} ${what}`)}`,
      }
    : { ...result, outcome: 'passed' };
}

/** The values of the cookies that browsers received: an operator must not see them. @param {Bff} bff */
function cookieValues(bff) {
  return new Set(
    bff.traffic
      .flatMap(({ answer }) => setCookies(answer))
      .map(parseSetCookie)
      .flatMap(({ name, value }) => (bff.profile.isOwnCookie(name) && value.length >= SHORTEST_COOKIE ? [value] : [])),
  );
}

/**
 * What browsers received, without the ID token in the redirect to its own provider's logout.
 * @param {Bff} bff @param {import('./provider/stub.mjs').ProviderStub} provider @param {Find} find
 */
function leaksInAnswers(bff, provider, find) {
  /** @type {string[]} */
  const leaks = [];
  const logouts = [...provider.realms.values()].flatMap((realm) => (realm.paths.logout ? [realm.url('logout')] : []));
  for (const { answer, mayHold } of bff.traffic) {
    const { location } = answer.headers;
    const isHint = logouts.some((logout) => location?.startsWith(`${logout}?`));
    const headers = { ...answer.headers, ...(isHint && { location: location?.replace(ID_TOKEN_HINT, '') }) };
    const received = `${JSON.stringify(headers)}\n${mayHold ? answer.text.replace(mayHold, '') : answer.text}`;
    for (const leak of find(received)) leaks.push(`${answer.target.slice(0, 120)} (${answer.status}): ${leak}`);
  }
  return leaks;
}

/**
 * The addresses that APIs and providers were asked by. A token in a URL would be in every log on its way (M24).
 * @param {Bff} bff @param {import('./provider/stub.mjs').ProviderStub} provider @param {Find} find
 */
function leaksInAddresses(bff, provider, find) {
  const asked = [...provider.realms.values()].flatMap(({ seen }) =>
    seen.filter(({ endpoint }) => endpoint !== 'logout'),
  );
  return [bff.upstream, bff.otherUpstream, bff.bridge]
    .flatMap(({ seen }) => seen)
    .concat(provider.strays, asked)
    .flatMap(({ path, query }) =>
      find(`${path}?${query}`).map((leak) => `address of a request, ${path.slice(0, 120)}: ${leak}`),
    );
}

/** @param {string} log @param {Find} find */
const leaksInLog = (log, find) =>
  log
    .split('\n')
    .flatMap((line, index) => find(line).map((leak) => `log line ${index + 1}: ${leak}: ${line.slice(0, 160)}`));
