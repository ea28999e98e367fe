// The edge, on either runtime.

import { spinEdgePart } from './edge-spin.mjs';
import { workerdEdgePart } from './edge-workerd.mjs';
import { workersEdgePart } from './edge-workers.mjs';

/** @typedef {import('../target.mjs').Target} Target */

/**
 * @param {import('./edge-settings.mjs').EdgeOptions & { target: Target, bare?: boolean }} options `bare` runs workerd
 * without wrangler
 */
export function edgePart({ target, bare = false, ...options }) {
  if (target === 'spin') return spinEdgePart(options);
  return bare ? workerdEdgePart(options) : workersEdgePart(options);
}
