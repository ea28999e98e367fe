// What is right on each side, and wrong together: settings that edge and bridge must have alike. Messages hold no
// secret.

/** @typedef {Record<string, string>} Settings */

/** @param {Settings} edge @param {Settings} bridge @param {'workers' | 'spin'} runtime @returns {string[]} */
export function mismatches(edge, bridge, runtime) {
  return [...keys(edge, bridge), ...store(bridge, runtime), ...addresses(edge, bridge), ...channels(edge, bridge)];
}

/** @param {Settings} edge @param {Settings} bridge */
function keys(edge, bridge) {
  const ring = (/** @type {string | undefined} */ value) => (value ?? '').split(',').filter(Boolean);
  const [ours, theirs] = [ring(edge.BRIDGE_KEYS), ring(bridge.BRIDGE_KEYS)];
  if (!ours.length || !theirs.length) return [];
  // Each side signs with its first key.
  const fits = theirs.includes(ours[0] ?? '') && ours.includes(theirs[0] ?? '');
  return fits ? [] : ["BRIDGE_KEYS differ: each side must have the other's first key"];
}

/** @param {Settings} bridge @param {'workers' | 'spin'} runtime */
function store(bridge, runtime) {
  if (runtime === 'workers' && bridge.BRIDGE_REDIS_URL)
    return ['BRIDGE_REDIS_URL is for an edge on Spin; on Workers the bridge needs BRIDGE_EDGE_URL'];
  if (runtime === 'spin' && bridge.BRIDGE_EDGE_URL)
    return ['BRIDGE_EDGE_URL is for an edge on Workers; on Spin the bridge needs BRIDGE_REDIS_URL'];
  return [];
}

/** @param {Settings} edge @param {Settings} bridge */
function addresses(edge, bridge) {
  const differ = (/** @type {string | undefined} */ ours, /** @type {string | undefined} */ theirs) =>
    ours && theirs && ours.replace(/\/$/, '') !== theirs.replace(/\/$/, '');
  return [
    ...(differ(edge.PUBLIC_ORIGIN, bridge.BRIDGE_EDGE_URL) ? ["BRIDGE_EDGE_URL must be the edge's PUBLIC_ORIGIN"] : []),
    ...(differ(edge.REDIS_URL, bridge.BRIDGE_REDIS_URL) ? ["BRIDGE_REDIS_URL must be the edge's REDIS_URL"] : []),
  ];
}

/** @param {Settings} edge @param {Settings} bridge */
function channels(edge, bridge) {
  // Without the edge's variables it is not known whether it has the default.
  if (!edge.PUBLIC_ORIGIN) return [];
  const ours = (edge.CHANNELS || 'chat').split(',').map((name) => name.trim());
  /** @type {{ name?: unknown }[]} */
  let theirs = [{ name: 'chat' }];
  try {
    if (bridge.BRIDGE_CHANNELS) theirs = JSON.parse(bridge.BRIDGE_CHANNELS);
  } catch {
    return [];
  }
  if (!Array.isArray(theirs)) return [];
  const names = theirs.map((it) => String(it?.name));
  return [
    ...ours.filter((name) => !names.includes(name)).map((name) => `BRIDGE_CHANNELS lacks ${name} of CHANNELS`),
    ...names.filter((name) => !ours.includes(name)).map((name) => `CHANNELS lacks ${name} of BRIDGE_CHANNELS`),
  ];
}
