// Splits Rust source into tokens, without comments, and finds the paths among them. Strings, characters and comments
// are read in one pass, so that none of them is mistaken for another.

/** The alternatives of {@link TOKEN}, in order: a prefix of a longer token comes after it. */
const FORMS = [
  /\/\/.*|\/\*/, // comments; the end of a block is searched for below, since blocks nest
  /[bc]?r(#*)"[^]*?"\1/, // raw strings
  /[bc]?"(?:\\[^]|[^"\\])*"/, // strings
  /b?'(?:\\u\{\w+\}|\\[^]\w{0,2}|[^'\\])'/u, // characters
  /'\w+/, // lifetimes
  /\$crate\b|(?:r#)?[\p{L}_]\w*/u, // names and keywords
  /\d\w*/, // numbers
  /::|\S/, // all else
];
const TOKEN = new RegExp(FORMS.map((form) => form.source).join('|'), 'gu');

/**
 * The tokens of Rust source. `r#a` is `a`, `$crate` is `crate`, and a string that holds a path is that path.
 * @param {string} text @returns {string[]}
 */
export function tokens(text) {
  const found = [];
  const token = new RegExp(TOKEN);
  for (let match; (match = token.exec(text));) {
    const word = match[0];
    if (word === '/*') {
      const bracket = /\/\*|\*\//g;
      bracket.lastIndex = token.lastIndex;
      for (let depth = 1, edge; depth && (edge = bracket.exec(text)); token.lastIndex = bracket.lastIndex)
        depth += edge[0] === '/*' ? 1 : -1;
    } else if (/^"(?:crate|super|self)(?:::\w+)+"$/.test(word)) found.push(...tokens(word.slice(1, -1)));
    else if (!word.startsWith('//')) found.push(word.replace(/^(?:r#(?=[\p{L}_])|\$(?=crate))/u, ''));
  }
  return found;
}

/** @typedef {{ path: string[], name?: string | undefined }} Path `name`: what a `use` calls it */

/**
 * The paths of the `use` tree at an index, and the index after it.
 * @param {string[]} all @param {number} at @param {string[]} before @returns {{ leaves: Path[], end: number }}
 */
function useTree(all, at, before = []) {
  const path = [...before];
  for (; ; at++) {
    const word = all[at] ?? ';';
    if (';,}'.includes(word)) return { leaves: [{ path, name: path.findLast((part) => part !== 'self') }], end: at };
    if (word === 'as') return { leaves: [{ path, name: all[at + 1] }], end: at + 2 };
    if (word === '{') {
      const leaves = [];
      for (at++; at < all.length && all[at] !== '}'; at += all[at] === ',' ? 1 : 0) {
        const inner = useTree(all, at, path);
        leaves.push(...inner.leaves);
        at = inner.end;
      }
      return { leaves, end: at + 1 };
    }
    // A path that begins with `::` names another crate.
    if (word !== '::' || !path.length) path.push(word);
  }
}

/** All paths among tokens, those of `use` first. @param {string[]} all @returns {Path[]} */
export function paths(all) {
  const [uses, inline] = [/** @type {Path[]} */ ([]), /** @type {Path[]} */ ([])];
  for (let at = 0; at < all.length; at++) {
    if (all[at] === 'use' && all[at + 1] !== '<') {
      const { leaves, end } = useTree(all, at + 1);
      uses.push(...leaves);
      at = end;
    } else if (all[at + 1] === '::' && all[at - 1] !== '::' && /^[\p{L}_]/u.test(all[at] ?? '')) {
      const path = [all[at] ?? ''];
      for (let next = at + 1; all[next] === '::' && /^[\p{L}_$]/u.test(all[next + 1] ?? ''); next += 2)
        path.push(all[next + 1] ?? '');
      inline.push({ path });
    }
  }
  return [...uses, ...inline];
}
