// The module that Cloudflare calls, with another in the place of the Wasm that traps when it is told to.

import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { test } from 'node:test';

const WASM = `
const state = { criticalError: false, instanceId: 1 };
let resets = 0;
globalThis.stored = [];
const trap = (word) => {
  if (word === 'trap') throw new WebAssembly.RuntimeError('unreachable');
  if (word === 'throw') throw new TypeError('ordinary');
  return word + ' ' + resets;
};
export const __worker_init_state = () => state;
export const __wbg_reset_state = () => void resets++;
export const fetch = (request) => trap(request);
class Object_ {
  made = resets;
  fetch(request) { return trap(request) + ' ' + this.made; }
  alarm() { return trap('trap'); }
  append(body) { this.holds = body === 'hold' ? 5 : undefined; return trap(body) + ' ' + this.made; }
  holdsForMs() { return this.holds; }
  storeHeld() { this.holds = undefined; stored.push(this.made); }
  open(headers) { return Number(headers.get('status')); }
}
export { Object_ as Coordinator, Object_ as UserHub, Object_ as Checkpoints };
`;

/** @type {Record<string, string>} */
const MODULES = { 'wasm:': WASM, 'cloudflare:workers': 'export class DurableObject {}' };

registerHooks({
  resolve: (specifier, context, next) => {
    const url = specifier === './index.js' && context.parentURL?.endsWith('/entry.js') ? 'wasm:' : specifier;
    return url in MODULES ? { url, format: 'module', shortCircuit: true } : next(specifier, context);
  },
  load: (url, context, next) => {
    const source = MODULES[url];
    return source === undefined ? next(url, context) : { source, format: 'module', shortCircuit: true };
  },
});
/** What a Worker has, and Node has not. */
class WebSocketPair {
  0 = {};
  1 = {};
}
Object.assign(globalThis, { addEventListener: () => {}, WebSocketPair });
const { default: worker, Coordinator, UserHub } = await import('./entry.js');

test('an instance that has trapped serves nothing more: the next call gets a new one', (t) => {
  t.mock.method(console, 'error', () => {});
  t.mock.method(console, 'log', () => {});
  const fetch = (/** @type {any} */ request) => worker.fetch(request, {}, {});
  const object = new Coordinator({}, {});
  assert.equal(fetch('one'), 'one 0');
  assert.throws(() => fetch('throw'), TypeError);
  assert.equal(fetch('two'), 'two 0', 'an ordinary error changes nothing');
  assert.equal(object.fetch(/** @type {any} */ ('three')), 'three 0 0');
  assert.throws(() => fetch('trap'), WebAssembly.RuntimeError);
  assert.equal(fetch('four'), 'four 1');
  assert.equal(object.fetch(/** @type {any} */ ('five')), 'five 1 1', 'objects are made again, too');
  assert.throws(() => object.alarm(), WebAssembly.RuntimeError);
  assert.equal(object.fetch(/** @type {any} */ ('six')), 'six 2 2');
});

test('a hub answers a delivery and the opening of a stream with what the Wasm says', () => {
  const hub = new UserHub({ getWebSockets: () => [] }, {});
  assert.match(hub.append('[]'), /^\[\] /);
  const opened = hub.fetch(new Request('https://object/open', { headers: { status: '429' } }));
  assert.equal(opened.status, 429);
});

test('a hub stores in time what it holds', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { stored } = /** @type {{ stored: unknown[] }} */ (/** @type {unknown} */ (globalThis));
  const hub = new UserHub({ getWebSockets: () => [] }, {});
  hub.append('hold');
  hub.append('hold');
  t.mock.timers.tick(4);
  assert.equal(stored.length, 0);
  t.mock.timers.tick(1);
  assert.equal(stored.length, 1, 'one timer for both');
  hub.append('not');
  t.mock.timers.tick(1000);
  assert.equal(stored.length, 1);
});

test('the sockets of a hub that trapped are closed: they may have been sent what is not stored', (t) => {
  t.mock.method(console, 'error', () => {});
  t.mock.method(console, 'log', () => {});
  const closed = /** @type {unknown[]} */ ([]);
  const hub = new UserHub({ getWebSockets: () => [{ close: (/** @type {number} */ code) => closed.push(code) }] }, {});
  hub.append('one');
  assert.throws(() => hub.append('trap'), WebAssembly.RuntimeError);
  assert.deepEqual(closed, []);
  hub.append('two');
  assert.deepEqual(closed, [1012]);
});
