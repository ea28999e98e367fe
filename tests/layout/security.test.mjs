// Tests of the security suite itself: its leak scan must find leaks, and its table must show every failure.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { CATALOGUE, needed } from '../security/catalogue.mjs';
import { PRIVATE_KEY } from '../security/leak.mjs';
import { outcomeOf } from '../security/reporter.mjs';
import { run } from '../security/runner.mjs';
import { SECTIONS } from '../security/section.mjs';
import {
  afterLast,
  isThere,
  javaScriptTests,
  passedInJavaScript,
  passedInRust,
  rustTests,
  suiteResults,
} from '../security/suite.mjs';
import { isFailure, table } from '../security/table.mjs';
import { exchange } from '../support/exchange.mjs';
import { finder, forms } from '../support/secret-finder.mjs';

const SECRET = 'at_Zm9v+/YmFyLWJheg~q%"';
const OTHER = [...SECRET].toReversed().join('');

test('the leak scan finds a secret in every form and at every offset', () => {
  const find = finder([
    { what: 'another', forms: forms(OTHER) },
    { what: 'token', forms: forms(SECRET) },
  ]);
  for (const hidden of [
    SECRET,
    encodeURIComponent(SECRET),
    Buffer.from(SECRET).toString('hex'),
    Buffer.from(SECRET).toString('hex').toUpperCase(),
    JSON.stringify({ token: SECRET }),
    ...['', 'x', 'xx', 'xxx', 'Bearer '].flatMap((before) =>
      ['base64', 'base64url'].map((alphabet) =>
        Buffer.from(`${before}${SECRET}"}`).toString(/** @type {BufferEncoding} */ (alphabet)),
      ),
    ),
  ])
    for (const text of [hidden, `before ${hidden} after`]) assert.deepEqual(find(text), ['token at_Zm9…'], text);
  assert.deepEqual(find(''), []);
  assert.equal(find(`${SECRET}${OTHER}${SECRET}`).length, 2);
});

test('the leak scan finds any 24 characters of a secret, and leaves out the header of a JSON Web Token', () => {
  const token = 'rt_0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX2yZ3-_a4bC5';
  const find = finder([{ what: 'token', forms: forms(token) }]);
  for (const form of forms(token)) {
    for (let at = 0; at + 24 <= form.length; at++) {
      assert.equal(find(`x${form.slice(at, at + 24)}`).length, 1, `${form} from ${at} on`);
      // Fewer characters may be a coincidence.
      assert.deepEqual(find(`${form.slice(at, at + 23)}|`), [], `${form} from ${at} on`);
    }
  }
  const jwt = (/** @type {unknown[]} */ ...parts) =>
    parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const header = { alg: 'RS256', kid: 'a key that signs every token', typ: 'JWT' };
  const findToken = finder([
    { what: 'ID token', forms: forms(jwt(header, { sub: 'one user' }, 'signature'.repeat(9))) },
  ]);
  assert.deepEqual(findToken(jwt(header, {})), []);
  for (const text of [jwt(header, { sub: 'one user' }), jwt('signature'.repeat(3))])
    assert.equal(findToken(text).length, 1, text);
  // Thousands of secrets that begin alike are still told apart.
  const many = Array.from({ length: 3_000 }, (_, index) => ({
    what: `token ${index}`,
    forms: forms(`${'the same beginning of all. '.repeat(3)}${Buffer.from(String(index).repeat(9)).toString('hex')}`),
  }));
  assert.match(finder(many)(many[2_999]?.forms[0] ?? '').join(), /token 2999/);
});

test('the leak scan recognises a private key at any depth of JSON quoting', () => {
  for (
    let quoted = { d: 'k'.repeat(43) }, times = 0, text = JSON.stringify(quoted);
    times < 3;
    times++, text = JSON.stringify(text)
  )
    assert.match(text, PRIVATE_KEY);
  assert.doesNotMatch(JSON.stringify({ d: 'k'.repeat(44) }), PRIVATE_KEY);
});

