import { join } from 'node:path';

import { federation } from '@module-federation/vite';
import { defineConfig } from 'vite';

const folder = import.meta.dirname;
// The server of these pages puts the edge's address in. A page of yours has the address here.
const EDGE = '{{edge}}';

export default defineConfig({
  root: folder,
  base: '/ways/vite/',
  build: { target: 'esnext', outDir: join(folder, '../dist/vite'), emptyOutDir: true },
  plugins: [
    federation({
      name: 'vite_host',
      remotes: {
        causeway: { type: 'module', name: 'causeway', entry: `${EDGE}/assets/remote-entry.js` },
      },
      dts: false,
    }),
  ],
});
