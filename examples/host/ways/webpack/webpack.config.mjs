import { join } from 'node:path';

import webpack from 'webpack';

const folder = import.meta.dirname;
// The server of these pages puts the edge's address in. A page of yours has the address here.
const EDGE = '{{edge}}';

export default {
  mode: 'production',
  context: folder,
  entry: './index.js',
  target: ['web', 'es2022'],
  // Modules, so that the page's policy need not allow scripts by Trusted Types.
  experiments: { outputModule: true },
  output: { module: true, path: join(folder, '../dist/webpack'), filename: 'main.js', clean: true },
  plugins: [
    new webpack.container.ModuleFederationPlugin({
      name: 'webpack_host',
      // The remote is an ES module.
      remoteType: 'import',
      remotes: { causeway: `${EDGE}/assets/remote-entry.js` },
    }),
  ],
};
