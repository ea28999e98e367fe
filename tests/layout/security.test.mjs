// The security suite itself: a scan that finds nothing and a table that hides nothing are worth nothing.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { CATALOGUE, needed } from '../security/catalogue.mjs';
import { PRIVATE_KEY, finder, forms } from '../security/leak.mjs';
import { afterLast, isThere, passedInRust, passedInTap, rustTests, widgetTests } from '../security/native.mjs';
import { run } from '../security/runner.mjs';
import { SECTIONS } from '../security/section.mjs';
import { isFailure, table } from '../security/table.mjs';
import { exchange } from '../security/wire.mjs';

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

test('the leak scan finds a part of a secret, wherever it is cut, and of a JSON Web Token what is its own', () => {
  const token = 'rt_0aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX2yZ3-_a4bC5';
  const find = finder([{ what: 'token', forms: forms(token) }]);
  for (const form of forms(token)) {
    for (let at = 0; at + 24 <= form.length; at++) {
      assert.equal(find(`x${form.slice(at, at + 24)}`).length, 1, `${form} from ${at} on`);
      // So little is anybody's.
      assert.deepEqual(find(`${form.slice(at, at + 23)}|`), [], `${form} from ${at} on`);
    }
  }
  const jwt = (/** @type {unknown[]} */ ...parts) =>
    parts.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const header = { alg: 'RS256', kid: 'a key that signs for everybody', typ: 'JWT' };
  const findToken = finder([
    { what: 'ID token', forms: forms(jwt(header, { sub: 'somebody in particular' }, 'signature'.repeat(9))) },
  ]);
  assert.deepEqual(findToken(jwt(header, {})), []);
  for (const text of [jwt(header, { sub: 'somebody in particular' }), jwt('signature'.repeat(3))])
    assert.equal(findToken(text).length, 1, text);
  // Thousands that begin alike are told apart all the same.
  const many = Array.from({ length: 3_000 }, (_, index) => ({
    what: `token ${index}`,
    forms: forms(`${'the same beginning of all. '.repeat(3)}${Buffer.from(String(index).repeat(9)).toString('hex')}`),
  }));
  assert.match(finder(many)(many[2_999]?.forms[0] ?? '').join(), /token 2999/);
});

test('the leak scan knows a private key, however often it is quoted', () => {
  for (
    let quoted = { d: 'k'.repeat(43) }, times = 0, text = JSON.stringify(quoted);
    times < 3;
    times++, text = JSON.stringify(text)
  )
    assert.match(text, PRIVATE_KEY);
  assert.doesNotMatch(JSON.stringify({ d: 'k'.repeat(44) }), PRIVATE_KEY);
});

test('the table shows what failed and what nobody tests', () => {
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
  assert.equal(of('S1')?.outcome, 'failed', 'one failure is not outvoted');
  const missing = of('S2');
  assert.equal(missing?.outcome, 'missing');
  assert.ok(missing && isFailure(missing, true) && !isFailure(missing, false));
  assert.ok(isFailure(result('failed'), false));
  assert.deepEqual(
    [of('S3')?.outcome, of('S3')?.detail],
    ['missing', 'no native test claims it'],
    'another kind of test does not stand in',
  );
  assert.match(of('S119')?.note ?? '', /no HTTP case on Workers/);
  assert.match(of('S62')?.note ?? '', /not measured/);
  assert.match(
    text,
    /^1 failed, \d+ missing, beyond the list: S110 passed\n/,
    'what is not in the list is no case of it',
  );
});

test('the table of a selection is of that selection', () => {
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

test('what is not there is not run', () => {
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
    ...widgetTests(read('widget/test/*.test.mjs')).map((name) => name.replace(/:.*$/s, '')),
  ].flatMap((name) => name.match(/\d+/g) ?? []);
  const inNames = (/** @type {string[]} */ names) =>
    names.flatMap((name) => name.replace(/:.*$/s, '').match(/\d+/g) ?? []).map((number) => `S${number}`);
  for (const runtime of ['workers', 'spin']) {
    const journeys = widgetTests(read('tests/{http,conformance}/*.test.mjs')).filter((name) => isThere(name, runtime));
    // The leak scan is a case by itself, and comes after each run of journeys.
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

test('a run of journeys whose leak scan fails is a failure, though every test has passed', () => {
  const ran = { status: 0, stdout: 'ok 1 - S1: x\n# no leak of 9 secrets in 9 answers\n', stderr: '' };
  const outcomes = (/** @type {Parameters<typeof afterLast>} */ ...all) =>
    afterLast(...all).map(({ id, outcome }) => `${id} ${outcome}`);
  assert.deepEqual(outcomes(ran, 'here', 'journey', true, true), ['S133 passed']);
  assert.deepEqual(
    outcomes({ ...ran, status: 1 }, 'here', 'journey', true, true),
    ['S133 failed'],
    'the scan of one stack failed',
  );
  assert.deepEqual(
    outcomes({ ...ran, stdout: 'ok 1 - S1: x\n' }, 'here', 'journey', true, true),
    ['S133 failed'],
    'there was none',
  );
  assert.deepEqual(outcomes({ ...ran, status: 101 }, 'here', 'native', true), ['S133 failed']);
  assert.deepEqual(outcomes({ ...ran, status: 101 }, 'here', 'native', false), [], 'a test that failed says so itself');
  assert.deepEqual(outcomes(ran, 'here', 'native', true), []);
});

test('a native test counts as passed only if its runner says so', () => {
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
  ];
  assert.deepEqual([...passedInRust(said.join('\n'))], ['a::s1_x', 'a::s4_x']);
  assert.deepEqual(widgetTests("test('S1, S2: x', a); test.skip(\n  \"S3: it's\", b); test('plain S4', c)"), [
    'S1, S2: x',
    "S3: it's",
  ]);
  assert.deepEqual(
    ['S1: on Workers, x', 'S1: on Spin, x', 'S1: x'].filter((name) => isThere(name, 'spin')),
    ['S1: on Spin, x', 'S1: x'],
  );
  const tap = [
    '    ok 1 - S1: x',
    '    not ok 2 - S2: x',
    'ok 3 - S3: x # SKIP no browser',
    'ok 4 - S4: x # time=1',
    'ok 5 - S5: x',
    'not ok 6 - S5: x',
    'ok 7 - S6: x # TODO',
  ];
  const several = ['S8: of ${each ? "x" : "y"}', 'S9: of ${each}', 'S10: of ${none}'];
  tap.push('ok 8 - S8: of x', 'ok 9 - S8: of y', 'ok 10 - S9: of x', 'not ok 11 - S9: of y');
  assert.deepEqual(
    [...passedInTap(tap.join('\n'), ['S1: x', 'S2: x', 'S3: x', 'S4: x', 'S5: x', 'S6: x', 'S7: x', ...several])],
    ['S1: x', 'S4: x', several[0]],
  );
});

test('an attack that runs out of time reaches nothing afterwards', async () => {
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
    { id: 'S4', title: 'deaf', attack: () => new Promise(() => {}) },
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
