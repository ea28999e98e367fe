// Builds widget/dist: the module, the classic script, the client, what they load on demand, the edge's own page, the
// first state that the edge renders, source maps, and a manifest of these files. Fails if a bundle exceeds its size
// budget or contains what it must not.

import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, extname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import * as esbuild from 'esbuild';
import { minify } from 'terser';

import { faultsOf, mapFaultsOf } from './bundle-check.mjs';
import { shell } from './shell.mjs';

const MAX_GZIP_BYTES = 10_000;
const MAX_FORM_GZIP_BYTES = 16_000;
const MAX_MESSAGE_GZIP_BYTES = 9_500;
const MAX_ACCOUNT_GZIP_BYTES = 4_000;
/** Each is a bundle of its own. */
const LANGUAGES = ['ar', 'de', 'es', 'fr', 'hi', 'it', 'ja', 'ko', 'pt', 'ru', 'zh'];
/** Properties of the widget's own modules, besides those with its prefixes: no page, browser or response knows them. */
const OWN_PROPERTIES = [
  'accept',
  'afterMs',
  'announcer',
  'author',
  'bar',
  'bind',
  'bubble',
  'change',
  'channels',
  'check',
  'client',
  'clock',
  'composer',
  'connect',
  'content',
  'disconnect',
  'empty',
  'expect',
  'fail',
  'feed',
  'getText',
  'hasAnswer',
  'hint',
  'item',
  'kind',
  'language',
  'markGap',
  'meta',
  'notice',
  'options',
  'overrule',
  'post',
  'record',
  'region',
  'rendered',
  'scrollToEnd',
  'seen',
  'setText',
  'snapshot',
  'stall',
  'stick',
  'submit',
  'subscribe',
  'take',
  'texts',
  'unwatch',
  'update',
  'version',
  'watch',
];
const folder = dirname(fileURLToPath(import.meta.url));

/** @type {esbuild.Plugin} */
const cssAsText = {
  name: 'css-as-text',
  setup(build) {
    build.onLoad({ filter: /\.css$/ }, async ({ path }) => ({ contents: await styleOf(path), loader: 'text' }));
  },
};

/**
 * A style sheet, minified.
 * @param {string} path
 */
async function styleOf(path) {
  const { code } = await esbuild.transform(await readFile(path, 'utf8'), { loader: 'css', minify: true });
  // The minifier keeps the spaces of custom properties and their defaults.
  return code
    .trim()
    .replaceAll(', ', ',')
    .replace(/(--[\w-]+:) /g, '$1');
}

// Shortens property names of the widget's own. Those of the browser, of the language and between bundles are reserved.
/** @type {esbuild.BuildOptions} */
const MANGLED = {
  mangleProps: new RegExp(`^((on|is|show)[A-Z]|(${OWN_PROPERTIES.join('|')})$)`),
  reserveProps: /^(isPopup|onLine|onSubmit|onupgradeneeded|isComposing|isConnected|isSafeInteger)$/,
};

/** @type {esbuild.CommonOptions} */
const MINIFIED = {
  minify: true,
  target: ['chrome123', 'firefox126', 'safari17.5'],
  charset: 'utf8',
  legalComments: 'none',
};

/** @type {{ name: string, entry: string, options: esbuild.BuildOptions, maxGzipBytes?: number }[]} */
const BUNDLES = [
  {
    name: 'chat-widget.js',
    entry: 'src/module.js',
    options: { format: 'esm', ...MANGLED },
    maxGzipBytes: MAX_GZIP_BYTES,
  },
  {
    name: 'chat-widget.iife.js',
    entry: 'src/script.js',
    // Not esbuild's own wrapping, which turns `import()` into `require()`.
    options: { format: 'esm', banner: { js: '(()=>{' }, footer: { js: '})();' } },
  },
  { name: 'client.js', entry: 'src/client/client.js', options: { format: 'esm' } },
  { name: 'parcel.js', entry: 'src/parcel.js', options: { format: 'esm' } },
  { name: 'remote-entry.js', entry: 'src/remote-entry.js', options: { format: 'esm' } },
  { name: 'catch-up.js', entry: 'src/catch-up.js', options: { format: 'esm' } },
  { name: 'sign-in.js', entry: 'src/sign-in.js', options: { format: 'esm' } },
  {
    name: 'account.js',
    entry: 'src/account/module.js',
    options: { format: 'esm' },
    maxGzipBytes: MAX_ACCOUNT_GZIP_BYTES,
  },
  { name: 'sender.js', entry: 'src/client/sender.js', options: { format: 'esm' } },
  { name: 'tabs.js', entry: 'src/client/tabs.js', options: { format: 'esm' } },
  { name: 'arrival.js', entry: 'src/client/arrival.js', options: { format: 'esm' } },
  { name: 'departure.js', entry: 'src/client/departure.js', options: { format: 'esm' } },
  { name: 'launcher.js', entry: 'src/launcher/module.js', options: { format: 'esm' } },
  { name: 'adapt.js', entry: 'src/adapt.js', options: { format: 'esm' } },
  ...LANGUAGES.map((code) => ({
    name: `language-${code}.js`,
    entry: `src/language/${code}.js`,
    options: { format: /** @type {const} */ ('esm') },
  })),
  // Loaded when the first message arrives.
  {
    name: 'message.js',
    entry: 'src/message/module.js',
    options: { format: 'esm' },
    maxGzipBytes: MAX_MESSAGE_GZIP_BYTES,
  },
  // Loaded when the user scrolls back.
  { name: 'window.js', entry: 'src/window/module.js', options: { format: 'esm' } },
  // Loaded when the first form arrives.
  {
    name: 'form.js',
    entry: 'src/form/module.js',
    options: { format: 'esm' },
    maxGzipBytes: MAX_FORM_GZIP_BYTES,
  },
];
/**
 * A module that is loaded on demand stays a file beside the one that asks for it. So does the widget, for modules that
 * mount it.
 * @type {esbuild.Plugin}
 */
