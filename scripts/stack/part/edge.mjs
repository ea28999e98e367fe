// The edge, on either runtime.

import { spinEdgePart } from './edge-spin.mjs';
import { workersEdgePart } from './edge-workers.mjs';

/** @param {import('./edge-settings.mjs').EdgeOptions & { target: import('../target.mjs').Target }} options */
export function edgePart({ target, ...options }) {
  return target === 'spin' ? spinEdgePart(options) : workersEdgePart(options);
}
