// Whether the tab that has the stream still runs. A tab that is gone frees its lock, but one that hangs, or that the
// browser has suspended without a word, keeps it.
//
// Only a follower that the user sees asks, so tabs in the background stay asleep. The answers need no timer of the
// leader's: browsers slow those of hidden pages down.

/**
 * @typedef {object} Beat
 * @property {() => BroadcastChannel} openChannel for questions and answers only
 * @property {(ms: number, callback: () => void) => () => void} every repeats a call, until what it returns is called
 * @property {() => number} now
 * @property {Document} document
 */

const ASK = 'ask';
const ALIVE = 'alive';
const TICK_MS = 150;
/** So many questions in a row stay unanswered before a leader counts as lost. */
const PATIENCE = 3;
// A page that is busy again and again must not cost a new stream each time.
const MAX_PATIENCE = 24;
const CALM_MS = 60_000;
/** Longer pauses of a visible page mean that the machine slept. A connection from before looks open, and may not be. */
const MIN_SLEEP_MS = 80_000;

/**
 * @param {Beat} beat
 * @param {() => void} onSilence the leader does not answer
 */
export function createHeartbeat({ openChannel, every, now, document }, onSilence) {
  let patience = PATIENCE;
  let silentMs = -Infinity;
  let stop = () => {};

  /** Asks the leader, until the returned function is called. */
  function ask() {
    const channel = openChannel();
    let unanswered = 0;
    let lastMs = now();
    channel.onmessage = ({ data }) => {
      if (data === ALIVE) unanswered = 0;
    };
    function tick() {
      const ms = now();
      const isCalm = ms - silentMs > CALM_MS;
      const hasSlept = ms - lastMs > MIN_SLEEP_MS;
      lastMs = ms;
      if (isCalm) patience = PATIENCE;
      if (unanswered < patience && !hasSlept) {
        unanswered += 1;
        channel.postMessage(ASK);
        return;
      }
      if (!isCalm) patience = Math.min(patience * 2, MAX_PATIENCE);
      silentMs = ms;
      onSilence();
    }
    const stopTicks = every(TICK_MS, tick);
    tick();
    return () => {
      stopTicks();
      channel.close();
    };
  }

  return {
    /** Watches another tab's signs of life, while the user sees this one. */
    watch() {
      stop();
      let end = () => {};
      const look = () => {
        end();
        end = document.hidden ? () => {} : ask();
      };
      document.addEventListener('visibilitychange', look);
      stop = () => {
        document.removeEventListener('visibilitychange', look);
        end();
      };
      look();
    },

    /** Gives signs of life to those who ask. */
    answer() {
      stop();
      const channel = openChannel();
      channel.onmessage = ({ data }) => data === ASK && channel.postMessage(ALIVE);
      stop = () => channel.close();
    },

    stop: () => stop(),
  };
}
