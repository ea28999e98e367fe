// Runs scripts/configure as a user does, in a folder that is gone after the test.

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseEnv } from 'node:util';

export const ROOT = resolve(import.meta.dirname, '../..');

/** What every deployment needs beside a provider. */
export const WORKERS = Object.freeze([
  '--yes',
  ...['--domain', 'chat.example.com', '--host-page', 'https://www.example.com'],
  ...['--bridge-url', 'https://bridge.example.com', '--kafka-brokers', 'kafka.example.com:9093'],
]);
export const SPIN = Object.freeze([
  ...WORKERS,
  '--runtime',
  'spin',
  '--redis-address',
  'rediss://redis.example.com:6380',
]);

/** What a provider's own flags look like, by preset. @type {Readonly<Record<string, readonly string[]>>} */
export const REGISTERED = Object.freeze({
  entra: ['--client-id', '0d6e3f1c-8b7a-4c5d-9e2f-4a1b6c8d7e90', '--tenant', '5f3c1a52-8d3e-4b7a-9c11-2f6d0e4b7a90'],
  github: ['--client-id', 'Iv23example'],
  keycloak: ['--client-id', 'chat', '--issuer', 'https://id.example.com/realms/main'],
  auth0: ['--client-id', 'chat', '--issuer', 'https://example.eu.auth0.com/'],
  okta: ['--client-id', 'chat', '--issuer', 'https://example.okta.com/oauth2/default'],
  google: ['--client-id', 'chat.apps.googleusercontent.com'],
  cognito: [
    ...['--client-id', 'chat', '--issuer', 'https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_AbCdEfGhI'],
    ...['--endpoint', 'https://example.auth.eu-central-1.amazoncognito.com'],
  ],
  oidc: ['--client-id', 'chat', '--issuer', 'https://id.example.com', '--id', 'corp', '--name', 'Corp'],
});

/** A folder for one test. @param {import('node:test').TestContext} context */
export function folder(context) {
  const path = mkdtempSync(join(tmpdir(), 'configure-'));
  context.after(() => rmSync(path, { recursive: true, force: true }));
  const out = join(path, 'out');
  /** Secrets that were handed over, to be looked for where they must not be. @type {string[]} */
  const given = [];
  const read = (/** @type {string} */ name) => readFileSync(join(out, name), 'utf8');
  return {
    out,
    read,
    /** @returns {Record<string, string>} */
    secrets: () => JSON.parse(read('secrets.json')),
    /** @param {string} name @returns {NodeJS.Dict<string>} */
    env: (name) => parseEnv(read(name)),
    files: () => readdirSync(out).sort(),
    /** A file with a secret of a provider. */
    secretFile(secret = randomBytes(32).toString('base64url')) {
      const file = join(path, `secret-${given.length}`);
      given.push(secret);
      writeFileSync(file, secret);
      return file;
    },
    /** @param {readonly string[]} args @param {string} [input] */
    run(args, input = '') {
      const { status, stdout, stderr } = spawnSync(join(ROOT, 'scripts/configure'), ['--out', out, ...args], {
        encoding: 'utf8',
        input,
      });
      return { status, stdout, stderr, shown: stdout + stderr, given };
    },
  };
}

/** The flags of a registered provider. @param {ReturnType<typeof folder>} at @param {string} preset */
export const provider = (at, preset) => [
  ...['--provider', preset, ...(REGISTERED[preset] ?? [])],
  ...['--client-secret-file', at.secretFile()],
];
