// The pages of this folder, as the demo server serves them below /ways/. The demo's policy fits all of them; the inline
// import maps are allowed by their hashes.

import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';

const FOLDER = import.meta.dirname;
/** Where webpack and Vite put what they build. */
const BUILT = join(FOLDER, 'dist');
const SINGLE_SPA = join(FOLDER, 'node_modules/single-spa/lib/es2015/esm/single-spa.min.js');

const TYPES = /** @type {Record<string, string>} */ ({
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
});

/**
 * @param {string} pathname
 * @returns {Promise<{ name: string, type: string } | undefined>} the file's path and media type, if there is one
 */
export async function wayFile(pathname) {
  if (!pathname.startsWith('/ways/')) return undefined;
  const path = (await paths()).get(pathname.slice('/ways/'.length) || 'index.html');
  return path ? { name: path, type: TYPES[extname(path)] ?? 'application/octet-stream' } : undefined;
}

/**
 * @param {string} html
 * @returns {string[]} sources of a policy that allow its import maps
 */
export function importMapHashes(html) {
  return [...html.matchAll(/<script type="importmap">([^]*?)<\/script>/g)].map(
    ([, map = '']) => `'sha256-${createHash('sha256').update(map).digest('base64')}'`,
  );
}

/**
 * The files that are served, by name. Listed each time, as the hosts may be built while the server runs. What is not
 * listed is not served, whatever a path says.
 */
async function paths() {
  const [own, webpackPage, built] = await Promise.all([list(FOLDER), list(join(FOLDER, 'webpack')), list(BUILT)]);
  const found = new Map([
    ...own.filter(([name]) => /^[\w-]+\.(html|css|js)$/.test(name)),
    ...webpackPage.filter(([name]) => name === 'index.html').map(prefixed('webpack')),
    ...built.filter(([name]) => /\.(html|css|js)$/.test(name)),
  ]);
  // Not there before `npm ci`.
  if (existsSync(SINGLE_SPA)) found.set('single-spa.min.js', SINGLE_SPA);
  return found;
}

/**
 * @param {string} folder
 * @returns {Promise<[name: string, path: string][]>} its files and those of its folders
 */
async function list(folder) {
  const entries = await readdir(folder, { recursive: folder === BUILT, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path.slice(folder.length + 1).replaceAll('\\', '/'), path];
    });
}

/** @param {string} prefix @returns {(file: [string, string]) => [string, string]} */
const prefixed =
  (prefix) =>
  ([name, path]) => [`${prefix}/${name}`, path];