const betweenBundles = {
  name: 'between-bundles',
  setup(build) {
    build.onResolve({ filter: /^\./ }, ({ kind, path, resolveDir }) => {
      const bundle = BUNDLES.find(({ entry }) => join(folder, entry) === join(resolveDir, path));
      const isApart = kind === 'dynamic-import' || bundle?.name === 'chat-widget.js';
      return isApart && bundle ? { path: `./${bundle.name}`, external: true } : undefined;
    });
  },
};

const PAGE_FILES = ['index.html', 'page.css', 'page.js'];
/** The style of what the edge renders: there is no script yet that could bring it. */
const SHELL_STYLE = 'shell.css';
const SHELL_STYLES = ['src/style.css', 'src/sign-in.css', 'src/launcher/style.css', 'src/shell.css'];

/** @param {string} dist */
export async function build(dist) {
  await rm(dist, { recursive: true, force: true });
  await mkdir(dist, { recursive: true });
  const define = { BUILD_ID: JSON.stringify(await hashOfSources()) };
  for (const { name, entry, options } of BUNDLES) {
    await esbuild.build({
      ...options,
      entryPoints: [join(folder, entry)],
      outfile: join(dist, name),
      bundle: true,
      ...MINIFIED,
      sourcemap: 'inline',
      define,
      plugins: [cssAsText, betweenBundles],
    });
    await minifyAgain(join(dist, name));
  }
  for (const { name } of BUNDLES) {
    const [code, map] = await Promise.all([name, `${name}.map`].map((file) => readFile(join(dist, file), 'utf8')));
    const faults = [...faultsOf(code ?? ''), ...mapFaultsOf(map ?? '')];
    if (faults[0]) throw new Error(`${name} contains ${faults.join('\n')}`);
  }
  for (const name of PAGE_FILES) await copyFile(join(folder, name), join(dist, name));
  const styles = await Promise.all(SHELL_STYLES.map((path) => styleOf(join(folder, path))));
  await writeFile(join(dist, SHELL_STYLE), styles.join(''));
  const files = await Promise.all(
    [...BUNDLES.map(({ name }) => name), ...PAGE_FILES, SHELL_STYLE].map((name) => describe(dist, name)),
  );
  const { hashed } = await describe(dist, SHELL_STYLE);
  await writeFile(join(dist, 'shell.json'), JSON.stringify(shell(hashed)));
  await writeFile(join(dist, 'manifest.json'), `${JSON.stringify({ files }, null, 2)}\n`);
  return files;
}

/**
 * Terser makes of a bundle what compresses better. The map that is in the bundle becomes a file beside it, to which no
 * comment leads: the edge does, by a header, if it has it.
 * @param {string} path
 */
async function minifyAgain(path) {
  const bundle = await readFile(path, 'utf8');
  const { code = '', map } = await minify(bundle, {
    module: true,
    ecma: 2020,
    sourceMap: { content: 'inline', includeSources: true, asObject: true },
  });
  const { sources, ...rest } = /** @type {Exclude<typeof map, string | undefined>} */ (map);
  // The same wherever `dist` and the packages are.
  const named = sources.map(
    (source) =>
      `../${relative(folder, resolve(dirname(path), source ?? '')).replace(/^.*\bnode_modules\//, 'node_modules/')}`,
  );
  await writeFile(path, code);
  await writeFile(`${path}.map`, JSON.stringify({ ...rest, sources: named }));
}

/** Changes with every source of the widget. */
async function hashOfSources() {
  const hash = createHash('sha256');
  const entries = await readdir(join(folder, 'src'), { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  for (const path of [fileURLToPath(import.meta.url), ...paths.toSorted()]) hash.update(await readFile(path));
  return hash.digest('hex').slice(0, 8);
}

/**
 * @param {string} dist
 * @param {string} name
 */
async function describe(dist, name) {
  const content = await readFile(join(dist, name));
  return {
    name,
    hashed: hashedName(name, content),
    // The page's files have none.
    ...(extname(name) === '.js' && !PAGE_FILES.includes(name) && { map: await hashedMap(dist, name) }),
    sri: `sha384-${createHash('sha384').update(content).digest('base64')}`,
    bytes: content.length,
    gzip: gzipSync(content, { level: 9 }).length,
  };
}

/**
 * @param {string} name
 * @param {Buffer} content
 */
function hashedName(name, content) {
  const extension = extname(name);
  const hash = createHash('sha256').update(content).digest('hex').slice(0, 8);
  return `${name.slice(0, -extension.length)}.${hash}${extension}`;
}

/**
 * @param {string} dist
 * @param {string} name of a bundle
 */
const hashedMap = async (dist, name) => hashedName(`${name}.map`, await readFile(join(dist, `${name}.map`)));

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  let isTooLarge = false;
  for (const { name, hashed, bytes, gzip } of await build(join(folder, 'dist'))) {
    const { maxGzipBytes } = BUNDLES.find((bundle) => bundle.name === name) ?? {};
    isTooLarge ||= gzip > (maxGzipBytes ?? Infinity);
    console.log(`${name}  ${bytes} B, ${gzip} B gzip${maxGzipBytes ? ` of ${maxGzipBytes}` : ''}  ${hashed}`);
  }
  if (isTooLarge) {
    console.error('a bundle exceeds its budget');
    process.exitCode = 1;
  }
}
