// The leak scan: no page and no operator may see a token, found by its form or value, or one of the edge's own secrets.

import assert from 'node:assert/strict';

import { ID_TOKEN_HINT, finder, forms } from './secret-finder.mjs';

const TOKEN_FORMS = [
  { what: "GitHub's token", form: /gh[oprsu]_[A-Za-z0-9_-]{16,}/ },
  { what: "Microsoft's access or refresh token", form: /(?:r_)?microsoft_[A-Za-z0-9_-]{20,}/ },
  { what: 'a JSON Web Token', form: /eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}/ },
  { what: 'a code_verifier', form: /code_verifier/ },
];

/**
 * Lists the secrets in a text. @param {string} text @param {string[]} values secrets and tokens in use
 * @returns {string[]}
 */
export function leaks(text, values) {
  return [
    ...TOKEN_FORMS.filter(({ form }) => form.test(text)).map(({ what }) => what),
    ...values
      .filter((value) => value.length >= 16 && text.includes(value))
      .map((value) => `the value ${value.slice(0, 6)}…`),
  ];
}

/**
 * Every secret of a stack; of a key ring, each key.
 * @param {import('../../scripts/stack/secret.mjs').Secrets} secrets
 */
export function secretValues(secrets) {
  return Object.values(secrets)
    .flatMap((value) => value.split(/[:,]/))
    .filter((part) => part.length >= 32);
}

/**
 * What a page could read of an answer: all but the HttpOnly cookies.
 * @param {import('./record.mjs').RecordedAnswer} answer
 */
export function readable({ headers, text, url }) {
  const { 'set-cookie': cookies = [], ...others } = headers;
  const open = cookies.filter((cookie) => !/;\s*HttpOnly/i.test(cookie));
  return [url, JSON.stringify(others), ...open, text].join('\n');
}

/**
 * Lists the secrets in the answers of the edge and in what an operator reads (logs, metrics). Both are searched for
 * every value that was in use, as it is, escaped for a URL and in base64, and for anything that has the form of a
 * token. What an operator reads is searched for the values of HttpOnly cookies as well.
 * @param {readonly import('./record.mjs').RecordedAnswer[]} answers
 * @param {Readonly<Record<string, string>>} texts by file or path @param {readonly string[]} values
 */
export function leaksOfRun(answers, texts, values) {
  const cookies = answers
    .flatMap(({ headers }) => headers['set-cookie'] ?? [])
    .filter((cookie) => /;\s*HttpOnly/i.test(cookie));
  const among = (/** @type {readonly string[]} */ secrets) =>
    finder(
      [...new Set(secrets)]
        .filter((value) => value.length >= 16)
        .map((value) => ({ what: 'the value', forms: forms(value) })),
    );
  const [find, findForOperator] = [
    among(values),
    among([...values, ...cookies.map((cookie) => cookie.replace(/^[^=]*=|;.*$/gs, ''))]),
  ];
  const lines = Object.entries(texts).flatMap(([name, text]) =>
    text.split('\n').map((line, index) => ({ where: `${name}:${index + 1}`, text: line, search: findForOperator })),
  );
  const places = [
    ...answers.map((answer) => ({
      where: answer.url,
      text: readable({ ...answer, url: '' }).replace(ID_TOKEN_HINT, ''),
      search: find,
    })),
    ...lines,
  ];
  return places.flatMap(({ where, text, search }) => {
    const formed = TOKEN_FORMS.filter(({ form }) => form.test(text)).map(({ what }) => what);
    return [...search(text), ...formed].map((leak) => `${where.slice(0, 200)}: ${leak}`);
  });
}

/**
 * How much was searched, or how much must have been.
 * @typedef {{ answers: number, lines: number, values: number }} Amount
 */

/**
 * Fails a run that leaked a secret, and also one in which too little was searched to prove anything.
 * @param {{ answers: readonly import('./record.mjs').RecordedAnswer[], texts: Readonly<Record<string, string>>,
 * values: readonly string[] }} run as {@link leaksOfRun} has it
 * @param {Amount} least @returns {Amount}
 */
export function assertNoLeak({ answers, texts, values }, least) {
  const lines = Object.values(texts)
    .flatMap((text) => text.split('\n'))
    .filter((line) => line.trim());
  const seen = { answers: answers.length, lines: lines.length, values: new Set(values).size };
  for (const what of /** @type {const} */ (['answers', 'lines', 'values'])) {
    assert.ok(seen[what] >= least[what], `a scan of ${seen[what]} ${what} proves little: ${least[what]} are required`);
  }
  assert.deepEqual(leaksOfRun(answers, texts, values), [], 'a secret of this run is in an answer, a log or a metric');
  return seen;
}
