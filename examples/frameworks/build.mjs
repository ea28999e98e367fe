// Builds the apps, each with its framework's own compiler.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';

import * as esbuild from 'esbuild';

/** The apps, and what a page with each needs besides `PAGE_POLICY` in server.mjs. */
export const APPS = {
  // To compile templates in the browser, which an app that the Angular CLI builds does not do.
  angular: { entry: 'app.ts', trustedTypes: 'angular#unsafe-jit', evaluates: true },
  react18: { entry: 'app.jsx', trustedTypes: "'none'", evaluates: false },
  react19: { entry: 'app.jsx', trustedTypes: "'none'", evaluates: false },
  svelte: { entry: 'main.js', trustedTypes: 'svelte-trusted-html', evaluates: false },
  vue: { entry: 'main.js', trustedTypes: 'vue', evaluates: false },
};
/** @typedef {keyof typeof APPS} App */

const folder = import.meta.dirname;
// Installed in this folder alone, so the checker of types does not know the packages.
const require = createRequire(import.meta.url);

/** @type {esbuild.Plugin} */
const vue = {
  name: 'vue',
  setup({ onLoad }) {
    onLoad({ filter: /\.vue$/ }, async ({ path }) => {
      const { compileScript, parse } = require('vue/compiler-sfc');
      const { descriptor } = parse(await readFile(path, 'utf8'), { filename: path });
      // The one setting that a Vue project needs.
      const compilerOptions = { isCustomElement: (/** @type {string} */ tag) => tag === 'chat-widget' };
      const options = { id: basename(path), inlineTemplate: true, templateOptions: { compilerOptions } };
      return { contents: compileScript(descriptor, options).content };
    });
  },
};

/** @type {esbuild.Plugin} */
const svelte = {
  name: 'svelte',
  setup({ onLoad }) {
    onLoad({ filter: /\.svelte$/ }, async ({ path }) => {
      const { compile } = require('svelte/compiler');
      return { contents: compile(await readFile(path, 'utf8'), { filename: basename(path) }).js.code };
    });
  },
};

/** @returns {Promise<Map<string, string>>} the script of each app, by the app's name */
export async function buildApps() {
  const { outputFiles } = await esbuild.build({
    entryPoints: Object.entries(APPS).map(([name, { entry }]) => ({ in: join(folder, name, entry), out: name })),
    outdir: folder,
    write: false,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    tsconfigRaw: { compilerOptions: { experimentalDecorators: true } },
    define: {
      'process.env.NODE_ENV': '"production"',
      ngDevMode: 'false',
      ngServerMode: 'false',
      __VUE_OPTIONS_API__: 'false',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    },
    plugins: [vue, svelte],
    logLevel: 'error',
  });
  return new Map(outputFiles.map(({ path, text }) => [basename(path, '.js'), text]));
}
