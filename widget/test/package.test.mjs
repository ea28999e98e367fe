// The npm package: what is in it, and that its types are those of the client.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '../..');
const WIDGET = join(ROOT, 'widget');

const CONSUMER = `
import { createClient, type CausewayEvent } from 'causeway-client';

const client = createClient({ edge: 'https://edge.example' });
const heard: CausewayEvent[] = [];
const end: () => void = client.subscribe({ channels: ['orders'], onEvent: (event) => heard.push(event) });
const { id }: { id: string } = await client.send('orders', 'cancel', { order: 7 }, { key: 'k' });
const response: Response = await client.bff('github').fetch('/user/repos');
// @ts-expect-error: a channel is a name
await client.send(7, 'cancel', {});
export { end, id, response };
`;

const WIDGET_CONSUMER = `
import { type ChatWidget, type ChatWidgetStrings, mount } from 'causeway-client/widget';

const strings: ChatWidgetStrings = { send: 'Senden', otherAccount: 'Anderes Konto', formSend: 'Abschicken' };
const unmount: () => void = mount(document.body, { heading: 'Support', popup: true, strings });
const widget: ChatWidget = document.createElement('chat-widget');
widget.heading = 'Orders';
widget.popup = true;
widget.strings = strings;
const state: 'connecting' | 'online' | 'reconnecting' | 'offline' | 'signed-out' | 'ended' = widget.status;
document.body.addEventListener('chat-message', ({ detail: { id, role, text } }) => console.log(id, role, text));
widget.addEventListener('chat-status', ({ detail }) => {
  // @ts-expect-error: no such state
  if (detail.status === 'unknown') widget.focus();
});
// @ts-expect-error: no such text
widget.strings = { sned: 'Senden' };
// @ts-expect-error: no such option
mount(document.body, { title: 'Support' });
export { state, unmount };
`;

/** @param {...string} words */
const tsc = (...words) => execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), ...words]);

describe('the package', () => {
  let folder = '';

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'causeway-client-'));
    tsc('--project', join(WIDGET, 'tsconfig.types.json'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  test('has the client and its types, the licences, and no test', async () => {
    const words = ['pack', '--dry-run', '--json', '--ignore-scripts'];
    const [{ files }] = JSON.parse(execFileSync('npm', words, { cwd: WIDGET, encoding: 'utf8', stdio: 'pipe' }));
    const paths = files.map((/** @type {{ path: string }} */ { path }) => path);
    const expected = ['README.md', 'LICENSE', 'NOTICE', 'src/client/client.js', 'src/client/departure.js'];
    for (const path of [...expected, 'types/client/client.d.ts', 'chat-widget.d.ts', 'react.d.ts'])
      assert.ok(paths.includes(path), path);
    assert.deepEqual(
      paths.filter((/** @type {string} */ path) => /test|build|node_modules/.test(path)),
      [],
    );
    for (const name of ['LICENSE', 'NOTICE'])
      assert.equal(await readFile(join(WIDGET, name), 'utf8'), await readFile(join(ROOT, name), 'utf8'), name);
  });

  test('is used from TypeScript, and imported on a server without harm', async () => {
    await mkdir(join(folder, 'node_modules'));
    await symlink(WIDGET, join(folder, 'node_modules/causeway-client'));
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    await writeFile(join(folder, 'consumer.ts'), CONSUMER);
    await writeFile(join(folder, 'widget-consumer.ts'), WIDGET_CONSUMER);
    await writeFile(join(folder, 'server.js'), "console.log(typeof (await import('causeway-client')).createClient);");
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--target',
      'es2024',
      '--module',
      'nodenext',
      '--types',
      '',
    ];
    tsc(...options, join(folder, 'consumer.ts'), join(folder, 'widget-consumer.ts'));
    assert.equal(execFileSync(process.execPath, [join(folder, 'server.js')], { encoding: 'utf8' }), 'function\n');
  });
});
