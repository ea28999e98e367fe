// The example backends, one a language, and how each is started. scripts/backends makes what is started here.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { CACHE, ROOT, cargoProgram } from '../../scripts/stack/path.mjs';
import { Part } from '../../scripts/stack/process.mjs';

const MADE = join(CACHE, 'backend');

/**
 * `made`: what is there if the language's packages and toolchain are.
 * @type {Record<string, { made: string, command: string[] }>}
 */
const LANGUAGES = {
  python: { made: join(MADE, 'python/bin/python'), command: [join(MADE, 'python/bin/python'), 'backend.py'] },
  node: { made: folder('node/node_modules'), command: ['node', 'backend.mjs'] },
  go: { made: join(MADE, 'go/backend'), command: [join(MADE, 'go/backend')] },
  java: { made: join(MADE, 'java'), command: ['java', '-cp', join(MADE, 'java/*'), 'Backend.java'] },
  rust: { made: cargoProgram('causeway-example-backend'), command: [cargoProgram('causeway-example-backend')] },
};

export const languages = Object.keys(LANGUAGES);

/** Why the backend of a language cannot run here, if it cannot. @param {string} language */
export function missing(language) {
  const reason = join(MADE, `${language}.missing`);
  if (existsSync(reason)) return readFileSync(reason, 'utf8').trim();
  const made = LANGUAGES[language]?.made ?? '';
  return existsSync(made) ? '' : `there is no ${made}: run scripts/backends`;
}

/**
 * The backend of a language, not started yet.
 * @param {string} language
 * @param {{ state: string, kafka: Record<string, string>, channel: string, signingKey?: string }} options kafka: its
 *   variables about Kafka
 */
export function backend(language, { state, kafka, channel, signingKey }) {
  return new Part({
    name: channel,
    state,
    command: LANGUAGES[language]?.command ?? [],
    cwd: folder(language),
    env: { ...kafka, CHANNEL: channel, SIGNING_KEY: signingKey, PYTHONDONTWRITEBYTECODE: '1' },
    hint: 'run scripts/backends, which fetches its packages and builds it',
  });
}

/** @param {string} path */
function folder(path) {
  return join(ROOT, 'examples/backend', path);
}
