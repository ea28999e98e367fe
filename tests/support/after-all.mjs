// Cleanup and checks after the last test of a run.

import { after } from 'node:test';

/**
 * Runs a function after the last test, and fails the run if the function fails. Node 24 only prints the error of a hook
 * outside of every suite: later hooks do not run, and the run still succeeds. So this hook does not throw.
 * @param {() => unknown} hook
 */
export function afterAll(hook) {
  after(async () => {
    try {
      await hook();
    } catch (error) {
      process.exitCode = 1;
      // Printed last, where it is seen.
      process.on('exit', () => console.error('\n✖ after the last test:', error));
    }
  });
}