test('the table shows failures and cases without a test', () => {
  const result = (/** @type {import('../security/case.mjs').Outcome} */ outcome, id = 'S1') => ({
    id,
    title: 'x',
    kind: /** @type {const} */ ('http'),
    where: 'here',
    outcome,
  });
  const { rows, text } = table(
    [result('passed'), result('failed'), result('passed', 'S3'), result('passed', 'S119'), result('passed', 'S110')],
    { runtime: 'workers', kinds: ['http', 'native'] },
  );
  const of = (/** @type {string} */ id) => rows.find((row) => row.id === id);
  assert.equal(of('S1')?.outcome, 'failed', 'one failure outweighs a success');
  const missing = of('S2');
  assert.equal(missing?.outcome, 'missing');
  assert.ok(missing && isFailure(missing, true) && !isFailure(missing, false));
  assert.ok(isFailure(result('failed'), false));
  assert.deepEqual(
    [of('S3')?.outcome, of('S3')?.detail],
    ['missing', 'no native test claims it'],
    'no other kind of test replaces it',
  );
  assert.match(of('S119')?.note ?? '', /no HTTP case on Workers/);
  assert.match(of('S62')?.note ?? '', /not measured/);
  assert.match(
    text,
    /^1 failed, \d+ missing, beyond the list: S110 passed\n/,
    'numbers beyond the catalogue are counted apart',
  );
});

test('the table of a selection holds its cases only', () => {
  const result = /** @type {const} */ ({ id: 'S3', title: 'x', kind: 'http', where: 'here', outcome: 'passed' });
  const { rows } = table([result], { runtime: 'spin', kinds: ['http'], chosen: ['S3', 'S4', 'S66'] });
  assert.deepEqual(
    rows.map(({ id, outcome }) => [id, outcome]),
    [
      ['S3', 'passed'],
      ['S4', 'missing'],
      ['S66', 'missing'],
    ],
  );
});

test('an unknown case or section is rejected', () => {
  for (const wrong of [['S8'], ['S38', 'S380'], ['--section', 'tokens']]) {
    const { status, stderr } = spawnSync(
      process.execPath,
      [join(import.meta.dirname, '../security/run.mjs'), ...wrong],
      { encoding: 'utf8' },
    );
    assert.equal(status, 2);
    assert.match(stderr, new RegExp(`called ${wrong.at(-1)};`));
  }
});

test('every case is in the catalogue', () => {
  const unknown = Object.values(SECTIONS)
    .flat()
    .map(({ id }) => id)
    .filter((id) => !(id in CATALOGUE));
  assert.deepEqual(unknown, []);
});

test('a test claims every case of the catalogue', () => {
  const root = join(import.meta.dirname, '../..');
  const read = (/** @type {string} */ pattern) =>
    globSync(join(root, pattern))
      .map((file) => readFileSync(file, 'utf8'))
      .join('\n');
  const rust = read('{edge/core,edge/protocol,kafka-bridge,tests/spin-host}/**/*.rs').match(/\bfn (?:s\d+_)+/g) ?? [];
  const numbers = [
    ...rust,
    ...javaScriptTests(read('widget/test/*.test.mjs')).map((name) => name.replace(/:.*$/s, '')),
  ].flatMap((name) => name.match(/\d+/g) ?? []);
  const inNames = (/** @type {string[]} */ names) =>
    names.flatMap((name) => name.replace(/:.*$/s, '').match(/\d+/g) ?? []).map((number) => `S${number}`);
  for (const runtime of ['workers', 'spin']) {
    const journeys = javaScriptTests(read('tests/{http,conformance}/*.test.mjs')).filter((name) =>
      isThere(name, runtime),
    );
    // The leak scan is a case of its own. It follows each run of journeys.
    const claimed = {
      http: new Set([
        'S133',
        ...Object.values(SECTIONS)
          .flat()
          .filter((one) => !one.runtime || one.runtime === runtime)
          .map(({ id }) => id),
      ]),
      native: new Set(numbers.map((number) => `S${number}`)),
      journey: new Set(['S133', ...inNames(journeys)]),
    };
    assert.deepEqual(
      Object.keys(CATALOGUE).flatMap((id) =>
        needed(id, runtime)
          .filter((kind) => !claimed[kind].has(id))
          .map((kind) => `${id} by ${kind} on ${runtime}`),
      ),
      [],
    );
    assert.ok(Object.keys(CATALOGUE).every((id) => needed(id, runtime).length > 0));
  }
});

