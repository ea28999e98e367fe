#!/usr/bin/env node
// The security suite: attacks a BFF and prints the result of every case of the catalogue.
//
//   node tests/security/run.mjs [S1 S2 … | --section login] [--profile MODULE]
//                               [--base-url URL --provider-port N --upstream-port N]
//                               [--json FILE] [--results FOLDER] [--strict]
//
//   --section    run the cases of this section only; may be repeated, but not combined with case ids
//   --profile    the module that describes the BFF, as profile/causeway.mjs does, which is the default; without the
//                option, CAUSEWAY_SECURITY_PROFILE names it
//   --base-url   attack the BFF that runs at this address, instead of starting one. It must be configured for the
//                stubs, whose ports are then set by --provider-port and --upstream-port
//   --json       write the result of each case to this file; the default is tests/security/result-<runtime>.json
//   --results    include the tests of other suites whose names begin with a case id. scripts/test has run them, and
//                their records are in this folder (see suite.mjs)
//   --strict     fail if a selected case cannot run or has no test; without a selection this applies to all cases
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
import { crashLines, run } from './runner.mjs';
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

if (chosen.length && values.section) {
  console.error('run: choose cases either by id or by --section');
  process.exit(2);
}
const isSelectedSection = (/** @type {string} */ name) => !values.section || values.section.includes(name);
const ofSections = Object.entries(SECTIONS).flatMap(([name, cases]) =>
  isSelectedSection(name) ? cases.map(({ id }) => id) : [],
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
const runsAllCases = !chosen.length && !values.section;
/** The cases this run is about; all without it. */
const selection = runsAllCases ? undefined : chosen.length ? chosen : [...new Set(ofSections)];
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
otherUpstream.defaultHandler = (request) =>
  request.path === '/user' ? realms.github?.userinfo(request) : running?.app.answer(request);
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
    if (!isSelectedSection(name)) continue;
    await run(
      cases.filter(({ id }) => !chosen.length || chosen.includes(id)),
      `HTTP, ${name}`,
      bff,
      report,
    );
  }
  // Without an attack there is nothing to search.
  if (runsAllCases || results.some(({ kind }) => kind === 'http')) report(leakResult(bff, provider, runsAllCases));
  // A crash may be logged after its case has ended.
  const crashes = crashLines(bff);
  if (crashes.length)
    report({
      id: 'S136',
      title: "no crash in the BFF's log",
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
