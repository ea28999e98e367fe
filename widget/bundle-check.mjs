// What no bundle may contain. A page's strict policy would stop most of it, and only when it runs.

/** @type {[string, RegExp]} */
const SECRET = [
  'a secret',
  /-----BEGIN|client_secret|\bgh[opsur]_\w{20}|\bAKIA[A-Z0-9]{16}\b|\beyJ[\w-]{20,}\.[\w-]{10}/,
];
/** @type {[string, RegExp][]} */
const FORBIDDEN = [
  ['code from text', /\beval\(|\bFunction\(|set(?:Timeout|Interval)\(["'`]/],
  [
    'markup from text',
    /\.(?:innerHTML|outerHTML|srcdoc)\s*=|insertAdjacentHTML|document\.write|createContextualFragment/,
  ],
  // `style: 'unit'` is one of numbers.
  [
    'an inline style',
    /setAttribute\(["'`]style["'`]|[{,]style:\s*["'`](?!unit)|\.cssText\s*=|createElement\(["'`]style["'`]/,
  ],
  SECRET,
  ['an address of somebody else', /["'`]https?:\/\/(?!www\.w3\.org\/)[\w[]/],
];

/**
 * @param {string} code
 * @returns {string[]} what it contains and must not
 */
export function faultsOf(code) {
  return FORBIDDEN.flatMap((rule) => faultOf(code, rule));
}

/**
 * @param {string} map a source map, which tells the sources and where they were built
 * @returns {string[]} what it contains and must not
 */
export function mapFaultsOf(map) {
  /** @type {{ sources: string[], sourcesContent: (string | null)[] }} */
  const { sources, sourcesContent } = JSON.parse(map);
  return [
    ...sources
      .filter((path) => !/^\.\.\/(src|node_modules)(\/[\w-][\w.-]*)+$/.test(path))
      .map((path) => `a source of elsewhere: ${path}`),
    ...sourcesContent.flatMap((code) => faultOf(code ?? '', SECRET)),
  ];
}

/**
 * @param {string} code
 * @param {[string, RegExp]} rule
 */
function faultOf(code, [what, pattern]) {
  const found = pattern.exec(code);
  return found ? [`${what}: ${code.slice(Math.max(0, found.index - 20), found.index + 60)}`] : [];
}
