// What is done after the last test of a run.

import { after } from 'node:test';

/**
 * Does something after the last test, and fails the run if that fails. A hook outside of every suite that throws is
 * printed, keeps the hooks after it from running, and leaves the run a success (Node 24); so this one does not throw.
 * @param {() => unknown} what
 */
export function atEnd(what) {
  after(async () => {
    try {
      await what();
    } catch (error) {
      process.exitCode = 1;
      // Last, where it is seen.
      process.on('exit', () => console.error('\n✖ after the last test:', error));
    }
  });
}
