// Takes the pictures docs/widget-states/form-*.png: `node widget/test/form-screenshots.mjs`. Not a test.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { LAUNCH_OPTIONS } from '../../tests/support/chromium.mjs';
import { build } from '../build.mjs';
import { PICKUP } from './form-page.mjs';
import { StubEdge } from './stub-edge.mjs';

const FOLDER = fileURLToPath(new URL('../../docs/widget-states/', import.meta.url));
const HTML = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Form</title>
<style>
  :root { color-scheme: light dark; background: light-dark(#f6f7fa, #0c0e13); }
  body { margin: 0; padding: 24px; font: 15px/1.5 system-ui, sans-serif; }
</style></head><body></body></html>`;
const ANSWERS = {
  name: 'Ada Lovelace',
  email: 'ada@example.com',
  reference: 'LF-20771',
  how: 'sea',
  terminal: 'mv',
  extras: { customs: true },
  weight: 1250,
  date: '2026-12-03T00:00:00',
  note: 'Please ring at gate 4.',
  terms: true,
};
/** @type {Record<string, { width: number, submission?: object, answers?: boolean, submit?: boolean }>} */
const STATES = {
  start: { width: 600 },
  errors: { width: 600, submission: { data: { name: 'A', reference: '20771', how: 'sea', weight: 0 } }, submit: true },
  sent: { width: 600, submission: { data: ANSWERS, state: 'submitted' } },
  narrow: { width: 360, submission: { data: ANSWERS } },
};

const dist = await mkdtemp(join(tmpdir(), 'form-'));
await build(dist);
const edge = new StubEdge();
const origin = await edge.listen(dist);
edge.pages.set('/form', { policy: "script-src 'self'; style-src 'unsafe-inline'", html: HTML });
const browser = await chromium.launch(LAUNCH_OPTIONS);
for (const [state, { width, submission, submit }] of Object.entries(STATES)) {
  for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
    const viewport = { width, height: 400 };
    const page = await browser.newPage({ colorScheme, viewport, locale: 'en-GB', deviceScaleFactor: 2 });
    await page.goto(`${origin}/form`);
    await page.evaluate(
      async ([definition, answers]) => {
        const { renderForm } = await import(String('/assets/form.js'));
        document.body.append(renderForm(definition, { submission: answers, locale: 'en-GB', onSubmit() {} }).element);
      },
      [PICKUP, submission],
    );
    if (submit) await page.getByRole('button', { name: 'Request pickup' }).click();
    await page.screenshot({ path: join(FOLDER, `form-${state}-${colorScheme}.png`), fullPage: true });
    await page.close();
  }
}
await browser.close();
edge.close();
await rm(dist, { recursive: true });
