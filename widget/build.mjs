// Builds widget/dist: the module, the classic script, the edge's own page, and a manifest of these files.
// Fails if a bundle exceeds its size budget.

import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import * as esbuild from 'esbuild';

const MAX_GZIP_BYTES = 10_240;
/** Properties of the widget's own modules, besides those with its prefixes: no page, browser or response knows them. */
const OWN_PROPERTIES = [
  'accepted',
  'afterMs',
  'announcer',
  'challenge',
  'check',
  'composer',
  'connect',
  'disconnect',
  'form',
  'item',
  'kind',
  'language',
  'loginUrl',
  'logout',
  'message',
  'messages',
  'meta',
  'notice',
  'post',
  'problem',
  'record',
  'region',
  'rendered',
  'resend',
  'retryNow',
  'scrollToEnd',
  'scroller',
  'session',
  'shell',
  'snapshot',
  'stall',
  'streamUrl',
  'update',
];
const folder = dirname(fileURLToPath(import.meta.url));

/** @type {esbuild.Plugin} */
const cssAsText = {
  name: 'css-as-text',
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await esbuild.transform(await readFile(path, 'utf8'), { loader: 'css', minify: true });
      // The minifier keeps the spaces of custom properties and their defaults.
      const contents = code
        .trim()
        .replaceAll(', ', ',')
        .replace(/(--\w+:) /g, '$1');
      return { contents, loader: 'text' };
    });
  },
};

/** @type {{ name: string, entry: string, options: esbuild.BuildOptions }[]} */
const BUNDLES = [
  { name: 'chat-widget.js', entry: 'src/module.js', options: { format: 'esm' } },
  { name: 'chat-widget.iife.js', entry: 'src/script.js', options: { format: 'iife' } },
];
const PAGE_FILES = ['index.html', 'page.css', 'page.js'];

/** @param {string} dist */
export async function build(dist) {
  await rm(dist, { recursive: true, force: true });
  await mkdir(dist, { recursive: true });
  for (const { name, entry, options } of BUNDLES) {
    await esbuild.build({
      ...options,
      entryPoints: [join(folder, entry)],
      outfile: join(dist, name),
      bundle: true,
      minify: true,
      target: ['chrome123', 'firefox126', 'safari17.5'],
      charset: 'utf8',
      legalComments: 'none',
      // Shortens property names of the widget's own. Those of the browser and the language are reserved.
      mangleProps: new RegExp(`^((on|is|show|store)[A-Z]|(${OWN_PROPERTIES.join('|')})$)`),
      reserveProps: /^(onLine|isComposing|isSafeInteger)$/,
      plugins: [cssAsText],
    });
  }
  for (const name of PAGE_FILES) await copyFile(join(folder, name), join(dist, name));
  const files = await Promise.all(
    [...BUNDLES.map(({ name }) => name), ...PAGE_FILES].map((name) => describe(dist, name)),
  );
  await writeFile(join(dist, 'manifest.json'), `${JSON.stringify({ files }, null, 2)}\n`);
  return files;
}

/**
 * @param {string} dist
 * @param {string} name
 */
async function describe(dist, name) {
  const content = await readFile(join(dist, name));
  const extension = extname(name);
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 8);
  return {
    name,
    hashed: `${name.slice(0, -extension.length)}.${hash}${extension}`,
    sri: `sha384-${createHash('sha384').update(content).digest('base64')}`,
    bytes: content.length,
    gzip: gzipSync(content, { level: 9 }).length,
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  let isTooLarge = false;
  for (const { name, hashed, bytes, gzip } of await build(join(folder, 'dist'))) {
    const isBundle = BUNDLES.some((bundle) => bundle.name === name);
    isTooLarge ||= isBundle && gzip > MAX_GZIP_BYTES;
    console.log(`${name}  ${bytes} B, ${gzip} B gzip${isBundle ? ` of ${MAX_GZIP_BYTES}` : ''}  ${hashed}`);
  }
  if (isTooLarge) {
    console.error(`a bundle exceeds the budget of ${MAX_GZIP_BYTES} bytes gzip`);
    process.exitCode = 1;
  }
}