test('journeys fail if their leak scan does, though every test has passed', () => {
  const ended = { status: '0', stdout: 'ok 1 - S1: x\n# no leak of 9 secrets in 9 answers\n' };
  const outcomes = (/** @type {Parameters<typeof afterLast>} */ ...all) =>
    afterLast(...all).map(({ id, outcome }) => `${id} ${outcome}`);
  assert.deepEqual(outcomes(ended, 'here', 'journey', true, true), ['S133 passed']);
  assert.deepEqual(
    outcomes({ ...ended, status: '1' }, 'here', 'journey', true, true),
    ['S133 failed'],
    'the scan of one stack failed',
  );
  assert.deepEqual(
    outcomes({ ...ended, stdout: 'ok 1 - S1: x\n' }, 'here', 'journey', true, true),
    ['S133 failed'],
    'there was no scan',
  );
  assert.deepEqual(outcomes({ ...ended, status: '101' }, 'here', 'native', true), ['S133 failed']);
  assert.deepEqual(
    outcomes({ ...ended, status: '101' }, 'here', 'native', false),
    [],
    'a failed test is reported by its own name',
  );
  assert.deepEqual(outcomes(ended, 'here', 'native', true), []);
});

test('a test of another suite counts as passed only if its runner says so', () => {
  assert.deepEqual(rustTests('a::s1_s2_x: test\na::plain: test\ns3_y: benchmark\n'), ['a::s1_s2_x']);
  const said = [
    'running 4 tests',
    'test a::s1_x ... ok',
    'test a::s2_x ... FAILED',
    'test a::s3_x ... ignored',
    'test a::s4_x - should panic ... ok',
    'test a::s5_x ... ok',
    'test a::s5_x ... FAILED',
    'not test a::s6_x ... ok',
    'test a::s7_x ... ',
    'test a::s8_x ... ok',
    'test a::s9_x ... ok',
    'test a::s9_x ... ok',
  ];
  const listed = [1, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 9].map((number) => `a::s${number}_x`);
  assert.deepEqual(
    [...passedInRust(said.join('\n'), listed)],
    ['a::s1_x', 'a::s4_x', 'a::s9_x'],
    'of two programs with one name, both must say so',
  );
  assert.deepEqual(javaScriptTests("test('S1, S2: x', a); test.skip(\n  \"S3: it's\", b); test('plain S4', c)"), [
    'S1, S2: x',
    "S3: it's",
  ]);
  assert.deepEqual(
    ['S1: on Workers, x', 'S1: on Spin, x', 'S1: x'].filter((name) => isThere(name, 'spin')),
    ['S1: on Spin, x', 'S1: x'],
  );
  const events = [
    { type: 'test:pass', data: { name: 'S1: x' } },
    { type: 'test:fail', data: { name: 'S2: x' } },
    { type: 'test:pass', data: { name: 'S3: x', skip: 'no browser' } },
    { type: 'test:pass', data: { name: 'S4: x' } },
    { type: 'test:pass', data: { name: 'S5: x' } },
    { type: 'test:fail', data: { name: 'S5: x' } },
    { type: 'test:pass', data: { name: 'S6: x', todo: true } },
    { type: 'test:pass', data: { name: 'S8: of x' } },
    { type: 'test:pass', data: { name: 'S8: of y' } },
    { type: 'test:pass', data: { name: 'S9: of x' } },
    { type: 'test:fail', data: { name: 'S9: of y' } },
  ];
  const several = ['S8: of ${each ? "x" : "y"}', 'S9: of ${each}', 'S10: of ${none}'];
  assert.deepEqual(
    [
      ...passedInJavaScript(events.map(outcomeOf), [
        ...['S1: x', 'S2: x', 'S3: x', 'S4: x', 'S5: x', 'S6: x', 'S7: x'],
        ...several,
      ]),
    ],
    ['S1: x', 'S4: x', several[0]],
  );
});

