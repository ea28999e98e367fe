// The reference pages list what the source has: docs/http.md the rows of the route table, docs/problems.md the codes of
// errors. Pages that name a Rust test as their proof name one that exists.

import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { ROOT } from '../../scripts/stack/path.mjs';

/** @param {string} path */
const read = (path) => readFileSync(join(ROOT, path), 'utf8');

/** How the tables of docs/http.md name the protections of a row. @type {Record<string, string>} */
const CSRF = { Header: 'header', HeaderUnlessNavigable: 'header', FetchMetadata: 'origin', Navigation: 'none' };
/** @type {Record<string, string>} */
const SESSION = { Session: 'yes', Optional: 'optional', None: 'no' };

/** The rows of route.rs: method, pattern, CSRF policy, session. */
function rows() {
  const [, table = ''] =
    /pub static TABLE[^[]*\[Row\] = table!\[(.*?)^\];/ms.exec(read('edge/core/src/route.rs')) ?? [];
  return [...table.matchAll(/^ {4}([A-Z]+) +"([^"]+)" +(\w+) +(\w+) /gm)].map(([, method, pattern, csrf, session]) => ({
    route: `${method === 'ANY' ? 'any' : method} ${pattern}`,
    csrf: csrf ?? '',
    session: session ?? '',
  }));
}

test('docs/http.md lists every route with its session and its protection', () => {
  const found = rows();
  assert.ok(found.length > 20, String(found.length));
  const page = read('docs/http.md');
  const documented = new Map(
    [...page.matchAll(/^\| (any )?`((?:[A-Z]+ )?\/[^`]*)` \|([^\n]*)\|$/gm)].map(
      ([, any = '', name = '', rest = '']) => [`${any}${name}`, rest.split('|').map((cell) => cell.trim())],
    ),
  );
  assert.deepEqual([...documented.keys()].sort(), found.map(({ route }) => route).sort());
  for (const { route, csrf, session } of found) {
    if (!CSRF[csrf]) continue;
    assert.deepEqual(documented.get(route)?.slice(0, 2), [SESSION[session], CSRF[csrf]], route);
  }
});

test('docs/problems.md lists every code with its status', () => {
  const source = read('edge/core/src/error.rs');
  const [, codes = ''] = /pub fn code\(.*?\{(.*?)^ {4}\}/ms.exec(source) ?? [];
  const inSource = [...codes.matchAll(/=> "([a-z-]+)"/g)].map(([, code = '']) => code);
  const [, wire = ''] = /WIRE_VERSION_CODE: &str = "([a-z-]+)"/.exec(read('edge/protocol/src/deliver.rs')) ?? [];
  assert.ok(inSource.length > 20 && wire, String(inSource.length));
  const page = read('docs/problems.md');
  const documented = [...page.matchAll(/^\| `([a-z-]+)` \| \d{3} \|/gm)].map(([, code = '']) => code);
  assert.deepEqual(documented.sort(), [...inSource, wire].sort());
});

test('a Rust test that a page names exists', () => {
  const sources = globSync('{edge,kafka-bridge,tests}/**/*.rs', { cwd: ROOT }).map(read).join('\n');
  // Names of members that others define are there, too.
  const words = new Set(sources.match(/\w+/g));
  const named = globSync('docs/*.md', { cwd: ROOT }).flatMap((page) =>
    // So many words are no setting of Kafka and no column of a table.
    [...read(page).matchAll(/`([a-z]\w*?(?:_[a-z0-9]+){4,})`/g)].map(([, name = '']) => ({ page, name })),
  );
  const proofs = named.filter(({ name }) => !name.startsWith('causeway_'));
  assert.ok(proofs.length > 15, String(proofs.length));
  assert.deepEqual(
    proofs.filter(({ name }) => !words.has(name)),
    [],
  );
});
