// Builds the hosts that a bundler builds, into dist/webpack and dist/vite. `npm ci` has installed the bundlers.

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @throws {Error} with what a bundler complained of */
export async function buildHosts() {
  await Promise.all([buildWithWebpack(), buildWithVite()]);
}

async function buildWithWebpack() {
  const { default: webpack } = await import('webpack');
  const { default: config } = await import('./webpack/webpack.config.mjs');
  await new Promise((resolve, reject) => {
    webpack(config, (/** @type {Error | null} */ error, /** @type {any} */ stats) => {
      // Also warnings: a page of yours should have none.
      const { errors = [], warnings = [] } = stats?.toJson({ all: false, errors: true, warnings: true }) ?? {};
      const faults = [...errors, ...warnings].map(({ message }) => message);
      if (error || faults.length) reject(error ?? new Error(faults.join('\n')));
      else resolve(undefined);
    });
  });
}

async function buildWithVite() {
  const { build } = await import('vite');
  await build({ configFile: join(import.meta.dirname, 'vite/vite.config.mjs'), logLevel: 'warn' });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildHosts();
