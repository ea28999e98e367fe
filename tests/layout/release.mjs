// Reads what the documents of a release say, and what its source says.

/** @typedef {{ release: string, edge: string, bridge: string, widget: string, contract: string }} Row */

/** @param {string} page docs/versioning.md @returns {Row[]} the rows of its matrix, the newest first */
export function matrix(page) {
  const rows = [...page.matchAll(/^\|(.+)\|$/gm)].map(([, row = '']) => row.split('|').map((cell) => cell.trim()));
  const heading = rows.findIndex((cells) => cells.join() === 'release,edge,bridge,widget,contract');
  if (heading < 0) return [];
  return rows.slice(heading + 2).map(([release = '', edge = '', bridge = '', widget = '', contract = '']) => ({
    release,
    edge,
    bridge,
    widget,
    contract,
  }));
}

/**
 * What a tree has.
 * @param {(path: string) => string} read a file of the tree
 * @returns {Omit<Row, 'release'>}
 */
export function versionsOf(read) {
  const workspace = read('Cargo.toml');
  const own = /^\[workspace\.package\]\nversion = "([^"]+)"/m.exec(workspace)?.[1] ?? '';
  /** @param {string} manifest */
  const crate = (manifest) => {
    const text = read(manifest);
    return /^version\.workspace = true$/m.test(text) ? own : (/^version = "([^"]+)"/m.exec(text)?.[1] ?? '');
  };
  return {
    edge: crate('edge/core/Cargo.toml'),
    bridge: crate('kafka-bridge/Cargo.toml'),
    widget: String(JSON.parse(read('package.json')).version),
    contract: /WIRE_VERSION: u32 = (\d+);/.exec(read('edge/protocol/src/deliver.rs'))?.[1] ?? '',
  };
}

/** @param {string} changelog @returns {string[]} the names of its sections, the newest first */
export function sections(changelog) {
  return [...changelog.matchAll(/^## \[([^\]]+)\]/gm)].map(([, name = '']) => name);
}

/**
 * What is wrong with the matrix.
 * @param {object} facts
 * @param {Row[]} facts.rows
 * @param {Omit<Row, 'release'>} facts.tree
 * @param {string[]} facts.changelog
 * @param {Map<string, Omit<Row, 'release'>>} facts.tags by release, without the `v`
 * @returns {string[]}
 */
export function faults({ rows, tree, changelog, tags }) {
  const [first, ...released] = rows;
  if (!first) return ['the matrix is missing'];
  /** @param {Row} row @param {Omit<Row, 'release'>} truth */
  const differences = (row, truth) =>
    Object.entries(truth)
      .filter(([part, version]) => row[/** @type {keyof Row} */ (part)] !== version)
      .map(([part, version]) => `${row.release}: ${part} is ${version}, not ${row[/** @type {keyof Row} */ (part)]}`);
  return [
    ...(first.release === 'unreleased' ? [] : ['the first row is not `unreleased`']),
    ...differences(first, tree),
    ...released.flatMap((row) => {
      const truth = tags.get(row.release);
      return truth ? differences(row, truth) : [];
    }),
    ...[...tags.keys()]
      .filter((tag) => !released.some((row) => row.release === tag))
      .map((tag) => `${tag} has a tag and no row`),
    ...(changelog[0] === 'Unreleased' ? [] : ['the changelog does not begin with Unreleased']),
    ...(changelog.slice(1).join() === released.map((row) => row.release).join()
      ? []
      : ['changelog and matrix list different releases']),
  ];
}
