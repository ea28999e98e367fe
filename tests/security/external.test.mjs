// The suite against a BFF that it did not start. Here that is the edge.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { leaks } from '../support/leak.mjs';
import * as profile from './profile/causeway.mjs';
import { SECTIONS } from './section.mjs';
import { ProviderStub } from './provider/stub.mjs';
import { UpstreamStub } from './upstream.mjs';

/**
 * The slowest cases: hundreds of return addresses, each with a sign-in, outages of a provider, bodies that never end.
 */
const LEFT_OUT = ['S28', 'S29', 'S30', 'S31', 'S32', 'S33', 'S34', 'S35', 'S105', 'S113'];
const ASKED = [
  ...new Set(
    Object.values(SECTIONS)
      .flat()
      .map(({ id }) => id),
  ),
].filter((id) => !LEFT_OUT.includes(id));
/**
 * The only reasons for which a case may be unable to run: it needs the log, other settings, an unused provider or
 * an outage.
 */
const ALLOWED_REASONS =
  /^(?:needs a BFF (?:that the suite can restart|whose log can be read)|needs a provider that no case has used|the profile has no (?:running BFF|coordinator that can be taken down))/;
/** The cases that at least must report that they cannot run. */
const CANNOT = ['S64', 'S104', 'S132', 'S133', 'S134', 'S135', 'S146'];
/** Far above the usual time: other suites run beside this one. */
const LIMIT_MS = 600_000;

test('a running BFF is attacked by its address, and cases that cannot run there report why', async () => {
  // That BFF is configured for the ports of these stubs. The stubs of the suite's own process take them over.
  const provider = await ProviderStub.start();
  const stubs = await threeAdjacentStubs();
  const [upstream, otherUpstream, bridge] = stubs;
  profile.register(provider);
  const running = await profile.start({ provider, upstream, otherUpstream, bridge });
  const folder = mkdtempSync(join(tmpdir(), 'causeway-external-'));
  const json = join(folder, 'result.json');
  try {
    for (const stub of [provider, ...stubs]) stub.close();
    const ports = ['--provider-port', new URL(provider.origin).port, '--upstream-port', new URL(upstream.origin).port];
    const run = (/** @type {string} */ baseUrl, /** @type {string[]} */ ids) =>
      spawnSync(
        process.execPath,
        [join(import.meta.dirname, 'run.mjs'), '--base-url', baseUrl, ...ports, '--json', json, ...ids],
        { encoding: 'utf8', timeout: LIMIT_MS },
      );
    const { status, stdout, stderr } = run(running.origin, ASKED);
    assert.equal(status, 0, `${stdout}\n${stderr}`);
    const { runtime, cases } = JSON.parse(readFileSync(json, 'utf8'));
    assert.equal(runtime, 'external');
    /** @type {{ id: string, outcome: string, detail?: string }[]} */
    const rows = cases;
    assert.ok(rows.length >= ASKED.length && rows.length > 80, `${rows.length} cases`);
    for (const { id, outcome, detail } of rows) {
      if (outcome === 'cannot run')
        for (const why of (detail ?? '').split('\n')) assert.match(why, ALLOWED_REASONS, id);
      else assert.equal(outcome, 'passed', id);
    }
    const cannot = rows.flatMap(({ id, outcome }) => (outcome === 'cannot run' ? id : []));
    assert.deepEqual(
      CANNOT.filter((id) => !cannot.includes(id)),
      [],
      'these cases cannot be checked from outside',
    );
    assert.ok(cannot.length < rows.length / 4, `${cannot.length} of ${rows.length} cannot be tried: ${cannot}`);
    assert.match(stdout, /^CANNOT RUN S134 /m);
    // The tokens in use are not known here, so they are searched by their form.
    const log = running.log();
    assert.ok(log.split('\n').length > 20, log);
    assert.deepEqual(leaks(log, [...running.secrets, ...provider.secrets.keys()]), [], 'in the log');
    assert.doesNotMatch(log, /\b[ar]t_[\w-]{43}/, 'a token of the stub is in the log');
    // The suite attacks the given address: with another server there, cases fail.
    const other = run(`http://localhost:${new URL(bridge.origin).port}`, ['S1', 'S38']);
    assert.equal(other.status, 1, other.stdout);
  } finally {
    await running.stop();
    rmSync(folder, { recursive: true });
  }
});

/** Stubs on adjacent ports. @returns {Promise<[UpstreamStub, UpstreamStub, UpstreamStub]>} */
async function threeAdjacentStubs() {
  for (;;) {
    const first = await UpstreamStub.start();
    const port = Number(new URL(first.origin).port);
    try {
      return [first, await UpstreamStub.start(port + 1), await UpstreamStub.start(port + 2)];
    } catch {
      // One of the next ports is in use.
      first.close();
    }
  }
}
