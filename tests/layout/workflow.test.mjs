// What the forge's machines differ in from a developer's: the mistakes that only they would show.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

import { parse } from 'yaml';

const ROOT = resolve(import.meta.dirname, '../..');
const read = (/** @type {string} */ path) => readFileSync(join(ROOT, path), 'utf8');

/**
 * @typedef {{ uses?: string, run?: string, with?: Record<string, unknown> }} Step
 * @typedef {{ container?: string, steps?: Step[], strategy?: { matrix?: { include?: Record<string, string>[] } } }} Job
 */

/** @type {{ name: string, job: Job, steps: Step[] }[]} */
const jobs = readdirSync(join(ROOT, '.github/workflows'))
  .filter((file) => file.endsWith('.yml'))
  .flatMap((file) =>
    Object.entries(/** @type {Record<string, Job>} */ (parse(read(`.github/workflows/${file}`)).jobs)).map(
      ([name, job]) => ({ name: `${file}: ${name}`, job, steps: job.steps ?? [] }),
    ),
  );

/** The shell's lines of a step, continued ones as one. @param {Step} step */
const commands = ({ run = '' }) => run.replaceAll(/\\\n\s*/g, '').split('\n');

test('Git reads the checkout in each container, where it is of another user', () => {
  const inContainers = jobs.filter(
    ({ job, steps }) => job.container && steps.some(({ uses }) => uses?.startsWith('actions/checkout@')),
  );
  assert.ok(inContainers.length > 2);
  for (const { name, steps } of inContainers) {
    const trusted = steps.findIndex(({ run }) => /^git config --global --add safe\.directory /m.test(run ?? ''));
    const first = steps.findIndex(({ run }) => /(^|\s)(\.\/scripts\/|node )/.test(run ?? ''));
    assert.ok(trusted >= 0 && trusted < first, name);
  }
});

test('tests that read tags have them', () => {
  for (const { name, steps } of jobs) {
    const reads = steps.some(({ run }) => /scripts\/test |versioning\.test/.test(run ?? ''));
    const checkout = steps.find(({ uses }) => uses?.startsWith('actions/checkout@'));
    if (reads) assert.equal(checkout?.with?.['fetch-depth'], 0, name);
  }
});

test('what cargo builds for a script is where the script looks for it', () => {
  const builds = jobs.flatMap(({ name, steps }) => steps.flatMap(commands).map((line) => ({ name, line })));
  for (const { name, line } of builds.filter(({ line }) => /\bcargo (build|run|test)\b/.test(line)))
    assert.match(line, /^source scripts\/env && cargo /, name);
});

test('every image of compose.yaml is published for both architectures, from a Dockerfile that CI lints', () => {
  /** @type {{ image?: string, build?: { dockerfile: string } }[]} */
  const services = Object.values(parse(read('compose.yaml'), { merge: true }).services);
  const built = services
    .filter(({ build }) => build)
    .map(({ image = '', build }) => ({ name: /\/([\w-]+):/.exec(image)?.[1], file: build?.dockerfile }));
  const publishing = jobs.filter(({ steps }) =>
    steps.flatMap(commands).some((line) => /buildx build .*--push/.test(line)),
  );
  assert.deepEqual(
    publishing
      .flatMap(({ job }) => job.strategy?.matrix?.include ?? [])
      // The bridge is published with each of its Kafka clients.
      .filter(({ features }) => !features)
      .toSorted((a, b) => (a.name ?? '').localeCompare(b.name ?? '')),
    built.toSorted((a, b) => (a.name ?? '').localeCompare(b.name ?? '')),
  );
  for (const line of publishing
    .flatMap(({ steps }) => steps.flatMap(commands))
    .filter((it) => it.includes('buildx build')))
    assert.match(line, / --platform linux\/amd64,linux\/arm64 /);
  const lint = read('scripts/lint-deploy')
    .replaceAll('"$deploy/', 'examples/deploy/')
    .split(/["\s]+/);
  for (const { file = '' } of built) {
    assert.ok(lint.includes(file), file);
    const text = read(file);
    assert.match(text, /^USER 65532:65532$/m, file);
    // A build that runs emulated takes hours, and Wasm is the same everywhere.
    if (text.includes('wasm32-')) assert.match(text, /^FROM --platform=\$BUILDPLATFORM \S+ AS build$/m, file);
  }
});
