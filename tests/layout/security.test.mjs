// The security suite itself: a scan that finds nothing and a table that hides nothing are worth nothing.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { globSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { CATALOGUE } from '../security/catalogue.mjs';
import { finder, forms } from '../security/leak.mjs';
import { passedInRust, passedInTap, rustTests, widgetTests } from '../security/native.mjs';
import { run } from '../security/runner.mjs';
import { SECTIONS } from '../security/section.mjs';
import { isFailure, table } from '../security/table.mjs';
import { exchange } from '../security/wire.mjs';

const SECRET = 'at_Zm9v+/YmFyLWJheg~q%"';

test('the leak scan finds a secret in every form and at every offset', () => {
  const find = finder([{ what: 'another', forms: forms(SECRET.replaceAll('Z', 'Q')) }, { what: 'token', forms: forms(SECRET) }]);
  for (const hidden of [
    SECRET, encodeURIComponent(SECRET), Buffer.from(SECRET).toString('hex'), Buffer.from(SECRET).toString('hex').toUpperCase(), JSON.stringify({ token: SECRET }),
    ...['', 'x', 'xx', 'xxx', 'Bearer '].flatMap((before) => ['base64', 'base64url'].map((alphabet) => Buffer.from(`${before}${SECRET}"}`).toString(/** @type {BufferEncoding} */ (alphabet)))),
  ]) for (const text of [hidden, `before ${hidden} after`]) assert.deepEqual(find(text), ['token at_Zm9…'], text);
  for (const text of ['', SECRET.slice(0, -1), SECRET.slice(1)]) assert.deepEqual(find(text), []);
  assert.equal(find(`${SECRET}${SECRET.replaceAll('Z', 'Q')}${SECRET}`).length, 2);
});

test('the table shows what failed and what nobody tests', () => {
  const result = (/** @type {import('../security/case.mjs').Outcome} */ outcome) => ({ id: 'S1', title: 'x', where: 'here', outcome });
  const rows = table([result('passed'), result('failed')], true).rows;
  assert.equal(rows.find(({ id }) => id === 'S1')?.outcome, 'failed', 'one failure is not outvoted');
  const missing = rows.find(({ id }) => id === 'S2');
  assert.equal(missing?.outcome, 'missing');
  assert.ok(missing && isFailure(missing, true) && !isFailure(missing, false));
  assert.ok(isFailure(result('failed'), false));
});

test('every case is in the catalogue', () => {
  const unknown = Object.values(SECTIONS).flat().map(({ id }) => id).filter((id) => !(id in CATALOGUE));
  assert.deepEqual(unknown, []);
});

test('a test claims every case of the catalogue', () => {
  const root = join(import.meta.dirname, '../..');
  const read = (/** @type {string} */ pattern) => globSync(join(root, pattern)).map((file) => readFileSync(file, 'utf8')).join('\n');
  const rust = read('{edge/core,edge/protocol,kafka-bridge,tests/spin-host}/**/*.rs').match(/\bfn (?:s\d+_)+/g) ?? [];
  const numbers = [...rust, ...widgetTests(read('widget/test/*.test.mjs')).map((name) => name.replace(/:.*$/s, ''))].flatMap((name) => name.match(/\d+/g) ?? []);
  // The leak scan is one by itself.
  const claimed = new Set(['S133', ...Object.values(SECTIONS).flat().map(({ id }) => id), ...numbers.map((number) => `S${number}`)]);
  assert.deepEqual(Object.keys(CATALOGUE).filter((id) => !claimed.has(id)), []);
});

test('a native test counts as passed only if its runner says so', () => {
  assert.deepEqual(rustTests('a::s1_s2_x: test\na::plain: test\ns3_y: benchmark\n'), ['a::s1_s2_x']);
  const said = ['running 4 tests', 'test a::s1_x ... ok', 'test a::s2_x ... FAILED', 'test a::s3_x ... ignored', 'test a::s4_x - should panic ... ok', 'test a::s5_x ... ok', 'test a::s5_x ... FAILED', 'not test a::s6_x ... ok', 'test a::s7_x ... '];
  assert.deepEqual([...passedInRust(said.join('\n'))], ['a::s1_x', 'a::s4_x']);
  assert.deepEqual(widgetTests("test('S1, S2: x', a); test.skip(\n  \"S3: it's\", b); test('plain S4', c)"), ['S1, S2: x', "S3: it's"]);
  const tap = ['    ok 1 - S1: x', '    not ok 2 - S2: x', 'ok 3 - S3: x # SKIP no browser', 'ok 4 - S4: x # time=1', 'ok 5 - S5: x', 'not ok 6 - S5: x', 'ok 7 - S6: x # TODO'];
  const several = ['S8: of ${each ? "x" : "y"}', 'S9: of ${each}', 'S10: of ${none}'];
  tap.push('ok 8 - S8: of x', 'ok 9 - S8: of y', 'ok 10 - S9: of x', 'not ok 11 - S9: of y');
  assert.deepEqual([...passedInTap(tap.join('\n'), ['S1: x', 'S2: x', 'S3: x', 'S4: x', 'S5: x', 'S6: x', 'S7: x', ...several])], ['S1: x', 'S4: x', several[0]]);
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
  const bff = /** @type {import('../security/bff.mjs').Bff} */ (/** @type {unknown} */ ({ provider: stub, upstream: stub, otherUpstream: stub, bridge: stub }));
  /** @type {import('../security/case.mjs').Result[]} */
  const results = [];
  let left = '';
  /** @type {import('../security/case.mjs').Case[]} */
  const cases = [
    { id: 'S1', title: 'endless', attack: async () => { for (;;) await exchange(origin, '/'); } },
    { id: 'S2', title: 'waiting', attack: () => exchange(origin, '/never').catch((error) => { left = error.name; throw error; }) },
    { id: 'S3', title: 'fine', attack: () => exchange(origin, '/') },
    { id: 'S4', title: 'deaf', attack: () => new Promise(() => {}) },
    { id: 'S5', title: 'after it', attack: async () => {} },
  ];
  await run(cases, 'here', bff, (result) => void results.push(result), { attackMs: 60, endMs: 60 });
  assert.deepEqual(results.map(({ outcome }) => outcome), ['failed', 'failed', 'passed', 'failed', 'cannot run']);
  assert.match(results[0]?.detail ?? '', /was stopped/);
  assert.match(results[3]?.detail ?? '', /could not be stopped/);
  assert.equal(left, 'AbortError');
  const before = asked;
  await delay(50);
  assert.equal(asked, before);
  server.closeAllConnections();
  server.close();
});
