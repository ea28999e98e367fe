// The recipes of docs/providers.md and the presets of scripts/configure say the same.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { PRESETS } from '../../scripts/configuration/preset.mjs';
import { ROOT, SPIN, folder } from './run.mjs';

const page = readFileSync(join(ROOT, 'docs/providers.md'), 'utf8');
const recipes = new Map(
  [...page.matchAll(/^### (.+)\n([^]*?)(?=^#{2,3} |$(?![^]))/gm)].map(([, title = '', text = '']) => [title, text]),
);

test('each provider has a recipe', () => {
  assert.deepEqual(
    [...recipes.keys()].sort(),
    Object.values(PRESETS)
      .map(({ title }) => title)
      .sort(),
  );
});

for (const [name, { title, kind, register }] of Object.entries(PRESETS)) {
  test(`the recipe for ${title} is what scripts/configure does`, (context) => {
    const recipe = recipes.get(title) ?? '';
    assert.match(recipe, /\]\(https:\/\/[^)]+\)[^\n]*\s\(\d{4}-\d\d-\d\d\)\.\n/, 'sources with a date');

    const [, command = ''] = /^\.\/scripts\/configure ((?:.*\\\n)*.*)$/m.exec(recipe) ?? [];
    const at = folder(context);
    const words = command.replaceAll('\\\n', ' ').split(/\s+/).filter(Boolean);
    const secret = words.indexOf('--client-secret-file');
    if (secret > 0) words[secret + 1] = at.secretFile();
    else words.push('--client-secret-file', at.secretFile());
    assert.equal(words[1], name);
    const { status, stdout, stderr } = at.run([...SPIN, ...words]);
    assert.equal(status, 0, stderr);

    const rows = [...recipe.matchAll(/^ *\| ([^|`]+) \| `(https:[^`]+)` \|$/gm)].map(
      ([, field, address]) => `${field}: ${address}`,
    );
    assert.equal(rows.length, register.length);
    for (const row of rows) assert.ok(stdout.includes(`  ${row}\n`), `${row}\n${stdout}`);

    const env = at.env('spin.env');
    if (kind === 'openid') {
      const entry = /^ {4}(\{.*\})$/m.exec(recipe)?.[1] ?? '';
      assert.deepEqual([JSON.parse(entry)], JSON.parse(env.SPIN_VARIABLE_OIDC_PROVIDERS ?? ''));
      const hosts = [1, 2, 3, 4].map((number) => env[`SPIN_VARIABLE_OUTBOUND_HOST_${number}`]).filter(Boolean);
      // Those beside the issuer's are said.
      if (hosts.length > 1) for (const host of hosts) assert.ok(recipe.includes(`\`${host}\``), host);
    } else {
      const names = new Set(recipe.match(/`[A-Z][A-Z_]+`/g)?.map((it) => it.slice(1, -1)));
      const prefix = `SPIN_VARIABLE_${name.toUpperCase()}_`;
      const set = Object.keys(env)
        .filter((key) => key.startsWith(prefix))
        .map((key) => key.replace('SPIN_VARIABLE_', ''));
      assert.ok(set.length >= 3);
      for (const key of set) assert.ok(names.has(key), key);
    }
  });
}