test('the reporter writes down each test that ended, and nothing of what did not', () => {
  const folder = mkdtempSync(join(tmpdir(), 'causeway-reporter-'));
  try {
    const [file, source] = [join(folder, 'outcomes'), join(folder, 'crash.test.mjs')];
    writeFileSync(
      source,
      `import { describe, test } from 'node:test';
       describe('S1: suite', () => { test('S2: x', () => {}); test('S3: x', () => { throw new Error('no'); }); });
       test('S4: x', { skip: 'no browser' }, () => {});
       test('S5: x', { todo: true }, () => {});
       test('S6: x', () => { if (process.env.CAUSEWAY_TEST_OUTCOMES) throw new Error('inherited'); });
       test('S7: x', async () => { await new Promise((resolve) => setTimeout(resolve, 200)); process.kill(process.pid, 'SIGKILL'); });
       test('S8: x', () => {});`,
    );
    const reporter = join(import.meta.dirname, '../security/reporter.mjs');
    const { stdout } = spawnSync(
      process.execPath,
      ['--test', '--test-isolation=none', `--test-reporter=${reporter}`, source],
      { encoding: 'utf8', env: { ...process.env, NODE_TEST_CONTEXT: undefined, CAUSEWAY_TEST_OUTCOMES: file } },
    );
    assert.match(stdout, /✔ S2: x/, 'it prints what spec prints');
    const outcomes = readFileSync(file, 'utf8').trim().split('\n');
    assert.deepEqual(
      outcomes.map((line) => JSON.parse(line)),
      [
        { name: 'S2: x', hasPassed: true },
        { name: 'S3: x', hasPassed: false },
        { name: 'S4: x', hasPassed: false },
        { name: 'S5: x', hasPassed: false },
        { name: 'S6: x', hasPassed: true },
      ],
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('what was not recorded in a run has not passed in it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'causeway-results-'));
  try {
    const outcomes = (/** @type {string} */ where, /** @type {string[]} */ ...chosen) =>
      suiteResults(folder, 'spin', chosen.length ? chosen : undefined)
        .filter((result) => result.where === where)
        .map(({ id, outcome }) => `${id} ${outcome}`);
    const write = (/** @type {string} */ file, /** @type {string} */ text) => writeFileSync(join(folder, file), text);
    assert.deepEqual(outcomes('Rust, core'), ['S133 failed'], 'a suite that was not run');
    assert.ok(outcomes('conformance').length > 1);
    assert.ok(outcomes('conformance').every((outcome) => outcome.endsWith(' failed')));
    write('rust-core.list', 'a::s1_x: test\na::s2_s3_x: test\n');
    assert.deepEqual(outcomes('Rust, core'), ['S1 failed', 'S2 failed', 'S3 failed'], 'a suite that was only listed');
    write('rust-core.out', 'test a::s1_x ... ok\n');
    write('rust-core.status', '101\n');
    assert.deepEqual(outcomes('Rust, core'), ['S1 passed', 'S2 failed', 'S3 failed'], 'a suite that crashed');
    assert.deepEqual(outcomes('Rust, core', 'S3'), ['S2 failed', 'S3 failed'], 'a choice is of tests');
    assert.deepEqual(outcomes('Rust, core', 'S4'), [], 'a choice needs no suite without a test for it');
    write('rust-core.out', 'test a::s1_x ... ok\ntest a::s2_s3_x ... ok\n');
    assert.deepEqual(outcomes('Rust, core'), ['S1 passed', 'S2 passed', 'S3 passed', 'S133 failed']);
    write('rust-core.status', '0\n');
    assert.deepEqual(outcomes('Rust, core'), ['S1 passed', 'S2 passed', 'S3 passed']);
    // The other runtime's journeys count for nothing.
    write('http-workers.status', '0\n');
    write('http-workers.out', '# no leak of 9 secrets in 9 answers\n');
    assert.ok(outcomes('HTTP journey').includes('S133 failed'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('an attack that ran out of time can send nothing more', async () => {
  let asked = 0;
  const server = createServer((incoming, outgoing) => {
    asked++;
    if (incoming.url !== '/never') outgoing.end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${/** @type {import('node:net').AddressInfo} */ (server.address()).port}`;
  const stub = { reset() {} };
  const bff = /** @type {import('../security/bff.mjs').Bff} */ (
    /** @type {unknown} */ ({ provider: stub, upstream: stub, otherUpstream: stub, bridge: stub })
  );
  /** @type {import('../security/case.mjs').Result[]} */
  const results = [];
  let left = '';
  /** @type {import('../security/case.mjs').Case[]} */
  const cases = [
    {
      id: 'S1',
      title: 'endless',
      attack: async () => {
        for (;;) await exchange(origin, '/');
      },
    },
    {
      id: 'S2',
      title: 'waiting',
      attack: () =>
        exchange(origin, '/never').catch((error) => {
          left = error.name;
          throw error;
        }),
    },
    { id: 'S3', title: 'fine', attack: () => exchange(origin, '/') },
    { id: 'S4', title: 'unstoppable', attack: () => new Promise(() => {}) },
    { id: 'S5', title: 'after it', attack: async () => {} },
  ];
  await run(cases, 'here', bff, (result) => void results.push(result), { attackMs: 60, endMs: 60 });
  assert.deepEqual(
    results.map(({ outcome }) => outcome),
    ['failed', 'failed', 'passed', 'failed', 'cannot run'],
  );
  assert.match(results[0]?.detail ?? '', /was stopped/);
  assert.match(results[3]?.detail ?? '', /could not be stopped/);
  assert.equal(left, 'AbortError');
  const before = asked;
  await delay(50);
  assert.equal(asked, before);
  server.closeAllConnections();
  server.close();
});
