// Installs the npm packages that only one suite needs, from the lock file of their own folder.

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Does nothing if they are installed already.
 * @param {string} folder with package.json and package-lock.json
 */
export function installPackages(folder) {
  const lock = join(folder, 'package-lock.json');
  const stamp = join(folder, 'node_modules/.causeway-package-lock.json');
  if (existsSync(stamp) && readFileSync(stamp).equals(readFileSync(lock))) return;
  const { status, stderr } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], {
    cwd: folder,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`npm could not install ${folder}:\n${stderr}`);
  copyFileSync(lock, stamp);
}
