// HTTPS in front of the edge and of the host page, with a certificate that is made here: by mkcert, whose authority
// browsers of this machine trust after `mkcert -install`, otherwise self-signed by openssl.

import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';

import { ROOT } from '../path.mjs';
import { Part, PartError } from '../process.mjs';

const NAMES = ['localhost', '127.0.0.1', '::1'];
const DAYS = 90;
/** A certificate that ends earlier is replaced. */
const LEAST_MS = 7 * 24 * 3600 * 1000;

/** @param {{ state: string, ports: import('../target.mjs').Ports }} options */
export function httpsPart({ state, ports }) {
  const { key, certificate } = certificateFiles(state);
  const routes = [`${ports.https}:${ports.edge}`, `${ports['https-host']}:${ports.host}`];
  return new Part({
    name: 'https',
    state,
    command: [
      process.execPath,
      join(ROOT, 'scripts/stack/https-front.mjs'),
      ...['--key', key, '--certificate', certificate],
      ...routes.flatMap((route) => ['--route', route]),
    ],
    ports: [ports.https, ports['https-host']],
    prepare: () => makeCertificate(state),
    ready: () => answers(ports.https, readFileSync(certificate)),
    hint: 'see its log.',
  });
}

/** @param {string} state */
export const certificateFiles = (state) => ({
  key: join(state, 'tls', 'key.pem'),
  certificate: join(state, 'tls', 'certificate.pem'),
});

/** Whether it has signed itself, so that browsers ask before they open it. @param {string} state */
export function isSelfSigned(state) {
  const { issuer, subject } = new X509Certificate(readFileSync(certificateFiles(state).certificate));
  return issuer === subject;
}

/** @param {string} state */
function makeCertificate(state) {
  const { key, certificate } = certificateFiles(state);
  if (existsSync(key) && existsSync(certificate)) {
    const { validTo } = new X509Certificate(readFileSync(certificate));
    if (Date.parse(validTo) - Date.now() > LEAST_MS) return;
  }
  mkdirSync(join(state, 'tls'), { recursive: true, mode: 0o700 });
  for (const file of [key, certificate]) rmSync(file, { force: true });
  const made =
    run('mkcert', ['-key-file', key, '-cert-file', certificate, ...NAMES]) ||
    run('openssl', selfSigned(key, certificate));
  if (!made) throw new PartError('https: no certificate could be made. What to do: install mkcert or openssl');
}

/** @param {string} key @param {string} certificate */
function selfSigned(key, certificate) {
  const names = NAMES.map((name) => `${/[.:]/.test(name) ? 'IP' : 'DNS'}:${name}`);
  return [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', String(DAYS)],
    ...['-subj', '/CN=localhost', '-keyout', key, '-out', certificate],
    ...['-addext', `subjectAltName=${names.join(',')}`, '-addext', 'extendedKeyUsage=serverAuth'],
  ];
}

/** @param {string} program @param {string[]} args */
const run = (program, args) => spawnSync(program, args, { stdio: 'ignore' }).status === 0;

/** @param {number} port @param {Buffer} ca @returns {Promise<boolean>} */
function answers(port, ca) {
  return new Promise((resolve) => {
    const options = {
      host: '127.0.0.1',
      servername: 'localhost',
      port,
      path: '/healthz',
      ca: [ca],
      rejectUnauthorized: false,
    };
    const sent = request(options, (answer) => resolve(answer.resume().statusCode === 200));
    sent
      .on('error', () => resolve(false))
      .setTimeout(2_000, () => sent.destroy())
      .end();
  });
}
