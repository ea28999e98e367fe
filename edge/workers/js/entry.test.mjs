// The module that Cloudflare calls, with another in the place of the Wasm that traps when it is told to.

import assert from 'node:assert/strict';
import { registerHooks } from 'node:module';
import { test } from 'node:test';

const WASM = `
const state = { criticalError: false, instanceId: 1 };
let resets = 0;
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
  append(body) { return trap(body) + ' ' + this.made; }
  open(headers) { return Number(headers.get('status')); }
}
export { Object_ as Coordinator, Object_ as UserHub, Object_ as Checkpoints };
`;

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === './index.js' && context.parentURL?.endsWith('/entry.js')
      ? { url: 'wasm:', format: 'module', shortCircuit: true }
      : next(specifier, context),
  load: (url, context, next) =>
    url === 'wasm:' ? { source: WASM, format: 'module', shortCircuit: true } : next(url, context),
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

test('a hub answers a delivery with what the Wasm says, and knows no other operation', async () => {
  const hub = new UserHub({ getWebSockets: () => [] }, {});
  const ask = (/** @type {string} */ operation, body = '[]') =>
    hub.fetch(new Request(`https://object/${operation}`, { method: 'POST', body }));
  assert.match(await (await ask('append')).text(), /^\[\] /);
  assert.equal((await ask('constructor')).status, 404);
  const opened = await hub.fetch(new Request('https://object/open', { headers: { status: '429' } }));
  assert.equal(opened.status, 429);
});

test('the sockets of a hub that trapped are closed: they may have been sent what is not stored', async (t) => {
  t.mock.method(console, 'error', () => {});
  t.mock.method(console, 'log', () => {});
  const closed = /** @type {unknown[]} */ ([]);
  const hub = new UserHub({ getWebSockets: () => [{ close: (/** @type {number} */ code) => closed.push(code) }] }, {});
  const append = (/** @type {string} */ body) =>
    hub.fetch(new Request('https://object/append', { method: 'POST', body }));
  await append('one');
  await assert.rejects(append('trap'), WebAssembly.RuntimeError);
  assert.deepEqual(closed, []);
  await append('two');
  assert.deepEqual(closed, [1012]);
});
