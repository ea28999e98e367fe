// The suite aimed at a BFF that it did not start: the edge stands in for somebody else's.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { leaks } from '../journey/leak.mjs';
import * as profile from './profile/causeway.mjs';
import { ProviderStub } from './provider/stub.mjs';
import { UpstreamStub } from './upstream.mjs';

/** What becomes of them: from outside, and for want of the log or of a way to restart it. */
const ASKED = { S1: 'passed', S3: 'passed', S9: 'passed', S38: 'passed', S60: 'passed', S74: 'passed', S94: 'passed', S101: 'passed', S121: 'passed', S64: 'cannot run', S133: 'cannot run', S134: 'cannot run' };
const LIMIT_MS = 100_000;

test('a BFF that runs already is attacked by its address, and what cannot be tried so says why', async () => {
  // The stubs' ports are what that BFF is configured for; the suite's own take them over.
  const provider = await ProviderStub.start();
  const stubs = await threeInARow();
  const [upstream, otherUpstream, bridge] = stubs;
  profile.register(provider);
  const running = await profile.start({ provider, upstream, otherUpstream, bridge });
  const folder = mkdtempSync(join(tmpdir(), 'causeway-external-'));
  const json = join(folder, 'result.json');
  try {
    for (const stub of [provider, ...stubs]) stub.close();
    const ports = ['--provider-port', new URL(provider.origin).port, '--upstream-port', new URL(upstream.origin).port];
    const run = (/** @type {string} */ baseUrl) =>
      spawnSync(process.execPath, [join(import.meta.dirname, 'run.mjs'), '--base-url', baseUrl, ...ports, '--json', json, ...Object.keys(ASKED)], { encoding: 'utf8', timeout: LIMIT_MS });
    const { status, stdout, stderr } = run(running.origin);
    assert.equal(status, 0, `${stdout}\n${stderr}`);
    const { runtime, cases } = JSON.parse(readFileSync(json, 'utf8'));
    assert.equal(runtime, 'external');
    /** @type {{ id: string, outcome: string, detail?: string }[]} */
    const rows = cases;
    assert.deepEqual(Object.fromEntries(rows.filter(({ id }) => id in ASKED).map(({ id, outcome }) => [id, outcome])), ASKED, stdout);
    for (const { id, outcome, detail } of rows) if (outcome === 'cannot run') assert.match(detail ?? '', /^(?:needs a|the profile has no) /, id);
    assert.match(stdout, /^CANNOT RUN S134 /m);
    // Nobody here knows the tokens that were in use: they are looked for by their form.
    const log = running.log();
    assert.ok(log.split('\n').length > 20, log);
    assert.deepEqual(leaks(log, [...running.secrets, ...provider.secrets.keys()]), [], 'in the log');
    assert.doesNotMatch(log, /\b[ar]t_[\w-]{43}/, 'a token of the stub is in the log');
    // And it is that address which is attacked.
    const nobody = run(`http://localhost:${new URL(bridge.origin).port}`);
    assert.equal(nobody.status, 1, nobody.stdout);
  } finally {
    await running.stop();
    rmSync(folder, { recursive: true });
  }
});

/** Stubs on adjacent ports. @returns {Promise<[UpstreamStub, UpstreamStub, UpstreamStub]>} */
async function threeInARow() {
  for (;;) {
    const first = await UpstreamStub.start();
    const port = Number(new URL(first.origin).port);
    try {
      return [first, await UpstreamStub.start(port + 1), await UpstreamStub.start(port + 2)];
    } catch {
      // The next one is taken.
      first.close();
    }
  }
}
