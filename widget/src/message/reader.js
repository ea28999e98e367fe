// Reads complete answers out to screen readers, collected for a moment. Each piece of a streamed answer, or a whole
// history, would be unbearable.

const COLLECT_MS = 600;
const MAX_READ_OUT = 2;
/** Characters of a message that are read out. */
const MAX_SPOKEN = 1_000;
/** How long what the stream begins with may take to arrive. It is old, unless its time is not. */
const REPLAY_MS = 3_000;

/** Without the signs of Markdown and the addresses of links. @param {string} text */
const spoken = (text) => text.slice(0, MAX_SPOKEN).replace(/\[(.*?)\]\(.*?\)|[*`|]|^[#>]+ /gm, '$1');

/** @param {Element} region that screen readers watch */
export function createReader(region) {
  const levelAt = Date.now() + REPLAY_MS;
  /** @type {string[]} */
  let waiting = [];
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  return {
    /**
     * @param {string} author
     * @param {import('../conversation.js').Message} message
     */
    read(author, { role, text, form, time }) {
      if (role !== 'assistant' || (Date.now() < levelAt && Date.now() - time > REPLAY_MS)) return;
      // The definition of a form may be anything.
      const { title = '' } = Object(form);
      waiting.push(`${author}: ${spoken(text || String(title))}`);
      timer ??= setTimeout(() => {
        region.textContent = waiting.slice(-MAX_READ_OUT).join('. ');
        waiting = [];
        timer = undefined;
      }, COLLECT_MS);
    },

    /** Removes what was read out to a user who is gone. */
    reset() {
      waiting = [];
      region.textContent = '';
    },
  };
}
