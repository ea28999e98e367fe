// Takes the pictures in docs/widget-states, and writes their index: `node widget/test/widget-screenshots.mjs [state]…`.
// Not a test.

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import sharp from 'sharp';

import { WidgetPage } from './widget-page.mjs';
import { STATES, violationsOf } from './widget-states.mjs';

const FOLDER = fileURLToPath(new URL('../../docs/widget-states/', import.meta.url));
const SIZES = { wide: { width: 760, height: 620 }, narrow: { width: 360, height: 620 } };
const SCHEMES = /** @type {const} */ (['light', 'dark']);

/** @param {string} state @param {string} size @param {string} scheme */
const fileOf = (state, size, scheme) => `${state}-${size}-${scheme}.png`;

/**
 * @param {WidgetPage} widget
 * @param {import('./widget-states.mjs').State} state
 */
async function take(widget, { name, arrange }) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of SCHEMES) {
      await widget.newPage({
        viewport,
        colorScheme,
        deviceScaleFactor: 1.5,
        reducedMotion: 'reduce',
        timezoneId: 'UTC',
      });
      await arrange(widget);
      const found = await violationsOf(widget);
      if (found[0]) console.error(`${name}, ${size}, ${colorScheme}: ${found.join('\n')}`);
      const picture = await widget.page.screenshot({ caret: 'hide' });
      // Few colours are enough, and make it a quarter of the size.
      const small = await sharp(picture).png({ palette: true, colours: 64, effort: 7 }).toBuffer();
      await writeFile(join(FOLDER, fileOf(name, size, colorScheme)), small);
      await widget.closePage();
    }
  }
}

const only = process.argv.slice(2);
const widget = new WidgetPage();
await widget.start();
for (const state of STATES) if (!only[0] || only.includes(state.name)) await take(widget, state);
await widget.stop();

const rows = STATES.map(({ name, about }) => {
  const pictures = Object.keys(SIZES).flatMap((size) =>
    SCHEMES.map((scheme) => `![${name}, ${size}, ${scheme}](${fileOf(name, size, scheme)})`),
  );
  return `## ${name}\n\n${about}\n\n| wide | | narrow | |\n|---|---|---|---|\n| ${pictures.join(' | ')} |\n`;
});
await writeFile(
  join(FOLDER, 'README.md'),
  `# States of the widget

Each state of the widget, in light and dark, wide and narrow. \`node widget/test/widget-screenshots.mjs\` takes these
pictures and writes this page. A test arranges the same states and examines them with axe. Forms have more states:
[errors](form-errors-light.png), [sent](form-sent-light.png), [narrow](form-narrow-light.png).

${rows.join('\n')}`,
);
