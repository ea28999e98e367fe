// The widget in apps of each framework: examples/frameworks, built with the real packages, in a real Chromium.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { ROOT } from '../../scripts/stack/path.mjs';
import { installPackages } from '../../tests/support/packages.mjs';
import { APPS, buildApps } from '../../examples/frameworks/build.mjs';
import { frameworkServer } from '../../examples/frameworks/server.mjs';
import { ADA } from './stub-edge.mjs';
import { until, useWidgetPage } from './widget-page.mjs';

const FOLDER = join(ROOT, 'examples/frameworks');

describe('the widget in frameworks', () => {
  const widget = useWidgetPage();
  const { edge } = widget;
  /** @type {import('node:http').Server | undefined} */
  let server;
  let origin = '';

  before(
    async () => {
      installPackages(FOLDER);
      const apps = (server = frameworkServer(widget.edgeOrigin, await buildApps()));
      await new Promise((resolve) => apps.listen(0, '127.0.0.1', () => resolve(undefined)));
      origin = `http://localhost:${/** @type {import('node:net').AddressInfo} */ (apps.address()).port}`;
    },
    { timeout: 180_000 },
  );
  after(() => {
    server?.closeAllConnections();
    server?.close();
  });

  /** @param {string} text what the app has heard last */
  const hears = (text) => widget.page.locator('output', { hasText: text }).waitFor();

  for (const app of Object.keys(APPS)) {
    test(`${app}: properties reach it, its events are heard, and nothing is left of it`, async () => {
      const { page } = widget;
      edge.user = ADA;
      // The app is there before the element is defined.
      let define = () => {};
      const wanted = new Promise((resolve) => (define = () => resolve(undefined)));
      await widget.context.route('**/assets/chat-widget.js', async (route) => {
        await wanted;
        await route.continue();
      });
      await widget.open(`${origin}/${app}/`);
      await hears('nothing');
      define();
      await hears('online');

      const input = page.getByPlaceholder('Ask about your order');
      await input.fill('a draft');
      await page.getByRole('heading', { name: 'Support' }).waitFor();
      await page.getByRole('button', { name: 'Rename' }).click();
      await page.getByRole('heading', { name: 'Orders' }).waitFor();
      assert.equal(await input.inputValue(), 'a draft', 'the chat stays');

      edge.publish('message', { id: 'a', text: 'shipped today' });
      await hears('shipped today');

      await page.getByRole('button', { name: 'Close' }).click();
      await until(() => edge.streams.size === 0, 'the stream is closed');
      assert.equal(await page.locator('chat-widget').count(), 0);
      assert.equal(await page.evaluate(() => document.body.childElementCount), 1);

      await page.getByRole('button', { name: 'Open' }).click();
      await widget.waitForStatus('Online');
      await page.getByRole('heading', { name: 'Orders' }).waitFor();
      await until(() => edge.streams.size === 1, 'one stream is open');
    });
  }
});

const CONSUMER = `
import type {} from 'causeway-client/react';

export const chat = (
  <chat-widget
    heading="Support"
    popup
    strings={{ send: 'Senden' }}
    className="chat"
    ref={(widget) => widget?.focus()}
    onchat-status={({ detail }) => detail.status === 'online'}
    onchat-message={({ detail }) => detail.text.length}
  />
);
// @ts-expect-error: no such text
export const misspelt = <chat-widget strings={{ sned: 'Senden' }} />;
// @ts-expect-error: no such property
export const unknown = <chat-widget title2="Support" />;
`;

test('React 19 with TypeScript knows the element', { timeout: 180_000 }, async () => {
  installPackages(FOLDER);
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const folder = await mkdtemp(join(tmpdir(), 'causeway-react-'));
  const installed = join(folder, 'node_modules/causeway-client');
  try {
    await mkdir(join(folder, 'node_modules/@types'), { recursive: true });
    await mkdir(installed);
    for (const name of ['package.json', 'chat-widget.d.ts', 'react.d.ts'])
      await copyFile(join(ROOT, 'widget', name), join(installed, name));
    const project = join(ROOT, 'widget/tsconfig.types.json');
    execFileSync(process.execPath, [tsc, '--project', project, '--outDir', join(installed, 'types')]);
    const { resolve } = createRequire(join(FOLDER, 'react19/package.json'));
    for (const name of ['react', '@types/react'])
      await symlink(dirname(resolve(`${name}/package.json`)), join(folder, 'node_modules', name));
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    await writeFile(join(folder, 'consumer.tsx'), CONSUMER);
    const options = '--ignoreConfig --noEmit --strict --jsx react-jsx --target es2024 --module nodenext';
    const words = [...options.split(' '), '--types', '', join(folder, 'consumer.tsx')];
    execFileSync(process.execPath, [tsc, ...words], { stdio: 'pipe', encoding: 'utf8' });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
