// Usage: node scripts/sbom.mjs CRATE TARGET [FEATURES]
//
// Prints a software bill of materials (CycloneDX 1.6, JSON) of what cargo links into a crate for a target, such as
// `kafka-bridge x86_64-unknown-linux-gnu`. Crates that only tests or builds need are not in it. Optional dependencies
// that another crate of the workspace turns on may be in it, although they are not linked. The widget has no bill: it
// depends on nothing.

import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @typedef {{ id: string, name: string, version: string, license: string | null, source: string | null }} Package */
/** @typedef {{ id: string, deps: { pkg: string, dep_kinds: { kind: string | null }[] }[] }} Node */

const ROOT = resolve(import.meta.dirname, '..');

/**
 * @param {string} crate @param {string} target @param {string} [features]
 * @returns {{ packages: Package[], resolve: { nodes: Node[] } }} what cargo knows
 */
function metadata(crate, target, features = '') {
  return JSON.parse(
    execFileSync(
      'cargo',
      [
        ...['metadata', '--format-version', '1', '--locked', '--filter-platform', target],
        ...(features ? ['--features', features.replaceAll(/[^,]+/g, `${crate}/$&`)] : []),
      ],
      { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 28 },
    ),
  );
}

/**
 * @param {ReturnType<typeof metadata>} facts
 * @param {string} crate
 * @returns {{ main: Package, linked: Package[], edges: Map<string, string[]> }}
 */
export function linkedPackages({ packages, resolve: { nodes } }, crate) {
  const byId = new Map(packages.map((it) => [it.id, it]));
  const links = new Map(
    nodes.map(({ id, deps }) => [
      id,
      deps.filter((it) => it.dep_kinds.some(({ kind }) => kind === null)).map((it) => it.pkg),
    ]),
  );
  const main = packages.find((it) => it.name === crate && it.source === null);
  if (!main) throw new Error(`no crate ${crate} in the workspace`);
  const seen = new Set([main.id]);
  for (const id of seen) for (const next of links.get(id) ?? []) seen.add(next);
  const linked = [...seen].flatMap((id) => (id === main.id ? [] : [byId.get(id) ?? []].flat()));
  linked.sort((a, b) => a.name.localeCompare(b.name) || a.version.localeCompare(b.version));
  return { main, linked, edges: links };
}

/** @param {Package} it */
const purl = ({ name, version }) => `pkg:cargo/${name}@${version}`;

/** @param {Package} it @param {string} type */
const component = (it, type) => ({
  type,
  'bom-ref': it.id,
  name: it.name,
  version: it.version,
  ...(it.license && { licenses: [{ expression: it.license.replaceAll('/', ' OR ') }] }),
  ...(it.source && { purl: purl(it) }),
});

/** @param {ReturnType<typeof linkedPackages>} packages */
export function billOfMaterials({ main, linked, edges }) {
  const known = new Set([main, ...linked].map((it) => it.id));
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: { component: component(main, 'application') },
    components: linked.map((it) => component(it, 'library')),
    dependencies: [...known].map((id) => ({
      ref: id,
      dependsOn: (edges.get(id) ?? []).filter((it) => known.has(it)),
    })),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [crate, target, features] = process.argv.slice(2);
  if (!crate || !target) {
    process.stderr.write('usage: node scripts/sbom.mjs CRATE TARGET [FEATURES]\n');
    process.exit(2);
  }
  // Cargo names crates of the workspace by their paths on this machine.
  const text = JSON.stringify(billOfMaterials(linkedPackages(metadata(crate, target, features), crate)), undefined, 2);
  process.stdout.write(`${text.replaceAll(`path+file://${ROOT}/`, 'workspace:')}\n`);
}
