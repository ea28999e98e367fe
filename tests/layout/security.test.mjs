// The security suite itself: a scan that finds nothing and a table that hides nothing are worth nothing.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CATALOGUE } from '../security/catalogue.mjs';
import { found, forms } from '../security/leak.mjs';
import { SECTIONS } from '../security/section.mjs';
import { isFailure, table } from '../security/table.mjs';

const SECRET = 'at_Zm9v+/YmFyLWJheg~q%"';

test('the leak scan finds a secret in every form and at every offset', () => {
  const secrets = [{ what: 'token', forms: forms(SECRET) }];
  for (const hidden of [
    SECRET, encodeURIComponent(SECRET), JSON.stringify({ token: SECRET }),
    ...['', 'x', 'xx', 'xxx', 'Bearer '].flatMap((before) => ['base64', 'base64url'].map((alphabet) => Buffer.from(`${before}${SECRET}"}`).toString(/** @type {BufferEncoding} */ (alphabet)))),
  ]) assert.equal(found(`before ${hidden} after`, secrets).length, 1, hidden);
  assert.deepEqual(found(SECRET.slice(0, -1), secrets), []);
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
