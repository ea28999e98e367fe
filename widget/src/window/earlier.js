// Asks for the messages before all that are here, page by page.

/** A page may have nothing new: it repeats what the stream brought, or has other records only. */
const MAX_PAGES = 5;
const PAUSE_MS = 3_000;

/**
 * @typedef {object} Page
 * @property {string | null} before position that the next page ends at; null: there is none
 * @property {boolean} isNew whether it has messages that were not here
 * @property {boolean} [isFull] whether there are more, for which there is no room
 *
 * @typedef {(before: string) => Promise<Page>} Ask
 */

/**
 * @param {Ask} ask
 * @param {(isAsking: boolean) => void} onAsking
 * @param {() => void} onNew
 */
export function createEarlier(ask, onAsking, onNew) {
  /** @type {string | null} */
  let before = '';
  let isAsking = false;
  let isFull = false;
  /** Grows when another conversation begins. */
  let version = 0;

  /** @param {boolean} value */
  function setAsking(value) {
    isAsking = value;
    onAsking(value);
  }

  async function load() {
    if (isAsking || before === null) return;
    setAsking(true);
    const own = version;
    try {
      for (let page = 0; page < MAX_PAGES && before !== null; page += 1) {
        const answer = await ask(before);
        if (own !== version) return;
        before = answer.before;
        isFull = answer.isFull ?? false;
        if (answer.isNew) break;
      }
      onNew();
    } catch {
      // The user may scroll again.
      await new Promise((resolve) => {
        setTimeout(resolve, PAUSE_MS);
      });
    } finally {
      if (own === version) setAsking(false);
    }
  }

  return {
    load: () => void load(),

    /** Whether there are earlier messages, for which there is no room. */
    isFull: () => isFull,

    /** Another conversation begins. */
    reset() {
      version += 1;
      before = '';
      isFull = false;
      setAsking(false);
    },
  };
}
