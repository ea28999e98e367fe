#!/usr/bin/env node
// The security suite: attacks a BFF and prints the result of every case of the catalogue.
//
//   node tests/security/run.mjs [S1 S2 …] [--section login] [--profile MODULE] [--base-url URL --provider-port N
//   --upstream-port N]
//                               [--json FILE] [--results FOLDER] [--strict]
//
//   --profile    a module like profile/causeway.mjs; or CAUSEWAY_SECURITY_PROFILE
//   --base-url   a BFF that runs already and is configured for the stubs, which then need fixed ports
//   --json       where the table goes for programs; tests/security/result-<runtime>.json without it
//   --results    count the tests of other suites that are named after a case, too: scripts/test has run them and
//   recorded
//                their results in this folder, see suite.mjs
//   --strict     a chosen case that no test claims, or that cannot be run, is a failure; without a choice all are
//   chosen
//
// CAUSEWAY_TARGET chooses the runtime of the edge that the profile starts.

import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { Bff } from './bff.mjs';
import { CATALOGUE } from './catalogue.mjs';
import { SECTIONS } from './section.mjs';
import { leakResult } from './leak.mjs';
import { ProviderStub } from './provider/stub.mjs';
import { run, traps } from './runner.mjs';
import { suiteResults } from './suite.mjs';
import { isFailure, table } from './table.mjs';
import { UpstreamStub } from './upstream.mjs';

const { values, positionals: chosen } = parseArgs({
  allowPositionals: true,
  options: {
    section: { type: 'string', multiple: true },
    profile: { type: 'string' },
    'base-url': { type: 'string' },
    'provider-port': { type: 'string' },
    'upstream-port': { type: 'string' },
    json: { type: 'string' },
    results: { type: 'string' },
    strict: { type: 'boolean' },
  },
});

const isOfSection = (/** @type {string} */ name) => !values.section || values.section.includes(name);
const ofSections = Object.entries(SECTIONS).flatMap(([name, cases]) =>
  isOfSection(name) ? cases.map(({ id }) => id) : [],
);
const unknown = [
  ...chosen.filter((id) => !(id in CATALOGUE)),
  ...(values.section ?? []).filter((name) => !(name in SECTIONS)),
];
if (unknown.length) {
  console.error(
    `run: no case or section is called ${unknown.join(', ')}; sections are ${Object.keys(SECTIONS).join(', ')}`,
  );
  process.exit(2);
}
/** Whether every case is to be run. */
const isWhole = !chosen.length && !values.section;
/** The cases this run is about; all without it. */
const selection = isWhole ? undefined : chosen.length ? chosen : [...new Set(ofSections)];
const module = values.profile ?? process.env.CAUSEWAY_SECURITY_PROFILE;
/** @type {import('./bff.mjs').Profile} */
const profile = await import(module ? resolve(module) : './profile/causeway.mjs');

const recorded = values.results
  ? suiteResults(values.results, process.env.CAUSEWAY_TARGET || 'workers', selection)
  : [];
if (values.results)
  console.log(
    `suites ${new Set(recorded.map(({ title }) => title)).size} tests of other suites claim ${new Set(recorded.map(({ id }) => id)).size} cases`,
  );

const upstreamPort = Number(values['upstream-port'] ?? 0);
const provider = await ProviderStub.start(Number(values['provider-port'] ?? 0));
const [upstream, otherUpstream, bridge] = await Promise.all(
  [0, 1, 2].map((offset) => UpstreamStub.start(upstreamPort && upstreamPort + offset)),
);
if (!upstream || !otherUpstream || !bridge) throw new Error('no stubs');
const realms = profile.register(provider);

const running = values['base-url'] ? undefined : await profile.start({ provider, upstream, otherUpstream, bridge });
otherUpstream.usual = (request) =>
  request.path === '/user' ? realms.github?.whoami(request) : running?.app.answer(request);
const runtime = running?.runtime ?? 'external';
const bff = new Bff({
  profile,
  origin: values['base-url'] ?? running?.origin ?? '',
  running,
  provider,
  realms,
  upstream,
  otherUpstream,
  bridge,
});

/** @type {import('./case.mjs').Result[]} */
const results = [];
/** @param {import('./case.mjs').Result} result @param {number} [milliseconds] */
function report(result, milliseconds = 0) {
  results.push(result);
  if (result.outcome !== 'passed' || milliseconds)
    console.log(
      `${result.outcome === 'passed' ? 'ok    ' : result.outcome.toUpperCase()} ${result.id.padEnd(5)} ${result.title} (${milliseconds} ms)`,
    );
  if (result.detail) console.log(result.detail.replace(/^/gm, '       '));
}

for (const result of recorded) report(result);
try {
  for (const [name, cases] of Object.entries(SECTIONS)) {
    if (!isOfSection(name)) continue;
    await run(
      cases.filter(({ id }) => !chosen.length || chosen.includes(id)),
      `HTTP, ${name}`,
      bff,
      report,
    );
  }
  // Without an attack there is nothing to search.
  if (isWhole || results.some(({ kind }) => kind === 'http')) report(leakResult(bff, provider, isWhole));
  // A crash may be logged after its case has ended.
  const crashes = traps(bff);
  if (crashes.length)
    report({
      id: 'S136',
      title: 'a crash in the log of the BFF',
      kind: 'http',
      where: 'log',
      outcome: 'failed',
      detail: crashes.slice(0, 20).join('\n'),
    });
} finally {
  await running?.stop();
  for (const stub of [provider, upstream, otherUpstream, bridge]) stub.close();
}

/** @type {import('./case.mjs').Kind[]} */
const kinds = values.results ? ['http', 'native', 'journey'] : ['http'];
const rows = table(results, { runtime, kinds, ...(selection && { chosen: selection }) });
console.log(`\n${profile.name} on ${runtime}: ${rows.text}`);
writeFileSync(
  values.json ?? join(import.meta.dirname, `result-${runtime}.json`),
  `${JSON.stringify({ profile: profile.name, runtime, counts: rows.counts, cases: rows.rows }, undefined, 1)}\n`,
);
process.exit(rows.rows.some((row) => isFailure(row, values.strict === true)) ? 1 : 0);
