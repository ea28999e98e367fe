// The suite aimed at a BFF that it did not start: the edge stands in for somebody else's.

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

/** Those that take the longest: return addresses by the hundred, each of which is a sign-in, a provider's outages, bodies that never end. */
const LEFT_OUT = ['S28', 'S29', 'S30', 'S31', 'S32', 'S33', 'S34', 'S35', 'S105', 'S113'];
const ASKED = [
  ...new Set(
    Object.values(SECTIONS)
      .flat()
      .map(({ id }) => id),
  ),
].filter((id) => !LEFT_OUT.includes(id));
/** What the answers alone do not show, or what takes another configuration, a provider that is new or a part that is down: and nothing else may be missing. */
const WANTS =
  /^(?:needs a BFF (?:that the suite can restart|whose log can be read)|needs a provider that nothing was asked of yet|the profile has no (?:running BFF|coordinator that can be taken down))/;
/** For want of that, whatever else cannot. */
const CANNOT = ['S64', 'S104', 'S132', 'S133', 'S134', 'S135', 'S146'];
const LIMIT_MS = 200_000;

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
      if (outcome === 'cannot run') for (const why of (detail ?? '').split('\n')) assert.match(why, WANTS, id);
      else assert.equal(outcome, 'passed', id);
    }
    const cannot = rows.flatMap(({ id, outcome }) => (outcome === 'cannot run' ? id : []));
    assert.deepEqual(
      CANNOT.filter((id) => !cannot.includes(id)),
      [],
      'they looked at what nobody can see from outside',
    );
    assert.ok(cannot.length < rows.length / 4, `${cannot.length} of ${rows.length} cannot be tried: ${cannot}`);
    assert.match(stdout, /^CANNOT RUN S134 /m);
    // Nobody here knows the tokens that were in use: they are looked for by their form.
    const log = running.log();
    assert.ok(log.split('\n').length > 20, log);
    assert.deepEqual(leaks(log, [...running.secrets, ...provider.secrets.keys()]), [], 'in the log');
    assert.doesNotMatch(log, /\b[ar]t_[\w-]{43}/, 'a token of the stub is in the log');
    // And it is that address which is attacked.
    const nobody = run(`http://localhost:${new URL(bridge.origin).port}`, ['S1', 'S38']);
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
